/* SPDX-License-Identifier: MIT */
/*
 * Reductions over any set of axes. Neighbouring axes that are reduced, or kept, alike are joined
 * first; then either the innermost run is reduced (a sum along a row) or it is kept, and rows are
 * added up element by element. Real values are gathered in f32, rows in eight partial sums, integers
 * in s64.
 */
#include "engine/op/elem.h"
#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <math.h>
#include <string.h>

static bool is_arg(int32_t kind)
{
	return kind >= NE_REDUCE_ARGMAX && kind <= NE_REDUCE_ARGMIN_LAST;
}

NE_OP_CHECK(reduce)
{
	const struct ne_tensor *x = ne_node_in(g, n, 0), *y = ne_node_out(g, n);
	int32_t kind = n->attr.kind;
	bool fits = x->dtype == y->dtype && x->dtype != NE_F16;

	if (kind < 1 || kind >= NE_REDUCE_COUNT)
		return ne_node_fail(err, EINVAL, n, "no reduction %d", kind);
	if (is_arg(kind))
		fits = y->dtype == NE_S64 && x->dtype != NE_F16;
	else if (x->dtype == NE_BOOL)
		fits = fits && (kind == NE_REDUCE_MAX || kind == NE_REDUCE_MIN);
	if (!fits)
		return ne_node_fail(err, EINVAL, n, "reduction %d of types %s to %s", kind,
				    ne_dtype_name(x->dtype), ne_dtype_name(y->dtype));
	if (is_arg(kind) && (!n->attr.axes || n->attr.axes & (n->attr.axes - 1)))
		return ne_node_fail(err, EINVAL, n, "the place of an extreme is along one axis");
	return ne_check_uncut(g, n, err);
}

NE_OP_INFER(reduce)
{
	(void)g;
	if (n->attr.axes >> in[0].rank)
		return ne_node_fail(err, EINVAL, n, "axes 0x%x of rank %u", n->attr.axes,
				    in[0].rank);
	*ret = in[0];
	for (uint32_t i = 0; i < in[0].rank; i++)
		if (n->attr.axes >> i & 1)
			ret->dim[i] = 1;
	return 0;
}

/* Joined axes, outermost first: kept and reduced ones take turns. */
struct walk {
	uint32_t n;
	uint32_t dim[NE_MAX_RANK];
	size_t stride[NE_MAX_RANK];
};

struct reduce_args {
	struct ne_ref x, y;
	struct ne_elem in, out;
	int32_t kind;
	bool inner_reduced;        /* what the innermost run is */
	uint32_t run;              /* its elements */
	struct walk kept, reduced; /* without the innermost run */
	uint32_t n_reduced;        /* combinations of `reduced` */
	double count;              /* of all that one result stands for */
	/* arg: */
	uint32_t length;
	size_t step; /* elements */
};

static size_t place(const struct walk *w, uint32_t i)
{
	size_t at = 0;

	for (uint32_t d = w->n; d-- > 0; i /= w->dim[d])
		at += (size_t)(i % w->dim[d]) * w->stride[d];
	return at;
}

/* ---- one accumulator ---- */

static double start_of(int32_t kind)
{
	switch (kind) {
	case NE_REDUCE_MAX:
	case NE_REDUCE_LOG_SUM_EXP: /* the largest first */
		return -INFINITY;
	case NE_REDUCE_MIN:
		return INFINITY;
	case NE_REDUCE_PROD:
		return 1;
	default:
		return 0;
	}
}

/* acc[i] with v[i]: element by element. */
static void join_f32(float *acc, const float *v, size_t n, int32_t kind)
{
#define EACH(expr)                     \
	for (size_t i = 0; i < n; i++) \
		acc[i] = (expr);       \
	break
	switch (kind) {
	case NE_REDUCE_MAX:
	case NE_REDUCE_LOG_SUM_EXP:
		EACH(v[i] > acc[i] || isnan(v[i]) ? v[i] : acc[i]);
	case NE_REDUCE_MIN:
		EACH(v[i] < acc[i] || isnan(v[i]) ? v[i] : acc[i]);
	case NE_REDUCE_PROD:
		EACH(acc[i] * v[i]);
	case NE_REDUCE_L1:
		EACH(acc[i] + fabsf(v[i]));
	case NE_REDUCE_L2:
	case NE_REDUCE_SUM_SQUARE:
		EACH(acc[i] + v[i] * v[i]);
	default:
		EACH(acc[i] + v[i]);
	}
#undef EACH
}

