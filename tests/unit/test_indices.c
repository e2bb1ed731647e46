/* SPDX-License-Identifier: MIT */
/*
 * Operators that move elements or go along an axis: slices, picks, gathers, scatters, products of
 * matrices, sums along an axis, the first k; against their definitions. Indices are hostile too.
 */
#include "tests/unit/node_case.h"

/* ---- slices and picks ---- */

static void slices_take_what_they_name(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape s = random_shape(&r, 0, 6), y;
		enum ne_dtype t = RANDOM_OF(&r, all_types);
		size_t size = ne_dtype_size(t);
		struct node_case c;
		const char *x;

		begin(&c);
		for (uint32_t i = 0; i < s.rank; i++) {
			int32_t step = rng_between(&r, 1, 3), n;
			int32_t first = rng_between(&r, 0, s.dim[i] - 1);

			n = rng_between(&r, 1, (s.dim[i] - 1 - first) / step + 1);
			c.attr.slice.begin[i] = first;
			c.attr.slice.size[i] = n;
			c.attr.slice.step[i] = step;
			if (rng_below(&r, 2)) { /* the same backwards */
				c.attr.slice.begin[i] = first + (n - 1) * step;
				c.attr.slice.step[i] = -step;
			}
		}
		x = add_random(&c, &r, t, &s);
		run(&c, NE_OP_SLICE, 1, &t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			int32_t p[NE_MAX_RANK];

			coordinates(&y, i, p);
			for (uint32_t d = 0; d < s.rank; d++)
				p[d] = c.attr.slice.begin[d] + p[d] * c.attr.slice.step[d];
			assert_memory_equal((char *)c.y[0] + i * size, x + element(&s, p) * size,
					    size);
		}
		done(&c);
	}
}

static void picks_take_what_they_list(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape s = random_shape(&r, 1, 5), y;
		enum ne_dtype t = RANDOM_OF(&r, numbers);
		const int32_t *list[NE_MAX_RANK] = {NULL};
		struct node_case c;
		const void *x;

		begin(&c);
		c.attr.value = 7;
		x = add_random(&c, &r, t, &s);
		for (uint32_t d = 0; d < s.rank; d++) {
			int32_t n = rng_between(&r, 1, 8), *v, run_of = rng_between(&r, 1, 3);

			if (!rng_below(&r, 3)) {
				c.in[c.n_in++] = NE_NONE;
				continue;
			}
			v = malloc((size_t)n * sizeof(*v));
			for (int32_t k = 0; k < n; k++)
				v[k] = k % run_of && v[k - 1] + 1 < s.dim[d]
					       ? v[k - 1] + 1
					       : rng_between(&r, -1, s.dim[d] - 1);
			list[d] = v;
			add_const_s32(&c, n, v);
		}
		run(&c, NE_OP_PICK, 1, &t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			int32_t p[NE_MAX_RANK];
			bool open = false;

			coordinates(&y, i, p);
			for (uint32_t d = 0; d < s.rank; d++) {
				p[d] = list[d] ? list[d][p[d]] : p[d];
				open = open || p[d] < 0;
			}
			expect(seed_, "pick", 0, i, at(c.y[0], t, i),
			       open ? 7 : at(x, t, element(&s, p)));
		}
		done(&c);
	}
}

/* ---- indices ---- */

/* Where an index leads: negative from the end, else clamped. */
static int32_t led_to(double v, int32_t length)
{
	v += v < 0 ? length : 0;
	return (int32_t)fmax(0, fmin(v, length - 1));
}

static void *add_indices(struct node_case *c, struct rng *r, enum ne_dtype t,
			 const struct ne_shape *s)
{
	void *data = calloc(ne_shape_elements(s), ne_dtype_size(t));

	for (size_t i = 0; i < ne_shape_elements(s); i++)
		set(data, t, i,
		    rng_below(r, 9) ? rng_between(r, -5, 5) : rng_between(r, -99999, 99999));
	add_input(c, t, s, data);
	return data;
}

