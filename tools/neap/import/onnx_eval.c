/* SPDX-License-Identifier: MIT */
/*
 * Operators of constants alone. Instead of a second implementation of each on the host, the node is
 * imported into a graph of its own, which the engine runs; its outputs become constants. Operators
 * whose constants may be empty, as those of shapes are, have folds of their own (onnx_fold.c).
 */
#include "tools/neap/import/onnx_internal.h"

#include "engine/run/run.h"

#include <stdlib.h>
#include <string.h>

/* Tensors of the node's outputs, in order, that are not constants already. */
struct outputs {
	uint32_t n, tensor[NE_MAX_IO];
	const char *name[NE_MAX_IO];
};

static void collect(const struct onnx *o, const onnx_node *n, struct outputs *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < n->n_output && ret->n < NE_MAX_IO; i++) {
		const struct onnx_value *v =
			onnx_has_output(n, i) ? onnx_value_find(o, n->output[i]) : NULL;

		if (!v || v->constant || v->tensor < 0)
			continue;
		ret->tensor[ret->n] = (uint32_t)v->tensor;
		ret->name[ret->n++] = n->output[i];
	}
}

static int run(struct onnx *o, const struct ne_model *m, struct onnx_const **c)
{
	struct ne_program *p = NULL;
	struct ne_context *ctx = NULL;
	void *out[NE_MAX_IO];
	int r = ne_program_new(m, NULL, &p, o->err);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < ne_program_outputs(p) && r == 0; i++) {
		const struct ne_io *io = ne_program_output(p, i);
		int64_t dim[NE_MAX_RANK];

		for (uint32_t k = 0; k < io->shape.rank; k++)
			dim[k] = io->shape.dim[k];
		c[i] = onnx_const_new(io->dtype, io->shape.rank, dim);
		r = c[i] ? 0 : -ENOMEM;
		out[i] = c[i] ? c[i]->data : NULL;
	}
	if (r == 0)
		r = ne_context_new(p, 1, &ctx);
	if (r == 0)
		r = ne_run(p, ctx, 0, NULL, out, NULL, NULL);
	ne_context_free(ctx);
	ne_program_free(p);
	return r < 0 ? ne_fail(o->err, -r, "no memory to work out constants") : 0;
}

/* Elements written and multiply-accumulates: what a file may make an import work out. */
#define WORK_MAX ((uint64_t)1 << 28)

static int check_work(struct onnx *o, const onnx_node *n, const struct ne_model *m)
{
	const struct ne_graph *g = &m->graph;
	uint64_t work = ne_model_macs(m, 0, 0);

	for (uint32_t i = 0; i < g->n_node && work <= WORK_MAX; i++)
		for (uint32_t k = 0; k < g->node[i].n_out; k++)
			work += ne_shape_elements(&g->tensor[g->node[i].out[k]].shape);
	if (work > WORK_MAX)
		return onnx_fail(o, n, E2BIG,
				 "a constant that takes more than %llu steps to work out",
				 (unsigned long long)WORK_MAX);
	return 0;
}

/* Gives the outputs their values; what was made of them in the graph is forgotten. */
static int evaluate(struct onnx *o, const onnx_node *n, struct ne_model *m)
{
	struct onnx_const *c[NE_MAX_IO] = {NULL};
	struct outputs out;
	int r;

	collect(o, n, &out);
	if (out.n == 0)
		return 0;
	r = ne_graph_add_exit(&m->graph, out.n, out.tensor);
	if (r >= 0)
		r = ne_graph_compact(&m->graph, o->err);
	if (r >= 0)
		r = ne_model_add_default_levels(m, o->err);
	if (r >= 0)
		r = check_work(o, n, m);
	if (r >= 0)
		r = run(o, m, c);
	for (uint32_t i = 0; i < out.n; i++) {
		struct onnx_value *v = onnx_value_find(o, out.name[i]);

		if (r >= 0) {
			v->constant = c[i];
			v->tensor = -1;
		} else {
			onnx_const_free(c[i]);
		}
	}
	return r < 0 ? r : 0;
}

int onnx_eval(struct onnx *o, const onnx_node *n)
{
	const struct onnx_op *op = onnx_op_find(n->op_type);
	struct ne_model *m = ne_model_new();
	struct ne_graph *graph = o->g;
	int64_t *had = calloc(n->n_input + 1, sizeof(*had));
	int r;

	if (!m || !had) {
		ne_model_free(m);
		free(had);
		return onnx_fail(o, n, ENOMEM, "no memory");
	}
	/* the inputs' tensors of the other graph are put aside; the last mention of one is restored
	 * first, so the first, which saved the truth, is restored last */
	for (size_t i = 0; i < n->n_input; i++) {
		struct onnx_value *v = onnx_in(o, n, i);

		had[i] = v ? v->tensor : -1;
		if (v)
			v->tensor = -1;
	}
	o->g = &m->graph;
	r = op->import(o, n);
	if (r >= 0)
		r = evaluate(o, n, m);
	o->g = graph;
	for (size_t i = n->n_input; i-- > 0;) {
		struct onnx_value *v = onnx_in(o, n, i);

		if (v)
			v->tensor = had[i];
	}
	free(had);
	ne_model_free(m);
	return r;
}
