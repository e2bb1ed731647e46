/* SPDX-License-Identifier: MIT */
/*
 * Measuring ways (tune.h). A part of the layer, some microseconds of work, is run by each way in
 * turn, and the best of a few rounds counts: what else the machine does only ever adds time.
 *
 * The memory of choices is a table for the process, under a lock, that is never freed; when it is
 * full the oldest choice is forgotten.
 */
#include "engine/plan/tune.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS     2
#define RUNS       2 /* of a way, in a round */
#define MOST_WAYS  16u
#define PART_MACS  1000000u /* of a layer: 2 to 10 microseconds */
#define MOST_BYTES ((size_t)4 << 20)
#define BETTER     0.96 /* of the time of way 0: less is noise */
#define REMEMBERED 256u

/* Everything that the time depends on; compared as bytes, so without padding. */
struct shape {
	const char *cpu; /* the table's, so the pointer will do */
	struct ne_image_rows im;
	uint32_t ic, oc, n_run, run_steps;
	uint64_t w_run_stride, w_block_stride;
};

static struct {
	pthread_mutex_t lock;
	uint32_t n, next;
	struct {
		struct shape shape;
		uint32_t way;
	} choice[REMEMBERED];
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct shape shape_of(const struct ne_kernels *k, const struct ne_conv_image_s8 *a)
{
	struct shape s;

	memset(&s, 0, sizeof(s));
	s.cpu = k->cpu;
	memcpy(&s.im, &a->im, sizeof(s.im));
	s.im.zero = 0;
	s.ic = a->ic;
	s.oc = a->oc;
	s.n_run = a->n_run;
	s.run_steps = a->run_steps;
	s.w_run_stride = a->w_run_stride;
	s.w_block_stride = a->w_block_stride;
	return s;
}

static bool recall(const struct shape *s, uint32_t *ret)
{
	bool found = false;

	pthread_mutex_lock(&memory.lock);
	for (uint32_t i = 0; i < memory.n && !found; i++)
		if (!memcmp(&memory.choice[i].shape, s, sizeof(*s))) {
			*ret = memory.choice[i].way;
			found = true;
		}
	pthread_mutex_unlock(&memory.lock);
	return found;
}

static void remember(const struct shape *s, uint32_t way)
{
	pthread_mutex_lock(&memory.lock);
	memcpy(&memory.choice[memory.next].shape, s, sizeof(*s));
	memory.choice[memory.next].way = way;
	memory.next = (memory.next + 1) % REMEMBERED;
	memory.n = NE_MAX(memory.n, memory.next ? memory.next : REMEMBERED);
	pthread_mutex_unlock(&memory.lock);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The part that is run: at most a chunk, for that is what stays in the first cache. */
static uint32_t part_of(const struct ne_conv_image_s8 *a, const struct ne_kernels *k)
{
	const bool flat = ne_image_flat(&a->im);
	const uint32_t all = (uint32_t)(flat ? a->im.ow : a->im.oh);
	const uint64_t macs =
		(uint64_t)(flat ? 1 : a->im.ow) * a->n_run * a->run_steps * k->conv_s8_kr * a->oc;
	const uint64_t n = NE_MAX(PART_MACS / NE_MAX(macs, 1u), flat ? 16u : 1u);

	return (uint32_t)NE_MIN(n, NE_MIN(all, a->im.chunk));
}

/*
 * Runs ways 0 to @ways - 1 of @a and returns the best one. Each runs a few times on end in a round:
 * what a unit that lay idle takes to start, as that of tiles does, is no part of a layer among others
 * like it.
 */
static uint32_t measure(const struct ne_kernels *k, struct ne_conv_image_s8 *a, uint32_t ways)
{
	int64_t best[MOST_WAYS], from, took;
	uint32_t choice = 0;

	for (uint32_t i = 0; i < ways; i++)
		best[i] = INT64_MAX;
	for (uint32_t round = 0; round < ROUNDS; round++)
		for (a->way = 0; a->way < ways; a->way++)
			for (uint32_t run = 0; run < RUNS; run++) {
				from = now_ns();
				k->conv_image_s8(a);
				took = now_ns() - from;
				best[a->way] = NE_MIN(best[a->way], took);
			}
	for (uint32_t i = 1; i < ways; i++)
		if ((double)best[i] < BETTER * (double)best[0] && best[i] < best[choice])
			choice = i;
	return choice;
}

uint32_t ne_tune_conv_image(struct ne_tune *t, const struct ne_kernels *k,
			    const struct ne_conv_image_s8 *a)
{
	const bool flat = ne_image_flat(&a->im);
	const uint32_t n = part_of(a, k), blocks = (a->oc + k->conv_s8_nr - 1) / k->conv_s8_nr;
	const size_t x_rows =
		flat ? n : (size_t)NE_MIN((int64_t)a->im.h, (int64_t)n * a->im.sh + a->im.rows);
	const size_t x_bytes = x_rows * (flat ? 1 : (size_t)a->im.w) * a->ic;
	const size_t y_bytes = (size_t)n * (flat ? 1 : (size_t)a->im.ow) * a->y_stride;
	const size_t s_bytes = ne_image_scratch(&a->im, flat, k->conv_image_elem);
	/* more blocks in a tile than there are is the same again */
	const uint32_t ways = NE_MIN(NE_MIN(k->conv_image_ways, MOST_WAYS), blocks + 2);
	const struct shape shape = shape_of(k, a);
	const int64_t start = now_ns();
	struct ne_conv_image_s8 part = *a;
	void *x, *y, *scratch;
	uint32_t way = 0;

	if (ways < 2 || recall(&shape, &way) || t->left_ns <= 0 ||
	    x_bytes + y_bytes + s_bytes > MOST_BYTES)
		return way;
	part.x = x = ne_alloc_aligned(x_bytes);
	part.y = y = ne_alloc_aligned(y_bytes);
	part.scratch = scratch = ne_alloc_aligned(s_bytes);
	part.add = (struct ne_add_s8){0};
	part.first = 0;
	part.n = n;
	if (x && y && scratch) {
		way = measure(k, &part, ways);
		remember(&shape, way);
	}
	free(x);
	free(y);
	free(scratch);
	t->left_ns -= now_ns() - start;
	return way;
}
