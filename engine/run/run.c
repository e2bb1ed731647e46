/* SPDX-License-Identifier: MIT */
/*
 * Running a plan. Nothing here allocates, opens or locks: the arena, the scratch and the threads
 * were made with the context.
 */
#include "engine/run/context.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 64u
#define MIN_SHARED  200000u /* cost of a step below which waking others takes longer */

int ne_context_new(const struct ne_program *p, uint32_t threads, struct ne_context **ret)
{
	struct ne_context *c;
	int r = -ENOMEM;

	if (!threads || threads > MAX_THREADS)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->threads = threads;
	c->arena_bytes = p->arena_bytes;
	c->scratch_bytes = p->scratch_bytes;
	c->stage_bytes = p->stage_bytes;
	c->arena = ne_alloc_aligned(p->arena_bytes);
	c->stage = ne_alloc_aligned(p->stage_bytes);
	c->frame.scratch = ne_alloc_aligned(p->scratch_bytes);
	c->frame.base = c->base;
	if (!c->arena || !c->stage || !c->frame.scratch)
		goto fail;
	if (p->n_state) {
		r = ne_state_new(p, &c->own);
		if (r < 0)
			goto fail;
		c->state = c->own;
	}
	c->base[NE_BASE_ARENA] = (uintptr_t)c->arena;
	if (threads > 1) {
		r = ne_crew_new(threads - 1, p->scratch_bytes, c->base, &c->crew);
		if (r < 0)
			goto fail;
	}
	*ret = c;
	return 0;
fail:
	ne_context_free(c);
	return r;
}

void ne_context_free(struct ne_context *c)
{
	if (!c)
		return;
	ne_crew_free(c->crew);
	ne_state_free(c->own);
	free(c->arena);
	free(c->stage);
	free(c->frame.scratch);
	free(c);
}

void ne_context_observe(struct ne_context *c, const struct ne_observer *o)
{
	c->observer = o ? *o : (struct ne_observer){0};
}

void ne_context_set_state(struct ne_context *c, struct ne_state *s)
{
	c->state = s ? s : c->own;
}

struct ne_state *ne_context_state(struct ne_context *c)
{
	return c->state;
}

void ne_context_drop_state(struct ne_context *c)
{
	if (c->state == c->own)
		c->state = NULL;
	ne_state_free(c->own);
	c->own = NULL;
}

void ne_context_reset(struct ne_context *c)
{
	if (c->state)
		ne_state_reset(c->state);
}

/* ---- observing (calibration only) ---- */

/* Tells of @tensor, and of the tensors that share its memory: reshapes make no step. */
static void observe(const struct ne_context *c, const struct ne_plan *plan, uint32_t tensor)
{
	for (uint32_t i = 0; i < plan->n_place; i++) {
		const struct ne_place *p = &plan->place[i];

		if (p->root == tensor)
			c->observer.tensor(c->observer.user, p->tensor, ne_at(&c->frame, p->ref),
					   p->elements);
	}
}

static void observe_inputs(const struct ne_context *c, const struct ne_program *p,
			   const struct ne_plan *plan)
{
	for (uint32_t i = 0; i < p->n_in; i++)
		observe(c, plan, p->in_tensor[i]);
	for (uint32_t i = 0; i < plan->n_place; i++)
		if (plan->place[i].ref.base == NE_BASE_STATE &&
		    plan->place[i].root == plan->place[i].tensor)
			observe(c, plan, plan->place[i].tensor);
}

/* ---- steps ---- */

static void run_segment(struct ne_context *c, const struct ne_plan *plan, struct ne_segment seg)
{
	for (uint32_t i = 0; i < seg.n; i++) {
		const struct ne_step *s = &plan->step[seg.first + i];

		if (c->crew && s->units > s->grain && s->cost >= MIN_SHARED)
			ne_crew_step(c->crew, s, &c->frame);
		else
			s->run(s, &c->frame, 0, s->units);
		if (c->observer.step)
			c->observer.step(c->observer.user, s->tensor);
		if (c->observer.tensor && s->tensor != NE_NONE)
			observe(c, plan, s->tensor);
	}
}

static void bind_inputs(struct ne_context *c, const struct ne_program *p, const void *const *in)
{
	for (uint32_t i = 0; i < p->n_in; i++) {
		size_t size = ne_dtype_size(p->in[i].dtype);
		uintptr_t at = (uintptr_t)in[i];

		if (at & (size - 1)) {
			void *copy = (char *)c->stage + p->stage_offset[i];

			memcpy(copy, in[i], p->in[i].bytes);
			at = (uintptr_t)copy;
		}
		c->base[NE_BASE_IN + i] = at;
	}
}

