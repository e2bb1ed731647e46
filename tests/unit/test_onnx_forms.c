/* SPDX-License-Identifier: MIT */
/*
 * The forms that operators had over the operator sets: lists as attributes and as inputs, limits
 * and pads likewise, auto_pad against pads worked out by hand. Two models that say the same give the
 * same values, on random shapes. NEAP_SEED repeats one seed.
 */
#include "tests/unit/onnx_writer.h"
#include "tests/unit/reference.h"

#include <math.h>
#include <stdio.h>

#define ROUNDS 40

struct pair {
	struct rng r;
	struct writer a, b;
	int64_t dim[NE_MAX_RANK];
	uint32_t rank;
	float x[4096];
	size_t n;
};

/* Both models read x of the same random shape, of opsets @a and @b. */
static void pair_begin(struct pair *p, uint64_t seed, uint32_t rank, int a, int b)
{
	p->r.s = seed * 2654435761u + 11;
	p->rank = rank;
	p->n = 1;
	for (uint32_t i = 0; i < rank; i++) {
		p->dim[i] = i ? rng_between(&p->r, 2, 6) : 1;
		p->n *= (size_t)p->dim[i];
	}
	for (size_t i = 0; i < p->n; i++)
		p->x[i] = (float)rng_unit(&p->r) * 3;
	begin(&p->a, a, rank, p->dim);
	begin(&p->b, b, rank, p->dim);
}

static void pair_agrees(const struct pair *p, const char *what)
{
	size_t n_a, n_b;
	float *a = output_of(&p->a, p->x, &n_a), *b = output_of(&p->b, p->x, &n_b);

	if (n_a != n_b)
		fail_msg("%s: %zu values and %zu", what, n_a, n_b);
	assert_close(a, b, n_a, 1e-5f);
	free(a);
	free(b);
}

#define EACH_SEED()                                             \
	const char *given_ = getenv("NEAP_SEED");               \
	uint64_t seed = given_ ? strtoull(given_, NULL, 0) : 1; \
	uint64_t end_ = given_ ? seed + 1 : ROUNDS + 1;         \
	static struct pair p;                                   \
	(void)state;                                            \
	for (; seed < end_; seed++)

static void attr_float(struct writer *w, const char *name, float v)
{
	Onnx__AttributeProto *a = attr(w, name);

	a->has_f = 1;
	a->f = v;
}

static void attr_text(struct writer *w, const char *name, const char *text)
{
	Onnx__AttributeProto *a = attr(w, name);

	a->has_s = 1;
	a->s.len = strlen(text);
	a->s.data = (uint8_t *)(uintptr_t)text;
}

static void axes_of_reductions(void **state)
{
	static const char *const names[] = {"ReduceMean", "ReduceMax", "ReduceL2", "ReduceSum"};

	EACH_SEED()
	{
		const char *op = names[seed % 4];
		int64_t axes[2], keep;

		pair_begin(&p, seed, 4, 11, 18);
		axes[0] = rng_between(&p.r, 0, 1);
		axes[1] = rng_between(&p.r, -2, -1);
		keep = rng_below(&p.r, 2);
		node(&p.a, op, "x", "y");
		attr_ints(&p.a, "axes", 2, axes);
		attr_int(&p.a, "keepdims", keep);
		init_ints(&p.b, "axes", 2, axes);
		node(&p.b, op, "x axes", "y");
		attr_int(&p.b, "keepdims", keep);
		pair_agrees(&p, op);
	}
}

static void axes_of_squeeze_and_unsqueeze(void **state)
{
	EACH_SEED()
	{
		int64_t in[2] = {1, -1}, out[2];

		pair_begin(&p, seed, 3, 11, 13);
		out[0] = rng_below(&p.r, 2) ? 1 : -4; /* of rank 5 the same axis */
		out[1] = 4;
		in[0] = 1;
		node(&p.a, "Unsqueeze", "x", "u");
		attr_ints(&p.a, "axes", 2, out);
		node(&p.a, "Relu", "u", "v");
		node(&p.a, "Squeeze", "v", "y");
		attr_ints(&p.a, "axes", 2, in);
		init_ints(&p.b, "o", 2, out);
		init_ints(&p.b, "i", 2, in);
		node(&p.b, "Unsqueeze", "x o", "u");
		node(&p.b, "Relu", "u", "v");
		node(&p.b, "Squeeze", "v i", "y");
		pair_agrees(&p, "Squeeze");
	}
}

