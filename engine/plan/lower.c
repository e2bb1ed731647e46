/* SPDX-License-Identifier: MIT */
/* What the operators share when they become steps: steps, tables, quantisation, windows. */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int ne_lower_no_memory(struct ne_lower *lw, const struct ne_node *n)
{
	return ne_node_fail(lw->err, ENOMEM, n, "out of memory, or the program is over %zu bytes",
			    NE_MAX_POOL_BYTES);
}

int ne_lower_step(struct ne_lower *lw,
		  void (*run)(const struct ne_step *, const struct ne_frame *, uint32_t, uint32_t),
		  const void *args, size_t args_bytes, size_t units, uint32_t grain, uint64_t cost,
		  uint32_t tensor)
{
	void *copy = ne_pool_alloc(lw->pool, args_bytes);

	if (lw->n_step == lw->step_capacity) {
		uint32_t more = lw->step_capacity ? 2 * lw->step_capacity : 16;
		struct ne_step *p = realloc(lw->step, more * sizeof(*p));

		if (!p)
			return ne_fail(lw->err, ENOMEM, "out of memory building a plan");
		lw->step = p;
		lw->step_capacity = more;
	}
	if (!copy)
		return ne_fail(lw->err, ENOMEM, "out of memory building a plan");
	memcpy(copy, args, args_bytes);
	lw->step[lw->n_step++] = (struct ne_step){
		.run = run,
		.args = copy,
		.units = (uint32_t)units,
		.grain = grain,
		.cost = cost,
		.tensor = tensor,
	};
	return 0;
}

const void *ne_lower_table(struct ne_lower *lw, const void *data, size_t bytes)
{
	return ne_pool_intern(lw->pool, data, bytes);
}

void ne_lower_scratch(struct ne_lower *lw, size_t bytes)
{
	lw->scratch_bytes = NE_MAX(lw->scratch_bytes, bytes);
}

struct ne_quant ne_lower_quant(const struct ne_lower *lw, uint32_t tensor)
{
	const struct ne_tensor *t = &lw->g->tensor[tensor];
	struct ne_quant q = lw->width->quant[tensor];

	if (!(q.scale > 0) && t->data && t->n_scale == 1)
		q = (struct ne_quant){t->scale[0], 0};
	return q;
}

bool ne_quant_equal(struct ne_quant a, struct ne_quant b)
{
	return a.scale == b.scale && a.zero == b.zero;
}

void ne_act_limits_f32(int32_t act, float *lo, float *hi)
{
	*lo = act == NE_ACT_NONE ? -INFINITY : 0.0f;
	*hi = act == NE_ACT_RELU6 ? 6.0f : INFINITY;
}

int8_t ne_quantise_real(double real, struct ne_quant q, int32_t lo, int32_t hi)
{
	float v = rintf((float)real / q.scale) + (float)q.zero;

	return (int8_t)(v >= (float)lo ? (v <= (float)hi ? v : (float)hi)
				       : (float)lo); /* NaN: lo */
}

void ne_act_limits_s8(int32_t act, struct ne_quant q, int32_t *lo, int32_t *hi)
{
	*lo = act == NE_ACT_NONE ? INT8_MIN : q.zero;
	*hi = act == NE_ACT_RELU6 ? ne_quantise_real(6.0, q, INT8_MIN, INT8_MAX) : INT8_MAX;
}

struct lut_args {
	struct ne_ref x, y;
	const int8_t *table;
	void (*fn)(int8_t *y, const int8_t *x, size_t n, const int8_t table[256]);
};

static void run_lut(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct lut_args *a = s->args;

	a->fn((int8_t *)ne_at(f, a->y) + first, (const int8_t *)ne_at(f, a->x) + first, n,
	      a->table);
}

int ne_lower_lut(struct ne_lower *lw, struct ne_ref x, struct ne_ref y, size_t n,
		 const int8_t table[256], uint32_t tensor)
{
	struct lut_args a = {x, y, ne_lower_table(lw, table, 256), lw->k->lut_s8};

	if (!a.table)
		return ne_fail(lw->err, ENOMEM, "out of memory building a plan");
	return ne_lower_step(lw, run_lut, &a, sizeof(a), n, 4096, n, tensor);
}

void ne_rescale_table(int8_t table[256], struct ne_quant from, struct ne_quant to)
{
	for (int i = 0; i < 256; i++) {
		int8_t q = (int8_t)(uint8_t)i;

		table[i] = ne_quantise_real(((double)q - from.zero) * (double)from.scale, to,
					    INT8_MIN, INT8_MAX);
	}
}

/* A table of @entries that ne_lower_table() can take, or NULL with the reason set. */
static int32_t *new_indirection(struct ne_lower *lw, const struct ne_node *n, uint64_t entries,
				int *ret_error)
{
	int32_t *ind = NULL;

	if (entries > NE_MAX_INDIRECTION) {
		*ret_error = ne_node_fail(lw->err, E2BIG, n,
					  "%llu window taps, more than the limit of %zu",
					  (unsigned long long)entries, NE_MAX_INDIRECTION);
		return NULL;
	}
	ind = malloc((entries ? entries : 1) * sizeof(*ind));
	if (!ind)
		*ret_error = ne_lower_no_memory(lw, n);
	return ind;
}

static int share_indirection(struct ne_lower *lw, const struct ne_node *n, int32_t *ind,
			     uint64_t entries, const int32_t **ret)
{
	*ret = ne_lower_table(lw, ind, entries * sizeof(*ind));
	free(ind);
	return *ret ? 0 : ne_lower_no_memory(lw, n);
}

int ne_lower_windows(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
		     const int32_t **ret_ind)
{
	const struct ne_window *v = &w->win;
	uint64_t taps = (uint64_t)v->kh * (uint64_t)v->kw;
	uint64_t pixels = (uint64_t)w->oh * (uint64_t)w->ow, entries;
	int32_t *ind, *p;
	int r = 0;

	if (pixels > NE_MAX_INDIRECTION || taps > NE_MAX_INDIRECTION)
		entries = UINT64_MAX;
	else
		entries = pixels * taps;
	ind = p = new_indirection(lw, n, entries, &r);
	if (!ind)
		return r;
	for (int64_t oy = 0; oy < w->oh; oy++)
		for (int64_t ox = 0; ox < w->ow; ox++)
			for (int64_t ky = 0; ky < v->kh; ky++)
				for (int64_t kx = 0; kx < v->kw; kx++) {
					int64_t y = oy * v->sh - v->pad_top + ky * v->dh;
					int64_t x = ox * v->sw - v->pad_left + kx * v->dw;
					bool in = y >= 0 && y < w->x.h && x >= 0 && x < w->x.w;

					*p++ = in ? (int32_t)((y * w->x.w + x) * w->x.c) : -1;
				}
	return share_indirection(lw, n, ind, entries, ret_ind);
}

int ne_lower_rows(struct ne_lower *lw, const struct ne_node *n, size_t rows, size_t stride,
		  const int32_t **ret_ind)
{
	int32_t *ind;
	int r = 0;

	ind = new_indirection(lw, n, rows, &r);
	if (!ind)
		return r;
	for (size_t i = 0; i < rows; i++)
		ind[i] = (int32_t)(i * stride);
	return share_indirection(lw, n, ind, rows, ret_ind);
}