static void gathers_lead_where_indices_say(void **state)
{
	EACH_SEED(r)
	{
		bool elements = rng_below(&r, 2);
		struct ne_shape s = random_shape(&r, 1, 4), is = random_shape(&r, 0, 2), y;
		enum ne_dtype t = RANDOM_OF(&r, all_types), it = rng_below(&r, 2) ? NE_S32 : NE_S64;
		uint32_t axis = rng_below(&r, s.rank);
		struct node_case c;
		const void *x, *index;

		if (elements) {
			is = s;
			is.dim[axis] = rng_between(&r, 1, 6);
		}
		begin(&c);
		c.attr.axis = (int32_t)axis;
		x = add_random(&c, &r, t, &s);
		index = add_indices(&c, &r, it, &is);
		run(&c, elements ? NE_OP_GATHER_ELEMENTS : NE_OP_GATHER, 1, &t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			int32_t p[NE_MAX_RANK], q[NE_MAX_RANK];

			coordinates(&y, i, p);
			for (uint32_t d = 0; d < s.rank; d++)
				q[d] = elements || d < axis ? p[d] : p[d + is.rank - (d > axis)];
			if (elements)
				q[axis] = led_to(at(index, it, i), s.dim[axis]);
			else
				q[axis] =
					led_to(at(index, it, element(&is, p + axis)), s.dim[axis]);
			if (!elements)
				for (uint32_t d = axis + 1; d < s.rank; d++)
					q[d] = p[d - 1 + is.rank];
			expect(seed_, "gather", elements, i, at(c.y[0], t, i),
			       at(x, t, element(&s, q)));
		}
		done(&c);
	}
}

/* Scattered elements, put or added; tuples of indices gather and scatter whole rows. */
static void scatters_write_where_indices_say(void **state)
{
	EACH_SEED(r)
	{
		bool add = rng_below(&r, 2);
		struct ne_shape s = random_shape(&r, 1, 4), is;
		enum ne_dtype t = add ? NE_S32 : RANDOM_OF(&r, numbers);
		uint32_t axis = rng_below(&r, s.rank);
		size_t n = ne_shape_elements(&s);
		double *want = malloc(n * sizeof(*want));
		struct node_case c;
		const void *x, *index, *update;

		is = s;
		is.dim[axis] = rng_between(&r, 1, 6);
		begin(&c);
		c.attr.axis = (int32_t)axis;
		c.attr.kind = add;
		x = add_random(&c, &r, t, &s);
		index = add_indices(&c, &r, NE_S64, &is);
		update = add_random(&c, &r, t, &is);
		run(&c, NE_OP_SCATTER_ELEMENTS, 1, &t);
		for (size_t i = 0; i < n; i++)
			want[i] = at(x, t, i);
		for (size_t i = 0; i < ne_shape_elements(&is); i++) {
			int32_t p[NE_MAX_RANK];
			size_t e;

			coordinates(&is, i, p);
			p[axis] = led_to(at(index, NE_S64, i), s.dim[axis]);
			e = element(&s, p);
			want[e] = (add ? want[e] : 0) + at(update, t, i);
		}
		for (size_t i = 0; i < n; i++)
			expect(seed_, "scatter", add, i, at(c.y[0], t, i), want[i]);
		free(want);
		done(&c);
	}
}

static void tuples_name_rows(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape s = random_shape(&r, 2, 4), is = {.rank = 2}, us;
		const enum ne_dtype t = NE_S16;
		int32_t depth = rng_between(&r, 1, (int)s.rank), n = rng_between(&r, 1, 4);
		bool scatter = rng_below(&r, 2);
		size_t row = 1, total = ne_shape_elements(&s);
		struct node_case c;
		const int16_t *x, *update = NULL;
		const int64_t *index;
		int16_t *want;

		is.dim[0] = n;
		is.dim[1] = depth;
		us = (struct ne_shape){.rank = s.rank - (uint32_t)depth + 1, .dim = {n}};
		for (uint32_t d = (uint32_t)depth; d < s.rank; d++) {
			us.dim[1 + d - (uint32_t)depth] = s.dim[d];
			row *= (size_t)s.dim[d];
		}
		begin(&c);
		x = add_random(&c, &r, t, &s);
		index = add_indices(&c, &r, NE_S64, &is);
		if (scatter)
			update = add_random(&c, &r, t, &us);
		run(&c, scatter ? NE_OP_SCATTER_ND : NE_OP_GATHER_ND, 1, &t);
		want = malloc(NE_MAX(total, (size_t)n * row) * sizeof(*want));
		memcpy(want, x, total * sizeof(*want));
		for (int32_t k = 0; k < n; k++) {
			size_t e = 0;

			for (int32_t d = 0; d < depth; d++)
				e = e * (size_t)s.dim[d] +
				    (size_t)led_to((double)index[k * depth + d], s.dim[d]);
			if (scatter)
				memcpy(want + e * row, update + (size_t)k * row,
				       row * sizeof(*want));
			else
				memcpy(want + (size_t)k * row, x + e * row, row * sizeof(*want));
		}
		assert_memory_equal(c.y[0], want,
				    (scatter ? total : (size_t)n * row) * sizeof(*want));
		free(want);
		done(&c);
	}
}

/* ---- products, sums along, the first k ---- */