/* ---- answers ---- */

static size_t elements_of(const struct ne_io *io)
{
	return io->bytes / ne_dtype_size(io->dtype);
}

/* The largest value of output 0 of exit @e, where it is f32. NaN is never the largest. */
static void find_top(const struct ne_context *c, const struct ne_program *p,
		     const struct ne_plan *plan, uint32_t e, struct ne_result *ret)
{
	const void *v = ne_at(&c->frame, plan->out[e * p->n_out]);
	size_t n = elements_of(&p->out[0]);
	uint32_t best = 0;

	ret->depth = e;
	ret->top = 0;
	ret->top_index = 0;
	if (p->out[0].dtype == NE_F32) {
		const float *f = v;
		float top = -INFINITY;

		for (uint32_t i = 0; i < n; i++)
			if (f[i] > top) {
				top = f[i];
				best = i;
			}
		ret->top = top;
	} else if (p->out[0].dtype == NE_S8) {
		const int8_t *q = v;
		int8_t top = INT8_MIN; /* two loops that vectors can do */
		const int8_t *at;

		for (size_t i = 0; i < n; i++)
			top = NE_MAX(top, q[i]);
		at = memchr(q, (uint8_t)top, n);
		best = at ? (uint32_t)(at - q) : 0;
	} else if (p->out[0].dtype == NE_U8) {
		const uint8_t *q = v;
		uint8_t top = 0;

		for (size_t i = 0; i < n; i++)
			top = NE_MAX(top, q[i]);
		for (; best < n && q[best] != top; best++)
			;
		best = best < n ? best : 0;
	}
	ret->top_index = best;
}

static void answer(const struct ne_context *c, const struct ne_program *p,
		   const struct ne_plan *plan, uint32_t e, void *const *out)
{
	for (uint32_t k = 0; k < p->n_out; k++)
		memcpy(out[k], ne_at(&c->frame, plan->out[e * p->n_out + k]), p->out[k].bytes);
}

/* At exit @e on the way: true where the run answers from it. */
static bool pass_exit(struct ne_context *c, const struct ne_program *p, const struct ne_plan *plan,
		      uint32_t e, const struct ne_hooks *hooks, struct ne_result *ret)
{
	enum ne_exit_choice choice =
		hooks && hooks->pass ? hooks->pass(hooks->user, e) : NE_EXIT_CONTINUE;

	if (choice != NE_EXIT_CONTINUE || c->observer.tensor)
		run_segment(c, plan, plan->head[e]);
	if (choice == NE_EXIT_CONTINUE)
		return false;
	find_top(c, p, plan, e, ret);
	if (choice == NE_EXIT_STOP)
		return true;
	return hooks->seen && hooks->seen(hooks->user, e, ret->top);
}

int ne_run(const struct ne_program *p, struct ne_context *c, uint32_t level, const void *const *in,
	   void *const *out, const struct ne_hooks *hooks, struct ne_result *ret)
{
	struct ne_result result = {0};
	const struct ne_plan *plan;
	bool done = false;
	uint32_t e;

	if (level >= p->n_level || p->arena_bytes > c->arena_bytes ||
	    p->scratch_bytes > c->scratch_bytes || p->stage_bytes > c->stage_bytes)
		return -EINVAL;
	plan = &p->plan[level];
	if (p->n_state) {
		if (!c->state)
			return -EINVAL;
		NE_RETURN_IF(ne_state_begin(p, level, c->state, c->base));
		hooks = NULL; /* what stays behind is of no use to the next run */
	}
	bind_inputs(c, p, in);
	if (c->crew)
		ne_crew_begin(c->crew);
	if (c->observer.tensor)
		observe_inputs(c, p, plan);
	for (e = 0; e < plan->depth && !done; e++) {
		run_segment(c, plan, plan->trunk[e]);
		done = pass_exit(c, p, plan, e, hooks, &result);
	}
	if (!done) {
		run_segment(c, plan, plan->trunk[plan->depth]);
		result.depth = plan->depth;
		if (ret)
			find_top(c, p, plan, plan->depth, &result);
	}
	answer(c, p, plan, result.depth, out);
	if (p->n_state)
		ne_state_commit(p, level, c->state, &c->frame);
	if (c->crew)
		ne_crew_end(c->crew);
	if (ret)
		*ret = result;
	return 0;
}
