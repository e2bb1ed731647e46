/* SPDX-License-Identifier: MIT */
/* Random values, guarded buffers and comparison. The slots are mapped once and never freed. */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS      20
#define SLOT_BYTES ((size_t)8 << 20)
#define MARGIN     ((size_t)4096) /* noise around an output that is compared too */

static uint8_t *slots[SLOTS];
static unsigned used;

static struct {
	uint8_t *got, *want; /* starts of the compared regions */
	size_t bytes, lead;  /* lead: margin before the data */
} output;

uint64_t check_random(struct check *c)
{
	uint64_t z = c->rng += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t check_range(struct check *c, uint32_t lo, uint32_t hi)
{
	return lo + (uint32_t)(check_random(c) % ((uint64_t)hi - lo + 1));
}

bool check_one_in(struct check *c, uint32_t n)
{
	return check_range(c, 1, n) == 1;
}

float check_float(struct check *c, float lo, float hi)
{
	return lo + (hi - lo) * (float)(check_random(c) >> 40) * 0x1p-24f;
}

void check_fill_s8(struct check *c, int8_t *p, size_t n)
{
	const uint32_t kind = check_range(c, 0, 9);

	if (kind < 2) {
		memset(p, kind ? 127 : -128, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		p[i] = (int8_t)check_random(c);
	if (kind == 2) /* both ends and nothing else */
		for (size_t i = 0; i < n; i++)
			p[i] = p[i] < 0 ? -128 : 127;
}

void check_fill_f32(struct check *c, float *p, size_t n, float max)
{
	for (size_t i = 0; i < n; i++)
		p[i] = check_float(c, -max, max);
}

uint32_t check_count(struct check *c, uint32_t most)
{
	const uint32_t kind = check_range(c, 0, 3);
	uint32_t n;

	if (kind == 0)
		n = check_range(c, 1, 9);
	else if (kind == 1)
		n = 8 * check_range(c, 1, 12);
	else if (kind == 2)
		n = 16 * check_range(c, 1, 6) + check_range(c, 0, 2) - 1;
	else
		n = check_range(c, 1, 100);
	return NE_MIN(n, most);
}

void check_reset(void)
{
	used = 0;
}

static uint8_t *take_slot(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (used == SLOTS)
		abort();
	if (!slots[used]) {
		uint8_t *p = mmap(NULL, SLOT_BYTES + 2 * page, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) ||
		    mprotect(p + page + SLOT_BYTES, page, PROT_NONE)) {
			perror("check: mapping a buffer");
			exit(1);
		}
		slots[used] = p + page;
	}
	return slots[used++];
}

/* Offset in a slot of @bytes flush with its end, as far as @align allows, or with its start. */
static size_t place(struct check *c, size_t bytes, size_t align)
{
	if (bytes > SLOT_BYTES - 2 * MARGIN)
		abort();
	if (c->bench) /* each slot at other L1 sets */
		return MARGIN + used * 320;
	return !check_one_in(c, 3) ? (SLOT_BYTES - bytes) / align * align : 0;
}

void *check_input(struct check *c, size_t bytes, size_t align)
{
	const size_t at = place(c, bytes, align);

	return take_slot() + at;
}

void check_output(struct check *c, size_t bytes, size_t align, void *ret, void *ret_want)
{
	const size_t at = place(c, bytes, align);
	const size_t start = at > MARGIN ? at - MARGIN : 0;
	const size_t end = NE_MIN(at + bytes + MARGIN, SLOT_BYTES);
	void *data;

	output.got = take_slot() + start;
	output.want = take_slot() + start;
	output.bytes = end - start;
	output.lead = at - start;
	for (size_t i = 0; i < output.bytes; i++)
		output.got[i] = (uint8_t)(0xa5 ^ i * 37);
	memcpy(output.want, output.got, output.bytes);
	data = output.got + output.lead;
	memcpy(ret, &data, sizeof(data));
	data = output.want + output.lead;
	memcpy(ret_want, &data, sizeof(data));
}

bool check_same(struct check *c, size_t size, size_t stride, const char *shape)
{
	for (size_t i = 0; i < output.bytes; i++) {
		const long at = (long)i - (long)output.lead;

		if (output.got[i] == output.want[i])
			continue;
		snprintf(c->why, sizeof(c->why),
			 "%s: byte %ld (row %ld, element %ld) is %d, not %d", shape, at,
			 at / (long)(size * stride), at % (long)(size * stride) / (long)size,
			 (int8_t)output.got[i], (int8_t)output.want[i]);
		return false;
	}
	return true;
}

bool check_near(struct check *c, float *got, const float *want, const double *bound, size_t n,
		const char *shape)
{
	for (size_t i = 0; i < n; i++) {
		if (!(fabs((double)got[i] - (double)want[i]) <= bound[i])) {
			snprintf(c->why, sizeof(c->why),
				 "%s: element %zu is %.9g, not %.9g within %.3g", shape, i,
				 (double)got[i], (double)want[i], bound[i]);
			return false;
		}
		got[i] = want[i];
	}
	return true;
}

int8_t check_requantise(float product, int32_t zp, int32_t lo, int32_t hi)
{
	const double q = rint((double)product) + zp; /* nearest even: the default mode */

	return (int8_t)(q < lo ? lo : q > hi ? hi : (int)q);
}

void check_draw_output(struct check *c, int32_t *zp, int32_t *lo, int32_t *hi)
{
	*zp = check_one_in(c, 4) ? (check_one_in(c, 2) ? -128 : 127)
				 : (int32_t)check_range(c, 0, 255) - 128;
	*lo = -128;
	*hi = 127;
	if (check_one_in(c, 3)) {
		*lo = (int32_t)check_range(c, 0, 255) - 128;
		*hi = *lo + (int32_t)check_range(c, 0, (uint32_t)(127 - *lo));
	}
}

void check_draw_mult(struct check *c, float *mult, size_t n, double size)
{
	static const float odd[] = {1e30f, -1e30f, 1e-30f, 0.0f, 3e38f, 1.0f, -0.5f, 0x1p-20f};
	const uint32_t kind = check_range(c, 0, 5);

	for (size_t i = 0; i < n; i++) {
		mult[i] = check_float(c, 0.1f, 1.5f) * (float)(128 / (size + 1));
		if (kind == 0)
			mult[i] = odd[check_range(c, 0, NE_ARRAY_SIZE(odd) - 1)];
		if (kind == 1) /* ties of rounding */
			mult[i] = ldexpf(check_one_in(c, 2) ? 1.0f : -1.0f,
					 -(int)check_range(c, 0, 12));
	}
}

void check_draw_ind(struct check *c, int32_t *ind, uint32_t n_pix, uint32_t taps, uint32_t pixels,
		    uint32_t stride, bool padding)
{
	for (uint32_t p = 0; p < n_pix; p++, ind += taps) {
		for (uint32_t t = 0; t < taps; t++)
			ind[t] = padding && check_one_in(c, 5)
					 ? -1
					 : (int32_t)(check_range(c, 0, pixels - 1) * stride);
		if (padding && check_one_in(c, 9)) { /* all but one */
			const uint32_t keep = check_range(c, 0, taps - 1);

			for (uint32_t t = 0; t < taps; t++)
				ind[t] = -1;
			ind[keep] = (int32_t)(check_range(c, 0, pixels - 1) * stride);
		}
		if (ind[0] < 0 && taps == 1)
			ind[0] = 0;
		bool any = false;
		for (uint32_t t = 0; t < taps; t++)
			any |= ind[t] >= 0;
		if (!any)
			ind[taps - 1] = (int32_t)((pixels - 1) * stride);
	}
}