static void limits_of_clip(void **state)
{
	EACH_SEED()
	{
		float lo, hi;

		pair_begin(&p, seed, 2, 7, 12);
		lo = (float)rng_unit(&p.r) * 2;
		hi = lo + (float)fabs(rng_unit(&p.r)) * 2;
		node(&p.a, "Clip", "x", "y");
		attr_float(&p.a, "min", lo);
		attr_float(&p.a, "max", hi);
		init_floats(&p.b, "lo", 1, &lo);
		init_floats(&p.b, "hi", 1, &hi);
		p.b.init[0].n_dims = p.b.init[1].n_dims = 0;
		node(&p.b, "Clip", "x lo hi", "y");
		pair_agrees(&p, "Clip");
	}
}

static void pads_of_pad(void **state)
{
	static const char *const modes[] = {"constant", "edge", "reflect"};

	EACH_SEED()
	{
		int64_t pads[6];
		float value = 0.75f;

		pair_begin(&p, seed, 3, 10, 13);
		for (int i = 0; i < 6; i++)
			pads[i] = i % 3 ? rng_between(&p.r, 0, 1) : 0;
		node(&p.a, "Pad", "x", "y");
		attr_ints(&p.a, "pads", 6, pads);
		attr_float(&p.a, "value", value);
		attr_text(&p.a, "mode", modes[seed % 3]);
		init_ints(&p.b, "pads", 6, pads);
		init_floats(&p.b, "value", 1, &value);
		p.b.init[1].n_dims = 0;
		node(&p.b, "Pad", "x pads value", "y");
		attr_text(&p.b, "mode", modes[seed % 3]);
		pair_agrees(&p, modes[seed % 3]);
	}
}

/* Attributes (opset 9), inputs, and a split of which one part is read. */
static void cuts_of_slice(void **state)
{
	EACH_SEED()
	{
		int64_t start, end, axis, parts[3];

		pair_begin(&p, seed, 3, 9, 13);
		axis = rng_between(&p.r, 1, 2);
		start = rng_between(&p.r, 0, (int)p.dim[axis] - 1);
		end = rng_between(&p.r, (int)start + 1, (int)p.dim[axis]);
		node(&p.a, "Slice", "x", "y");
		attr_ints(&p.a, "starts", 1, &start);
		attr_ints(&p.a, "ends", 1, &end);
		attr_ints(&p.a, "axes", 1, &axis);
		parts[0] = start - p.dim[axis]; /* from the end */
		parts[1] = end == p.dim[axis] ? INT64_MAX : end;
		init_ints(&p.b, "s", 1, &parts[0]);
		init_ints(&p.b, "e", 1, &parts[1]);
		init_ints(&p.b, "a", 1, &axis);
		node(&p.b, "Slice", "x s e a", "y");
		pair_agrees(&p, "Slice");
	}
}

/* Upsample's scales as attribute (7) and input (9), Resize of 10 and, asked for the same, of 13. */
static void scales_of_resize(void **state)
{
	EACH_SEED()
	{
		float scales[4] = {1, 1, 2, 3};
		Onnx__AttributeProto *a;

		pair_begin(&p, seed, 4, seed % 2 ? 7 : 9, seed % 3 ? 10 : 13);
		scales[2] = (float)rng_between(&p.r, 1, 3);
		if (seed % 2) {
			node(&p.a, "Upsample", "x", "y");
			a = attr(&p.a, "scales");
			a->n_floats = 4;
			a->floats = scales;
		} else {
			init_floats(&p.a, "s", 4, scales);
			node(&p.a, "Upsample", "x s", "y");
		}
		init_floats(&p.b, "s", 4, scales);
		if (seed % 3) {
			node(&p.b, "Resize", "x s", "y");
		} else {
			node(&p.b, "Resize", "x - s", "y");
			attr_text(&p.b, "coordinate_transformation_mode", "asymmetric");
			attr_text(&p.b, "nearest_mode", "floor");
		}
		pair_agrees(&p, "Resize");
	}
}

/* auto_pad, against the pads that the standard works it out to. */
static void pads_of_windows(void **state)
{
	static const char *const names[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};

	EACH_SEED()
	{
		int64_t k[2], s[2], pads[4] = {0};
		const char *mode = names[seed % 3];
		bool pool = seed % 2;
		float w[3 * 6 * 9];
		int64_t shape[4];

		pair_begin(&p, seed, 4, 11, 11);
		for (int i = 0; i < 2; i++) {
			int64_t in = p.dim[2 + i], all;

			k[i] = rng_between(&p.r, 1, 2);
			s[i] = rng_between(&p.r, 1, 2);
			all = (((in + s[i] - 1) / s[i]) - 1) * s[i] + k[i] - in;
			all = seed % 3 == 2 || all < 0 ? 0 : all;
			pads[i] = seed % 3 ? all - all / 2 : all / 2;
			pads[2 + i] = all - pads[i];
		}
		for (size_t i = 0; i < NE_ARRAY_SIZE(w); i++)
			w[i] = (float)rng_unit(&p.r);
		shape[0] = 3;
		shape[1] = p.dim[1];
		shape[2] = k[0];
		shape[3] = k[1];
		for (int m = 0; m < 2; m++) {
			struct writer *x = m ? &p.b : &p.a;

			if (!pool) {
				Onnx__TensorProto *t = init(x, "w", 4, shape);

				t->n_float_data = (size_t)(3 * shape[1] * k[0] * k[1]);
				t->float_data = w;
			}
			node(x, pool ? "MaxPool" : "Conv", pool ? "x" : "x w", "y");
			attr_ints(x, "kernel_shape", 2, k);
			attr_ints(x, "strides", 2, s);
			if (m)
				attr_ints(x, "pads", 4, pads);
			else
				attr_text(x, "auto_pad", mode);
		}
		pair_agrees(&p, mode);
	}
}