static float finish_f32(const struct reduce_args *c, float v)
{
	switch (c->kind) {
	case NE_REDUCE_MEAN:
		return (float)((double)v / c->count);
	case NE_REDUCE_L2:
		return sqrtf(v);
	case NE_REDUCE_LOG_SUM:
		return logf(v);
	default:
		return v;
	}
}

static int64_t join_s64(int64_t acc, int64_t v, int32_t kind)
{
	switch (kind) {
	case NE_REDUCE_MAX:
		return NE_MAX(acc, v);
	case NE_REDUCE_MIN:
		return NE_MIN(acc, v);
	case NE_REDUCE_PROD:
		return (int64_t)((uint64_t)acc * (uint64_t)v);
	case NE_REDUCE_L1:
		return (int64_t)((uint64_t)acc + (v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
	case NE_REDUCE_L2:
	case NE_REDUCE_SUM_SQUARE:
		return (int64_t)((uint64_t)acc + (uint64_t)v * (uint64_t)v);
	default:
		return (int64_t)((uint64_t)acc + (uint64_t)v);
	}
}

static int64_t finish_s64(const struct reduce_args *c, int64_t v)
{
	switch (c->kind) {
	case NE_REDUCE_MEAN: /* truncated as integer division is */
		return v / (int64_t)c->count;
	case NE_REDUCE_L2:
		return (int64_t)sqrt((double)v);
	case NE_REDUCE_LOG_SUM:
		return v > 0 ? (int64_t)log((double)v) : 0;
	default:
		return v;
	}
}

/* ---- the innermost run is reduced: units are results ---- */

#define LANES 8u

static float row_f32(const struct reduce_args *c, const char *x, float acc)
{
	size_t size = ne_dtype_size(c->in.type);
	float lane[LANES], chunk[NE_CHUNK];

	for (uint32_t i = 0; i < LANES; i++)
		lane[i] = (float)start_of(c->kind);
	for (uint32_t k = 0; k < c->run; k += NE_CHUNK) {
		uint32_t m = NE_MIN(NE_CHUNK, c->run - k), i = 0;
		const float *v = (const void *)(x + k * size);

		if (c->in.type != NE_F32) {
			ne_elem_load_f32(chunk, x + k * size, m, &c->in);
			v = chunk;
		}
		for (; i + LANES <= m; i += LANES)
			join_f32(lane, v + i, LANES, c->kind);
		join_f32(lane, v + i, m - i, c->kind);
	}
	/* the lanes hold sums (of squares) already */
	for (uint32_t i = 0; i < LANES; i++)
		join_f32(&acc, &lane[i], 1,
			 c->kind == NE_REDUCE_L1 || c->kind == NE_REDUCE_L2 ||
					 c->kind == NE_REDUCE_SUM_SQUARE
				 ? NE_REDUCE_SUM
				 : c->kind);
	return acc;
}

static float log_sum_exp(const struct reduce_args *c, const char *x, float most)
{
	size_t size = ne_dtype_size(c->in.type);
	double sum = 0;

	if (!isfinite(most))
		return most;
	for (uint32_t r = 0; r < c->n_reduced; r++)
		for (uint32_t k = 0; k < c->run; k++) {
			float v;

			ne_elem_load_f32(&v, x + (place(&c->reduced, r) + k) * size, 1, &c->in);
			sum += (double)expf(v - most);
		}
	return most + (float)log(sum);
}

static void run_rows(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct reduce_args *c = s->args;
	size_t size = ne_dtype_size(c->in.type), out = ne_dtype_size(c->out.type);
	char *y = ne_at(f, c->y);

	for (uint32_t u = first; u < first + n; u++) {
		const char *x = (const char *)ne_at(f, c->x) + place(&c->kept, u) * size;

		if (ne_elem_is_real(&c->in)) {
			float acc = (float)start_of(c->kind);

			for (uint32_t r = 0; r < c->n_reduced; r++)
				acc = row_f32(c, x + place(&c->reduced, r) * size, acc);
			if (c->kind == NE_REDUCE_LOG_SUM_EXP)
				acc = log_sum_exp(c, x, acc);
			acc = finish_f32(c, acc);
			ne_elem_store_f32(y + u * out, &acc, 1, &c->out);
		} else {
			int64_t acc = 0, v;

			for (uint32_t r = 0; r < c->n_reduced; r++)
				for (uint32_t k = 0; k < c->run; k++) {
					ne_elem_load_s64(&v, x + (place(&c->reduced, r) + k) * size,
							 1, &c->in);
					if (r + k == 0 &&
					    (c->kind == NE_REDUCE_MAX || c->kind == NE_REDUCE_MIN))
						acc = v;
					if (r + k == 0 && c->kind == NE_REDUCE_PROD)
						acc = 1;
					acc = join_s64(acc, v, c->kind);
				}
			acc = finish_s64(c, acc);
			ne_elem_store_s64(y + u * out, &acc, 1, &c->out);
		}
	}
}

/* ---- the innermost run is kept: units are runs of results ---- */

static void add_rows_f32(const struct reduce_args *c, char *y, const char *x, uint32_t at,
			 uint32_t m)
{
	size_t size = ne_dtype_size(c->in.type), out = ne_dtype_size(c->out.type);
	float acc[NE_CHUNK], chunk[NE_CHUNK];

	for (uint32_t i = 0; i < m; i++)
		acc[i] = (float)start_of(c->kind);
	for (uint32_t r = 0; r < c->n_reduced; r++) {
		const char *p = x + (place(&c->reduced, r) + at) * size;

		if (c->in.type == NE_F32) {
			join_f32(acc, (const void *)p, m, c->kind);
			continue;
		}
		ne_elem_load_f32(chunk, p, m, &c->in);
		join_f32(acc, chunk, m, c->kind);
	}
	for (uint32_t i = 0; i < m; i++)
		acc[i] = finish_f32(c, acc[i]);
	ne_elem_store_f32(y + at * out, acc, m, &c->out);
}

static void run_columns(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			uint32_t n)
{
	const struct reduce_args *c = s->args;
	size_t size = ne_dtype_size(c->in.type), out = ne_dtype_size(c->out.type);

	for (uint32_t u = first; u < first + n; u++) {
		const char *x = (const char *)ne_at(f, c->x) + place(&c->kept, u) * size;
		char *y = (char *)ne_at(f, c->y) + (size_t)u * c->run * out;

		for (uint32_t at = 0; at < c->run; at += NE_CHUNK)
			add_rows_f32(c, y, x, at, NE_MIN(NE_CHUNK, c->run - at));
	}
}

/* ---- the place of an extreme: units are results ---- */

static bool before(const struct reduce_args *c, bool more, bool equal)
{
	bool last = c->kind == NE_REDUCE_ARGMAX_LAST || c->kind == NE_REDUCE_ARGMIN_LAST;

	return more || (equal && last);
}

static void run_arg(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct reduce_args *c = s->args;
	bool most = c->kind == NE_REDUCE_ARGMAX || c->kind == NE_REDUCE_ARGMAX_LAST;
	size_t size = ne_dtype_size(c->in.type);
	int64_t *y = ne_at(f, c->y);

	for (uint32_t u = first; u < first + n; u++) {
		const char *x = (const char *)ne_at(f, c->x) + place(&c->kept, u) * size;
		float best_f = 0, v;
		int64_t best = 0, w;

		y[u] = 0;
		for (uint32_t i = 0; i < c->length; i++) {
			const char *p = x + i * c->step * size;
			bool better;

			if (ne_elem_is_real(&c->in)) {
				ne_elem_load_f32(&v, p, 1, &c->in);
				better = before(c, most ? v > best_f : v < best_f,
						v >= best_f && v <= best_f);
				best_f = better || !i ? v : best_f;
			} else {
				ne_elem_load_s64(&w, p, 1, &c->in);
				better = before(c, most ? w > best : w < best, w == best);
				best = better || !i ? w : best;
			}
			y[u] = better && i ? i : y[u];
		}
	}
}

/* ---- lowering ---- */

static void push(struct walk *w, uint32_t dim, size_t stride)
{
	w->dim[w->n] = dim;
	w->stride[w->n++] = stride;
}

/* Joins axes into the walks, outermost first, and takes the innermost run off. @split: the
 * innermost run is reduced element by element (args, integers, log-sum-exp). */
static void join_axes(struct reduce_args *c, const struct ne_shape *x, uint32_t axes, bool rows)
{
	struct {
		uint32_t dim;
		size_t stride;
		bool reduced;
	} j[NE_MAX_RANK];
	size_t stride = 1;
	uint32_t n = 0;

	for (uint32_t i = x->rank; i-- > 0;) {
		bool reduced = axes >> i & 1;

		if (x->dim[i] != 1) {
			if (n && j[n - 1].reduced == reduced) {
				j[n - 1].dim *= (uint32_t)x->dim[i];
			} else {
				j[n].dim = (uint32_t)x->dim[i];
				j[n].stride = stride;
				j[n++].reduced = reduced;
			}
		}
		stride *= (size_t)x->dim[i];
	}
	c->run = 1;
	c->inner_reduced = true;
	if (n && (j[0].reduced || !rows)) {
		c->run = j[0].dim;
		c->inner_reduced = j[0].reduced;
	}
	for (uint32_t k = n; k-- > (c->run > 1 ? 1u : 0u);)
		push(j[k].reduced ? &c->reduced : &c->kept, j[k].dim, j[k].stride);
	c->n_reduced = 1;
	for (uint32_t d = 0; d < c->reduced.n; d++)
		c->n_reduced *= c->reduced.dim[d];
}

static int lower_arg(struct ne_lower *lw, const struct ne_node *n, struct reduce_args *c)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]];
	uint32_t axis = (uint32_t)__builtin_ctz(n->attr.axes);
	size_t stride = 1, elements = ne_shape_elements(xs);

	for (uint32_t i = axis + 1; i < xs->rank; i++)
		stride *= (size_t)xs->dim[i];
	c->length = (uint32_t)xs->dim[axis];
	c->step = stride;
	push(&c->kept, (uint32_t)(elements / stride / c->length), stride * c->length);
	push(&c->kept, (uint32_t)stride, 1);
	return ne_lower_step(lw, run_arg, c, sizeof(*c), elements / c->length, 16, elements * 4,
			     lw->y);
}

NE_OP_LOWER(reduce)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]], *ys = &lw->shape[lw->y];
	struct reduce_args c = {.x = lw->ref[n->in[0]],
				.y = lw->ref[lw->y],
				.in = ne_elem_of(lw, n->in[0]),
				.out = ne_elem_of(lw, lw->y),
				.kind = n->attr.kind};
	size_t elements = ne_shape_elements(xs), results = ne_shape_elements(ys);
	bool columns;

	if (is_arg(c.kind))
		return lower_arg(lw, n, &c);
	c.count = (double)(elements / results);
	columns = ne_elem_is_real(&c.in) && c.kind != NE_REDUCE_LOG_SUM_EXP;
	join_axes(&c, xs, n->attr.axes, !columns);
	if (c.inner_reduced)
		return ne_lower_step(lw, run_rows, &c, sizeof(c), results, 16, elements * 2, lw->y);
	return ne_lower_step(lw, run_columns, &c, sizeof(c), results / c.run, 1, elements, lw->y);
}