static void products_of_matrices(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape batch = random_shape(&r, 0, 3),
				s[2] = {operand(&r, &batch), operand(&r, &batch)};
		int32_t m = rng_between(&r, 1, 6), k = rng_between(&r, 1, 6);
		int32_t n = rng_between(&r, 1, 6);
		const enum ne_dtype t = NE_F32;
		struct node_case c;
		struct ne_shape y;
		const float *v[2];

		for (int i = 0; i < 2; i++) {
			s[i].dim[s[i].rank++] = i ? k : m;
			s[i].dim[s[i].rank++] = i ? n : k;
		}
		if (ne_shape_elements(&s[0]) > 20000 || ne_shape_elements(&s[1]) > 20000)
			continue;
		begin(&c);
		for (int i = 0; i < 2; i++)
			v[i] = add_random(&c, &r, t, &s[i]);
		run(&c, NE_OP_MATMUL, 1, &t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			int32_t p[NE_MAX_RANK], q[NE_MAX_RANK];
			double sum = 0;

			for (int32_t e = 0; e < k; e++) {
				coordinates(&y, i, p);
				memcpy(q, p, sizeof(q));
				p[y.rank - 1] = e;
				q[y.rank - 2] = e;
				sum += (double)v[0][element(&s[0], p + (y.rank - s[0].rank))] *
				       (double)v[1][element(&s[1], q + (y.rank - s[1].rank))];
			}
			expect(seed_, "matmul", 0, i, at(c.y[0], t, i), sum);
		}
		done(&c);
	}
}

static void sums_along_an_axis(void **state)
{
	EACH_SEED(r)
	{
		static const enum ne_dtype types[] = {NE_F32, NE_S32, NE_S64};
		struct ne_shape s = random_shape(&r, 1, 4);
		enum ne_dtype t = RANDOM_OF(&r, types);
		uint32_t axis = rng_below(&r, s.rank);
		int32_t form = rng_between(&r, 0, 3);
		struct node_case c;
		const void *x;

		begin(&c);
		c.attr.axis = (int32_t)axis;
		c.attr.kind = form;
		x = add_random(&c, &r, t, &s);
		run(&c, NE_OP_CUMSUM, 1, &t);
		for (size_t i = 0; i < ne_shape_elements(&s); i++) {
			int32_t p[NE_MAX_RANK], here;
			double sum = 0;

			coordinates(&s, i, p);
			here = p[axis];
			for (int32_t k = 0; k < s.dim[axis]; k++) {
				bool before = form & 2 ? k > here : k < here;

				p[axis] = k;
				if (before || (k == here && !(form & 1)))
					sum += at(x, t, element(&s, p));
			}
			expect(seed_, "cumsum", form, i, at(c.y[0], t, i), sum);
		}
		done(&c);
	}
}

/* Value @i of the row stands before value @k: by size, then by place. */
static bool before(double a, size_t i, double b, size_t k, bool most)
{
	return a == b ? i < k : most ? a > b : a < b;
}

static void the_first_k_in_order(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape s = random_shape(&r, 1, 4), y;
		enum ne_dtype t[2] = {RANDOM_OF(&r, numbers), NE_S64};
		uint32_t axis = rng_below(&r, s.rank);
		bool most = rng_below(&r, 2);
		struct node_case c;
		const void *x;

		begin(&c);
		c.attr.axis = (int32_t)axis;
		c.attr.kind = !most;
		c.attr.slice.size[axis] = rng_between(&r, 1, s.dim[axis]);
		x = add_random(&c, &r, t[0], &s);
		run(&c, NE_OP_TOPK, 2, t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			size_t place = (size_t)at(c.y[1], NE_S64, i), ahead = 0;
			int32_t p[NE_MAX_RANK], rank_here;

			coordinates(&y, i, p);
			rank_here = p[axis];
			assert_true(place < (size_t)s.dim[axis]);
			p[axis] = (int32_t)place;
			expect(seed_, "topk", !most, i, at(c.y[0], t[0], i),
			       at(x, t[0], element(&s, p)));
			/* as many stand before it as its place in the order says */
			for (int32_t k = 0; k < s.dim[axis]; k++) {
				p[axis] = k;
				ahead += before(at(x, t[0], element(&s, p)), (size_t)k,
						at(c.y[0], t[0], i), place, most);
			}
			assert_int_equal(ahead, rank_here);
		}
		done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_take_what_they_name),
		cmocka_unit_test(picks_take_what_they_list),
		cmocka_unit_test(gathers_lead_where_indices_say),
		cmocka_unit_test(scatters_write_where_indices_say),
		cmocka_unit_test(tuples_name_rows),
		cmocka_unit_test(products_of_matrices),
		cmocka_unit_test(sums_along_an_axis),
		cmocka_unit_test(the_first_k_in_order),
	};

	return cmocka_run_group_tests_name("operators by index", tests, NULL, NULL);
}
