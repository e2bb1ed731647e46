/* SPDX-License-Identifier: MIT */
/* A program: the model checked, its weights packed, a plan for every level. */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <stdlib.h>
#include <string.h>

static int describe_io(struct ne_program *p, const struct ne_model *m, uint32_t tensor,
		       struct ne_io *io, struct ne_error *err)
{
	const struct ne_tensor *t = &m->graph.tensor[tensor];
	size_t length = strlen(t->name ? t->name : "");
	char *name = ne_pool_alloc(&p->pool, length + 1);

	if (!name)
		return ne_fail(err, ENOMEM, "out of memory building the program");
	memcpy(name, t->name ? t->name : "", length);
	*io = (struct ne_io){
		.name = name,
		.dtype = t->dtype,
		.shape = t->shape,
		.quant = m->width[0].quant[tensor],
		.bytes = ne_shape_elements(&t->shape) * ne_dtype_size(t->dtype),
	};
	return 0;
}

static int describe(struct ne_program *p, const struct ne_model *m, struct ne_error *err)
{
	const struct ne_graph *g = &m->graph;
	const struct ne_exit *last = &g->exit[g->n_exit - 1];

	p->n_in = g->n_in;
	p->n_out = last->n_out;
	p->in = calloc(p->n_in + 1u, sizeof(*p->in));
	p->out = calloc(p->n_out, sizeof(*p->out));
	p->in_tensor = calloc(p->n_in + 1u, sizeof(*p->in_tensor));
	p->stage_offset = calloc(p->n_in + 1u, sizeof(*p->stage_offset));
	p->level = calloc(m->n_level, sizeof(*p->level));
	p->plan = calloc(m->n_level, sizeof(*p->plan));
	if (!p->in || !p->out || !p->in_tensor || !p->stage_offset || !p->level || !p->plan)
		return ne_fail(err, ENOMEM, "out of memory building the program");
	for (uint32_t i = 0; i < p->n_in; i++) {
		NE_RETURN_IF(describe_io(p, m, g->in[i], &p->in[i], err));
		p->in_tensor[i] = g->in[i];
		p->stage_offset[i] = p->stage_bytes;
		if (ne_dtype_size(p->in[i].dtype) > 1)
			p->stage_bytes += ne_round_up(p->in[i].bytes, NE_ALIGN);
	}
	for (uint32_t k = 0; k < p->n_out; k++)
		NE_RETURN_IF(describe_io(p, m, last->out[k], &p->out[k], err));
	memcpy(p->level, m->level, m->n_level * sizeof(*p->level));
	return 0;
}

/* Where the states lie in a bank, and what they start with. */
static int describe_states(struct ne_program *p, const struct ne_model *m, struct ne_error *err)
{
	const struct ne_graph *g = &m->graph;

	p->n_state = g->n_state;
	p->state = calloc(p->n_state + 1u, sizeof(*p->state));
	if (!p->state)
		return ne_fail(err, ENOMEM, "out of memory building the program");
	for (uint32_t i = 0; i < p->n_state; i++) {
		const struct ne_tensor *t = &g->tensor[g->state[i].in];
		struct ne_state_slot *s = &p->state[i];

		s->size = ne_dtype_size(t->dtype);
		s->bytes = ne_shape_elements(&t->shape) * s->size;
		s->offset = p->state_bytes;
		p->state_bytes += ne_round_up(s->bytes, NE_ALIGN);
		if (p->state_bytes > NE_MAX_STATE_BYTES)
			return ne_fail(err, E2BIG,
				       "the states would be over the limit of %zu bytes",
				       NE_MAX_STATE_BYTES);
		if (g->state[i].initial == NE_NONE)
			continue;
		s->initial =
			ne_pool_intern(&p->pool, g->tensor[g->state[i].initial].data, s->bytes);
		if (!s->initial)
			return ne_fail(err, ENOMEM, "out of memory building the program");
	}
	return 0;
}

