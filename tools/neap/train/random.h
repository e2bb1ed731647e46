/* SPDX-License-Identifier: MIT */
/*
 * Random numbers without state between steps: each use seeds its own stream from the recipe's seed,
 * a purpose and a counter, so that a resumed training draws what an uninterrupted one does and the
 * number of threads changes nothing. SplitMix64 (Steele, Lea, Flood 2014).
 */
#ifndef NEAP_TRAIN_RANDOM_H
#define NEAP_TRAIN_RANDOM_H

#include <math.h>
#include <stdint.h>

enum rng_purpose { RNG_INIT = 1, RNG_SHUFFLE, RNG_AUGMENT, RNG_WIDTHS, RNG_SPLIT };

struct rng {
	uint64_t s;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline struct rng rng_make(uint64_t seed, enum rng_purpose purpose, uint64_t counter)
{
	struct rng r = {seed * 0xd1342543de82ef95u + (uint64_t)purpose};

	r.s = rng_next(&r) ^ counter;
	r.s = rng_next(&r);
	return r;
}

/* 0 <= value < n */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

/* 0 <= value < 1 */
static inline float rng_uniform(struct rng *r)
{
	return (float)(rng_next(r) >> 40) * 0x1p-24f;
}

static inline float rng_between(struct rng *r, float lo, float hi)
{
	return lo + (hi - lo) * rng_uniform(r);
}

/* Mean 0, deviation 1 (Box and Muller). */
static inline float rng_normal(struct rng *r)
{
	float u = 1.0f - rng_uniform(r), v = rng_uniform(r);

	return sqrtf(-2.0f * logf(u)) * cosf(6.2831853f * v);
}

#endif