/* A shape worked out in the graph: Shape, Gather, Concat, Reshape; ConstantOfShape and Range for
 * Expand and Gather. Against the same in numbers. */
static void shapes_worked_out(void **state)
{
	EACH_SEED()
	{
		static int64_t zero = 0, one = 1, minus = -1, two = 2;
		int64_t flat[2];
		float half = 0.5f;

		pair_begin(&p, seed, 3, 13, 13);
		init_ints(&p.a, "zero", 1, &zero);
		init_ints(&p.a, "two", 1, &two);
		init_ints(&p.a, "minus", 1, &minus);
		init_ints(&p.a, "n0", 1, &zero);
		init_ints(&p.a, "n1", 1, &one);
		p.a.init[3].n_dims = p.a.init[4].n_dims = 0;
		node(&p.a, "Shape", "x", "shape");
		node(&p.a, "Gather", "shape two", "last");
		node(&p.a, "Concat", "minus last", "want");
		attr_int(&p.a, "axis", 0);
		node(&p.a, "Reshape", "x want", "r");
		node(&p.a, "ConstantOfShape", "last", "zeros");
		init_floats(&p.a, "half", 1, &half);
		node(&p.a, "Add", "zeros half", "halves");
		node(&p.a, "Squeeze", "last", "length");
		node(&p.a, "Range", "n0 length n1", "order");
		node(&p.a, "Gather", "r order", "g");
		attr_int(&p.a, "axis", 1);
		node(&p.a, "Expand", "halves want1", "e");
		init_ints(&p.a, "want1", 1, &one);
		node(&p.a, "Mul", "g e", "y");
		flat[0] = -1;
		flat[1] = p.dim[2];
		init_ints(&p.b, "want", 2, flat);
		init_floats(&p.b, "half", 1, &half);
		node(&p.b, "Reshape", "x want", "r");
		node(&p.b, "Mul", "r half", "y");
		pair_agrees(&p, "Shape");
	}
}

/* Operators with what they are made of written out. */
static void parts_written_out(void **state)
{
	EACH_SEED()
	{
		float scale[6], bias[6], epsilon = 1e-5f;
		static int64_t axes[2] = {-2, -1};

		pair_begin(&p, seed, 4, 17, 17);
		for (int i = 0; i < 6; i++) {
			scale[i] = (float)rng_unit(&p.r);
			bias[i] = (float)rng_unit(&p.r);
		}
		init_floats(&p.a, "s", (size_t)p.dim[1], scale);
		init_floats(&p.a, "b", (size_t)p.dim[1], bias);
		node(&p.a, "InstanceNormalization", "x s b", "y");
		node(&p.b, "ReduceMean", "x", "m");
		attr_ints(&p.b, "axes", 2, axes);
		node(&p.b, "Sub", "x m", "d");
		node(&p.b, "Mul", "d d", "q");
		node(&p.b, "ReduceMean", "q", "v");
		attr_ints(&p.b, "axes", 2, axes);
		init_floats(&p.b, "e", 1, &epsilon);
		node(&p.b, "Add", "v e", "w");
		node(&p.b, "Sqrt", "w", "r");
		node(&p.b, "Div", "d r", "n");
		{
			int64_t *shape = p.b.dims + PARTS_MAX - 4;

			shape[0] = p.dim[1];
			shape[1] = shape[2] = 1;
			init(&p.b, "s", 3, shape)->n_float_data = (size_t)p.dim[1];
			p.b.init[1].float_data = scale;
			init(&p.b, "b", 3, shape)->n_float_data = (size_t)p.dim[1];
			p.b.init[2].float_data = bias;
		}
		node(&p.b, "Mul", "n s", "t");
		node(&p.b, "Add", "t b", "y");
		pair_agrees(&p, "InstanceNormalization");
	}
}