static int build_plans(struct ne_program *p, const struct ne_model *m, struct ne_error *err)
{
	struct ne_lower lw = {
		.m = m,
		.g = &m->graph,
		.k = &p->k,
		.pool = &p->pool,
		.tune = {NE_MIN(NE_TUNE_NS + (m->n_level - 1) * (int64_t)NE_TUNE_LEVEL_NS,
				NE_TUNE_MOST_NS)},
		.state = p->state,
		.err = err};
	int r;

	lw.packed = calloc(m->graph.n_node + 1u, sizeof(*lw.packed));
	if (!lw.packed)
		return ne_fail(err, ENOMEM, "out of memory building the program");
	r = ne_own_choose(&lw);
	for (uint32_t i = 0; i < m->n_level && r == 0; i++) {
		lw.width = &m->width[m->level[i].width];
		r = ne_plan_build(&lw, &m->level[i], &p->plan[i]);
		if (r < 0)
			break;
		p->n_level = i + 1;
		p->arena_bytes = NE_MAX(p->arena_bytes, p->plan[i].arena_bytes);
	}
	p->scratch_bytes = ne_round_up(lw.scratch_bytes, NE_ALIGN);
	free(lw.own);
	free(lw.packed);
	return r;
}

int ne_program_new(const struct ne_model *m, const struct ne_program_options *opt,
		   struct ne_program **ret, struct ne_error *err)
{
	const char *cpu = opt ? opt->cpu : NULL;
	struct ne_program *p;
	int r;

	if (cpu && ne_cpu_parse(cpu) < 0)
		return ne_fail(err, EINVAL, "no instruction set '%.32s' is known", cpu);
	NE_RETURN_IF(ne_model_check(m, err));
	if ((uint64_t)m->n_level * (m->graph.n_node + m->graph.n_state) > NE_MAX_PLAN_STEPS)
		return ne_fail(err, E2BIG,
			       "%u levels of %u nodes and %u states: more than %u steps",
			       m->n_level, m->graph.n_node, m->graph.n_state, NE_MAX_PLAN_STEPS);
	p = calloc(1, sizeof(*p));
	if (!p || ne_pool_init(&p->pool) < 0) {
		free(p);
		return ne_fail(err, ENOMEM, "out of memory building the program");
	}
	ne_kernels_init(&p->k, ne_cpu_select(cpu));
	r = describe(p, m, err);
	if (r == 0)
		r = describe_states(p, m, err);
	if (r == 0)
		r = build_plans(p, m, err);
	ne_pool_seal(&p->pool);
	if (r < 0) {
		ne_program_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void ne_program_free(struct ne_program *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; p->plan && i < p->n_level; i++)
		ne_plan_done(&p->plan[i]);
	free(p->plan);
	free(p->state);
	free(p->level);
	free(p->in);
	free(p->out);
	free(p->in_tensor);
	free(p->stage_offset);
	ne_pool_done(&p->pool);
	free(p);
}

uint32_t ne_program_inputs(const struct ne_program *p)
{
	return p->n_in;
}

uint32_t ne_program_outputs(const struct ne_program *p)
{
	return p->n_out;
}

const struct ne_io *ne_program_input(const struct ne_program *p, uint32_t i)
{
	return i < p->n_in ? &p->in[i] : NULL;
}

const struct ne_io *ne_program_output(const struct ne_program *p, uint32_t i)
{
	return i < p->n_out ? &p->out[i] : NULL;
}

uint32_t ne_program_levels(const struct ne_program *p)
{
	return p->n_level;
}

const struct ne_level *ne_program_level(const struct ne_program *p, uint32_t level)
{
	return level < p->n_level ? &p->level[level] : NULL;
}

int ne_program_level_at(const struct ne_program *p, uint32_t level, uint32_t depth)
{
	if (level >= p->n_level)
		return -EINVAL;
	if (p->level[level].depth == depth)
		return (int)level;
	for (uint32_t i = 0; i < p->n_level; i++)
		if (p->level[i].width == p->level[level].width && p->level[i].depth == depth)
			return (int)i;
	return -ENOENT;
}

size_t ne_program_packed_bytes(const struct ne_program *p)
{
	return p->pool.bytes;
}

size_t ne_program_arena_bytes(const struct ne_program *p, uint32_t level)
{
	return level < p->n_level ? p->plan[level].arena_bytes : 0;
}

uint32_t ne_program_states(const struct ne_program *p)
{
	return p->n_state;
}

size_t ne_program_state_bytes(const struct ne_program *p)
{
	return p->n_state ? 2 * p->state_bytes : 0;
}

const char *ne_program_cpu(const struct ne_program *p)
{
	return p->k.cpu;
}
