/* SPDX-License-Identifier: MIT */
/* Token buckets. A negative rate means that there is no limit. */
#include "engine/governor/governor.h"

#include <math.h>

void ne_bucket_init(struct ne_bucket *b, double rate, double capacity, int64_t now_us)
{
	*b = (struct ne_bucket){
		.level = capacity, .capacity = capacity, .rate = rate, .last_us = now_us};
}

double ne_bucket_available(struct ne_bucket *b, int64_t now_us)
{
	if (b->rate < 0) {
		b->last_us = now_us;
		return INFINITY;
	}
	/* A clock that seems to go back gives nothing and takes nothing. */
	if (now_us > b->last_us) {
		b->level = fmin(b->capacity, b->level + b->rate * (double)(now_us - b->last_us));
		b->last_us = now_us;
	}
	return b->level;
}

void ne_bucket_set(struct ne_bucket *b, double rate, double capacity, int64_t now_us)
{
	bool was_unlimited = b->rate < 0;

	ne_bucket_available(b, now_us); /* what was earned at the old rate stays earned */
	b->rate = rate;
	b->capacity = capacity;
	if (was_unlimited || b->level > capacity)
		b->level = capacity;
}

void ne_bucket_take(struct ne_bucket *b, double amount, int64_t now_us)
{
	if (b->rate < 0)
		return;
	ne_bucket_available(b, now_us);
	/* Debt is bounded: one mistaken figure must not silence the service for long. */
	b->level = fmax(b->level - amount, -b->capacity);
}