/* What is quantised is integers to every operator that is not told a scale. */
static void quantised_values_are_integers(void **state)
{
	static float x[4] = {-1, 0, 0.5f, 1}, scale = 0.01f;
	static int32_t zero = 128, most = 150;
	static int64_t twice = 2;
	static const uint8_t want[8] = {150, 150, 178, 228, 150, 150, 178, 228};
	static struct writer w;
	float *y;
	size_t n;

	(void)state;
	for (int back = 0; back < 2; back++) {
		begin(&w, 13, 1, (int64_t[]){4});
		init_floats(&w, "s", 1, &scale);
		for (int i = 0; i < 2; i++) {
			Onnx__TensorProto *t = init(&w, i ? "m" : "z", 0, NULL);

			t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8;
			t->n_int32_data = 1;
			t->int32_data = i ? &most : &zero;
		}
		w.init[0].n_dims = 0;
		init_ints(&w, "two", 1, &twice);
		node(&w, "QuantizeLinear", "x s z", "q");
		node(&w, "Max", "q m", "t");
		node(&w, "Tile", "t two", "u");
		if (back) {
			node(&w, "DequantizeLinear", "u s z", "y");
		} else {
			node(&w, "Cast", "u", "y");
			attr_int(&w, "to", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
		}
		y = output_of(&w, x, &n);
		assert_int_equal(n, 8);
		for (int i = 0; i < 8; i++)
			assert_true(fabsf(y[i] - (back ? (float)(want[i] - 128) * scale
						       : (float)want[i])) < 1e-6f);
		free(y);
	}
}

/* What an import may be made to work out has a limit, and it is told. */
static void work_is_limited(void **state)
{
	static int64_t side = 16384, row[2] = {1, 16384}, column[2] = {16384, 1};
	static struct writer w;

	(void)state;
	begin(&w, 13, 1, (int64_t[]){1});
	init_ints(&w, "n", 1, &side);
	node(&w, "ConstantOfShape", "n", "line");
	init_ints(&w, "row", 2, row);
	init_ints(&w, "column", 2, column);
	node(&w, "Reshape", "line row", "a");
	node(&w, "Reshape", "line column", "b");
	node(&w, "MatMul", "b a", "y"); /* 2^28 products and elements */
	refused(&w, E2BIG, "MatMul", "steps to work out");
}

/* What no file holds is told at once; sizes and regions that make no sense too. */
static void numbers_out_of_range_are_refused(void **state)
{
	static float inf = INFINITY, scales[2] = {1, 2}, roi[4] = {0, 0, 1, NAN};
	static int64_t sizes[2] = {1, INT64_MAX}, shape[2] = {INT64_MIN, 4}, k[2] = {1, 1};
	static int64_t pads[4] = {0, INT64_MIN, 0, 0};
	static struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 4});
	init_floats(&w, "c", 1, &inf);
	node(&w, "Add", "x c", "y");
	refused(&w, EOPNOTSUPP, "cannot be stored", "inf");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	init_ints(&w, "s", 2, sizes);
	node(&w, "Resize", "x - - s", "y");
	refused(&w, EINVAL, "Resize", "places");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	init_floats(&w, "r", 4, roi);
	init_floats(&w, "s", 2, scales);
	node(&w, "Resize", "x r s", "y");
	attr_text(&w, "coordinate_transformation_mode", "tf_crop_and_resize");
	refused(&w, EINVAL, "Resize", "region");
	begin(&w, 13, 4, (int64_t[]){1, 1, 4, 4});
	{
		static float v[1] = {1};
		static int64_t one[4] = {1, 1, 1, 1};

		init(&w, "w", 4, one)->n_float_data = 1;
		w.init[0].float_data = v;
	}
	node(&w, "ConvTranspose", "x w", "y");
	attr_ints(&w, "kernel_shape", 2, k);
	attr_ints(&w, "output_shape", 2, shape);
	refused(&w, EINVAL, "ConvTranspose", "places");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	init_ints(&w, "p", 4, pads);
	node(&w, "Pad", "x p", "y");
	refused(&w, EINVAL, "Pad", "out of range");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(axes_of_reductions),
		cmocka_unit_test(axes_of_squeeze_and_unsqueeze),
		cmocka_unit_test(limits_of_clip),
		cmocka_unit_test(pads_of_pad),
		cmocka_unit_test(cuts_of_slice),
		cmocka_unit_test(scales_of_resize),
		cmocka_unit_test(pads_of_windows),
		cmocka_unit_test(shapes_worked_out),
		cmocka_unit_test(parts_written_out),
		cmocka_unit_test(quantised_values_are_integers),
		cmocka_unit_test(work_is_limited),
		cmocka_unit_test(numbers_out_of_range_are_refused),
	};

	return cmocka_run_group_tests_name("onnx: forms of operators", tests, NULL, NULL);
}
