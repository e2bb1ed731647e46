/* SPDX-License-Identifier: MIT */
/*
 * What one stream keeps from run to run: two banks of values. A run reads the current one and
 * writes the other; only a run that ends makes that the current one, so one that fails, or never
 * returns, leaves the state as it was.
 *
 * Values of different networks do not mix: a state remembers the width setting that wrote it, and
 * for each value the run that did, since a level needs only some of them.
 */
#include "engine/run/state.h"

#include <stdlib.h>
#include <string.h>

int ne_state_new(const struct ne_program *p, struct ne_state **ret)
{
	struct ne_state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->n = p->n_state;
	s->bytes = p->state_bytes;
	s->written = calloc(s->n + 1u, sizeof(*s->written));
	s->bank[0] = ne_alloc_aligned(s->bytes);
	s->bank[1] = ne_alloc_aligned(s->bytes);
	if (!s->written || !s->bank[0] || !s->bank[1]) {
		ne_state_free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void ne_state_free(struct ne_state *s)
{
	if (!s)
		return;
	free(s->written);
	free(s->bank[0]);
	free(s->bank[1]);
	free(s);
}

void ne_state_reset(struct ne_state *s)
{
	s->runs = 0;
}

/* Real zero, or the constant that the model gives, for every state. */
static void begin(const struct ne_program *p, const struct ne_plan *plan, struct ne_state *s)
{
	for (uint32_t i = 0; i < p->n_state; i++) {
		const struct ne_state_slot *v = &p->state[i];
		uint8_t *to = s->bank[s->current] + v->offset;

		s->written[i] = 0;
		if (v->initial) {
			memcpy(to, v->initial, v->bytes);
		} else if (v->size == sizeof(int16_t)) {
			int16_t zero = (int16_t)plan->state_zero[i];

			for (size_t k = 0; k < v->bytes; k += sizeof(zero))
				memcpy(to + k, &zero, sizeof(zero));
		} else {
			memset(to, v->size == 1 ? plan->state_zero[i] : 0, v->bytes);
		}
	}
}

int ne_state_begin(const struct ne_program *p, uint32_t level, struct ne_state *s, uintptr_t *base)
{
	const struct ne_plan *plan = &p->plan[level];

	if (s->n != p->n_state || s->bytes != p->state_bytes)
		return -EINVAL;
	if (!s->runs)
		begin(p, plan, s);
	else if (s->width != p->level[level].width)
		return -ESTALE;
	for (uint32_t i = 0; i < plan->n_carry; i++)
		if (s->written[plan->carry[i].state] != s->runs)
			return -ESTALE;
	base[NE_BASE_STATE] = (uintptr_t)s->bank[s->current];
	base[NE_BASE_NEXT] = (uintptr_t)s->bank[!s->current];
	return 0;
}

void ne_state_commit(const struct ne_program *p, uint32_t level, struct ne_state *s,
		     const struct ne_frame *f)
{
	const struct ne_plan *plan = &p->plan[level];

	s->runs++;
	s->width = p->level[level].width;
	for (uint32_t i = 0; i < plan->n_carry; i++) {
		const struct ne_carry *c = &plan->carry[i];

		if (c->bytes)
			memcpy(s->bank[!s->current] + c->to, ne_at(f, c->from), c->bytes);
		s->written[c->state] = s->runs;
	}
	s->current = !s->current;
}
