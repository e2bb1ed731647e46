// SPDX-License-Identifier: MIT
/* The Pareto front. Owns nothing beyond a call. */
#include "tools/neap/train/front.h"

#include <stdlib.h>
#include <string.h>

struct point {
	struct ne_level level;
	float accuracy;
	bool front;
};

static int by_macs(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	if (x->level.macs != y->level.macs)
		return x->level.macs < y->level.macs ? -1 : 1;
	/* Of two at the same cost the better one comes first and hides the other. */
	return x->accuracy > y->accuracy ? -1 : x->accuracy < y->accuracy;
}

static int front_first(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	if (x->front != y->front)
		return x->front ? -1 : 1;
	return x->level.macs < y->level.macs ? -1 : x->level.macs > y->level.macs;
}

static uint32_t mark(struct point *p, uint32_t n, float min_accuracy)
{
	float best = -1.0f;
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		p[i].front = p[i].accuracy > best && p[i].accuracy >= min_accuracy;
		if (p[i].front) {
			best = p[i].accuracy;
			count++;
		}
	}
	return count;
}

/* Takes the point off the front that gains least over the one before it; both ends stay. */
static void thin(struct point *p, uint32_t n)
{
	uint32_t previous = n, first = n, last = n, worst = n;
	float least = 2.0f;

	for (uint32_t i = 0; i < n; i++) {
		if (!p[i].front)
			continue;
		first = first == n ? i : first;
		last = i;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!p[i].front)
			continue;
		if (i != first && i != last && p[i].accuracy - p[previous].accuracy < least) {
			least = p[i].accuracy - p[previous].accuracy;
			worst = i;
		}
		previous = i;
	}
	if (worst < n)
		p[worst].front = false;
}

/* Sorts @p, one point a level of @m, and makes it the model's levels. */
static void put_back(struct ne_model *m, struct point *p)
{
	qsort(p, m->n_level, sizeof(*p), front_first);
	for (uint32_t i = 0; i < m->n_level; i++) {
		m->level[i] = p[i].level;
		m->level[i].flags &= ~(uint32_t)NE_LEVEL_PARETO;
		m->level[i].flags |= p[i].front ? NE_LEVEL_PARETO : 0;
	}
}

int front_choose(struct ne_model *m, const float *accuracy, float min_accuracy, uint32_t most)
{
	struct point *p = calloc(m->n_level + 1, sizeof(*p));
	uint32_t count;

	if (!p)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_level; i++)
		p[i] = (struct point){.level = m->level[i], .accuracy = accuracy[i]};
	qsort(p, m->n_level, sizeof(*p), by_macs);
	count = mark(p, m->n_level, min_accuracy);
	for (; count > NE_MAX(most, 2u); count--)
		thin(p, m->n_level);
	if (count)
		put_back(m, p);
	free(p);
	return count ? 0 : -ERANGE;
}

int front_drop_beaten(struct ne_model *m, float margin)
{
	struct point *p = calloc(m->n_level + 1, sizeof(*p));
	uint32_t left = 0, dropped = 0;

	if (!p)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_level; i++) {
		const struct ne_level *l = &m->level[i];
		bool beaten = l->control_accuracy >= 0.0f && l->f32_accuracy >= 0.0f &&
			      l->control_accuracy - l->f32_accuracy > margin;
		bool front = l->flags & NE_LEVEL_PARETO;

		p[i] = (struct point){.level = *l, .front = front && !beaten};
		left += p[i].front;
		dropped += front && beaten;
	}
	if (left && dropped)
		put_back(m, p);
	free(p);
	return left ? (int)dropped : -ERANGE;
}
