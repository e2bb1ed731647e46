// SPDX-License-Identifier: MIT
/* The entropy coder: what goes in comes out, in few bytes, and no stream leads it astray. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/kernels/table.h"
#include "engine/model/rans.h"
#include "tests/unit/container_models.h"

enum shape { NORMAL_WIDE, NORMAL_NARROW, LAPLACE, PRUNED, UNIFORM, CLUSTERED, CONSTANT, N_SHAPE };

static int8_t draw(struct test_random *r, enum shape shape)
{
	float v = 0.0f;

	switch (shape) {
	case NORMAL_WIDE:
		v = 42.0f * test_random_normal(r);
		break;
	case NORMAL_NARROW:
		v = 6.0f * test_random_normal(r);
		break;
	case LAPLACE:
		v = -15.0f * logf((1.0f + (float)test_random_below(r, 1u << 16)) / 65537.0f);
		v = test_random_below(r, 2) ? v : -v;
		break;
	case PRUNED:
		v = test_random_below(r, 10) ? 0.0f : 30.0f * test_random_normal(r);
		break;
	case UNIFORM:
		return (int8_t)test_random_next(r);
	case CLUSTERED:
		return (int8_t)(16 * (int)test_random_below(r, 16) - 128);
	case CONSTANT:
		return -128;
	case N_SHAPE:
		break;
	}
	return (int8_t)lrintf(NE_CLAMP(v, -127.0f, 127.0f));
}

static double entropy_bytes(const int8_t *v, size_t n)
{
	size_t count[256] = {0};
	double bits = 0.0;

	for (size_t i = 0; i < n; i++)
		count[v[i] + 128]++;
	for (int i = 0; i < 256; i++)
		if (count[i])
			bits -= (double)count[i] * log2((double)count[i] / (double)n);
	return bits / 8.0;
}

static void (*rounds(void))(struct ne_rans32 *)
{
	static struct ne_kernels k;

	ne_kernels_init(&k, ne_cpu_select(NULL));
	return k.rans32;
}

/* The interleaved form of what @coded holds: the same values, and tables as the plain form's. */
static void round_trip_interleaved(const struct ne_rans_tables *known, uint32_t lanes,
				   const uint8_t *coded, size_t coded_bytes, const int8_t *v,
				   size_t n)
{
	struct ne_rans_tables writer = *known, reader = *known;
	int8_t *back = malloc(n);
	struct ne_error err;
	uint8_t *form;
	size_t bytes;

	assert_non_null(back);
	assert_int_equal(ne_rans32_encode(known, lanes, coded, coded_bytes, v, n, &form, &bytes),
			 0);
	/* their number, more states than one, and coarser frequencies: at most 256 of 2^12 are 1
	 * too many */
	assert_true(bytes <= coded_bytes + 1 + (lanes - 1) * 4 + n / 8);
	if (ne_rans32_decode(&reader, rounds(), form, bytes, back, n, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(v, back, n);
	ne_rans_keep(&writer, form, bytes);
	assert_int_equal(writer.n, reader.n);
	assert_memory_equal(writer.table, reader.table, writer.n * sizeof(writer.table[0]));
	free(form);
	free(back);
}

static void round_trip(struct ne_rans_tables *known, const int8_t *v, size_t n, size_t *ret_bytes)
{
	/* the reader knows the tables that the writer knew */
	struct ne_rans_tables reader = *known;
	int8_t *back = malloc(n);
	struct ne_error err;
	uint8_t *coded;

	assert_non_null(back);
	assert_int_equal(ne_rans_encode(known, v, n, &coded, ret_bytes), 0);
	if (ne_rans_decode(&reader, coded, *ret_bytes, back, n, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(v, back, n);
	round_trip_interleaved(known, 32, coded, *ret_bytes, v, n);
	round_trip_interleaved(known, 4, coded, *ret_bytes, v, n);
	ne_rans_keep(known, coded, *ret_bytes);
	assert_int_equal(known->n, reader.n);
	assert_memory_equal(known->table, reader.table, known->n * sizeof(known->table[0]));
	free(coded);
	free(back);
}

static void test_round_trip(void **state)
{
	static const size_t size[] = {1, 2, 3, 31, 63, 64, 1000, 4097, 20000};
	struct test_random r = {7};
	size_t bytes;

	(void)state;
	for (int shape = 0; shape < N_SHAPE; shape++)
		for (size_t k = 0; k < NE_ARRAY_SIZE(size); k++) {
			struct ne_rans_tables known = {0};
			int8_t *v = malloc(size[k]);

			assert_non_null(v);
			for (size_t i = 0; i < size[k]; i++)
				v[i] = draw(&r, (enum shape)shape);
			round_trip(&known, v, size[k], &bytes);
			free(v);
		}
}

/* Within 1 % of the entropy; besides that at most 64 bytes for an own table and the state. */
static void test_size(void **state)
{
	static const size_t size[] = {4097, 8192, 30000};
	struct test_random r = {11};

	(void)state;
	for (int shape = 0; shape < CONSTANT; shape++)
		for (size_t k = 0; k < NE_ARRAY_SIZE(size); k++) {
			struct ne_rans_tables known = {0};
			int8_t *v = malloc(size[k]);
			size_t bytes;
			double h;

			assert_non_null(v);
			for (size_t i = 0; i < size[k]; i++)
				v[i] = draw(&r, (enum shape)shape);
			h = entropy_bytes(v, size[k]);
			round_trip(&known, v, size[k], &bytes);
			if ((double)bytes > 1.01 * h + 64.0 ||
			    (size[k] >= 30000 && shape != PRUNED && (double)bytes > 1.01 * h))
				fail_msg("shape %d: %zu values in %zu bytes, entropy %.0f", shape,
					 size[k], bytes, h);
			free(v);
		}
}

/* A second tensor of the same kind takes the first one's table: one byte instead of dozens. */
static void test_shared_table(void **state)
{
	struct test_random r = {13};
	struct ne_rans_tables known = {0};
	int8_t v[3000];
	uint8_t *coded;
	size_t bytes;

	(void)state;
	for (int k = 0; k < 5; k++) {
		for (size_t i = 0; i < sizeof(v); i++)
			v[i] = draw(&r, LAPLACE);
		round_trip(&known, v, sizeof(v), &bytes);
	}
	assert_true(known.n <=
		    2); /* two only where a later tensor has a symbol that the first lacks */
	assert_int_equal(ne_rans_encode(&known, v, sizeof(v), &coded, &bytes), 0);
	assert_true(coded[0] >= 1 && coded[0] <= known.n);
	free(coded);
}

static void test_tables_are_bounded(void **state)
{
	struct test_random r = {17};
	struct ne_rans_tables known = {0};
	size_t bytes;

	(void)state;
	for (int k = 0; k < 80; k++) { /* no table serves another: the symbols are disjoint */
		int8_t v[128];

		for (size_t i = 0; i < sizeof(v); i++)
			v[i] = (int8_t)(3 * k - 128 + (int)test_random_below(&r, 2));
		round_trip(&known, v, sizeof(v), &bytes);
	}
	assert_int_equal(known.n, NEAP_RANS_KEPT);
}

/* By hand from docs/container.md: alphabet -1..1, knots 8, 12, 8 one apart: weights 4096, 8192,
 * 4096, so frequencies 1 + floor(w * 16381 / 16384). */
static void test_table_by_hand(void **state)
{
	/* knots: 001000 as 6 bits from the lowest; +4 = zigzag 8 -> rice 3: 1 0, 000;
	 * -4 = zigzag 7 -> rice 3: 0, 111 */
	static const uint8_t table[] = {3 << 2, 0xff, 0x01, 0x48, 0x70};
	struct ne_rans_table t;
	struct ne_error err;

	(void)state;
	if (ne_rans_table_parse(table, sizeof(table), &t, &err) != (long)sizeof(table))
		fail_msg("%s", err.text);
	assert_int_equal(t.freq[127], 1 + 4095);
	assert_int_equal(t.freq[129], 1 + 4095);
	assert_int_equal(t.freq[128], NEAP_RANS_SUM - 2 * 4096);
	assert_int_equal(t.freq[126] + t.freq[130], 0);
}

/* Frequencies by hand from docs/container.md: 4096, 8192, 4096 of 2^14 at 2^13 are 1 + floor(4095 *
 * 8189 / 16381) = 2048 twice; the rest is 4096, as much as 13 bits allow. More than that: 12 bits. */
static void test_frequencies_by_hand(void **state)
{
	struct ne_rans_table t = {{0}};
	uint16_t freq[256];

	(void)state;
	t.freq[127] = t.freq[129] = 4096;
	t.freq[128] = 8192;
	assert_int_equal(ne_rans32_frequencies(&t, freq), 13);
	assert_int_equal(freq[127], 2048);
	assert_int_equal(freq[128], 4096);
	assert_int_equal(freq[129], 2048);
	t.freq[128] = 8196;
	t.freq[127] = 4092;
	assert_int_equal(ne_rans32_frequencies(&t, freq), 12); /* 4098 of 2^13 */
	assert_int_equal(freq[127] + freq[128] + freq[129], 1 << 12);
	memset(&t, 0, sizeof(t));
	t.freq[5] = NEAP_RANS_SUM;
	assert_int_equal(ne_rans32_frequencies(&t, freq), 12);
	assert_int_equal(freq[5], 1 << 12);
}

static void refused(const char *why, const uint8_t *data, size_t bytes, size_t n)
{
	struct ne_rans_tables known = {0};
	struct ne_error err = {""};
	int8_t out[64];

	assert_true(n <= sizeof(out));
	assert_int_equal(ne_rans_decode(&known, data, bytes, out, n, &err), -EBADMSG);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" expected, got \"%s\"", why, err.text);
}

#define REFUSED(why, n, ...) \
	refused(why, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), n)

static void test_hostile(void **state)
{
	(void)state;
	refused("empty", NULL, 0, 4);
	REFUSED("table 1 of 0", 4, 1, 0, 0, 1, 0);
	REFUSED("cut short", 4, 0, 0, 5);
	REFUSED("head out of range", 4, 0, 0x40, 5, 5, 0);
	REFUSED("head out of range", 4, 0, 0x20, 0, 0, 64, 0);
	REFUSED("after the last", 4, 0, 0, 5, 4, 0);
	REFUSED("zero, which is absent", 4, 0, 0x20, 5, 6, 10, 0);
	REFUSED("first or last symbol absent", 4, 0, 0x10, 5, 6, 0, 0);
	REFUSED("padding bits", 4, 0, 0x10, 5, 6, 7, 0);
	REFUSED("padding bits", 4, 0, 0, 5, 5, 0xc0);
	REFUSED("cut short", 4, 0, 0, 5, 100, 0, 0);
	REFUSED("knot 1 out of range", 4, 0, 0, 5, 6, 0x40, 0); /* 0 - 1 */
	REFUSED("first state", 4, 0, 0, 5, 5, 0, 0, 0, 0, 0);
	REFUSED("cut short", 4, 0, 0, 5, 5, 0, 0, 0, 1);
	REFUSED("does not end", 4, 0, 0, 5, 5, 0, 1, 0, 1, 0);
	REFUSED("does not end", 4, 0, 0, 5, 5, 0, 0, 0, 1, 0, 0);
	/* -1..1 as above, a state that runs out at once */
	REFUSED("ends at value", 64, 0, 3 << 2, 0xff, 0x01, 0x48, 0x70, 0, 0, 1, 0);
}

/* A stream of the interleaved form with @lanes states, and what can be wrong with it. */
static void hostile_interleaved(uint32_t lanes)
{
	struct ne_rans_tables none = {0};
	struct test_random r = {23};
	int8_t v[400], back[432];
	uint8_t *coded, *form, *longer;
	size_t coded_bytes, bytes, n = sizeof(v);
	struct ne_error err = {""};
	size_t refusals = 0;

	for (size_t i = 0; i < n; i++)
		v[i] = draw(&r, NORMAL_NARROW);
	assert_int_equal(ne_rans_encode(&none, v, n, &coded, &coded_bytes), 0);
	assert_int_equal(ne_rans32_encode(&none, lanes, coded, coded_bytes, v, n, &form, &bytes),
			 0);
	longer = calloc(1, bytes + 2);
	assert_non_null(longer);
	memcpy(longer, form, bytes);
	for (size_t i = 0; i < 8 * bytes; i++) {
		struct ne_rans_tables known = {0};

		longer[i / 8] ^= (uint8_t)(1u << i % 8);
		refusals += ne_rans32_decode(&known, rounds(), longer, bytes, back, n, NULL) < 0;
		longer[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_true(refusals > 4 * bytes);
	for (size_t i = 0; i <= bytes + 2; i++) { /* cut anywhere, or longer */
		struct ne_rans_tables known = {0};
		uint8_t *part = malloc(i ? i : 1); /* so that reading on is seen */

		assert_non_null(part);
		memcpy(part, longer, i);
		assert_int_equal(ne_rans32_decode(&known, rounds(), part, i, back, n, &err),
				 i == bytes ? 0 : -EBADMSG);
		free(part);
	}
	for (size_t more = 0; more <= 32; more += 32) { /* fewer values, or more, than there are */
		struct ne_rans_tables known = {0};

		assert_int_equal(
			ne_rans32_decode(&known, rounds(), form, bytes, back, n - 1 + more, &err),
			-EBADMSG);
	}
	free(longer);
	free(form);
	free(coded);
}

static void test_hostile_interleaved(void **state)
{
	/* one symbol; 5 states; 4 states, the last of which is too low */
	static const uint8_t five[] = {0, 0, 5, 5, 0, 5, 0, 0, 1, 0};
	static const uint8_t low[] = {0, 0, 5, 5, 0, 4, 0, 0, 1, 0, 0,
				      0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0};
	struct ne_rans_tables known = {0};
	struct ne_error err = {""};
	int8_t back[4];

	(void)state;
	hostile_interleaved(32);
	hostile_interleaved(4);
	assert_int_equal(ne_rans32_decode(&known, rounds(), five, sizeof(five), back, 4, &err),
			 -EBADMSG);
	assert_non_null(strstr(err.text, "5 states"));
	assert_int_equal(ne_rans32_decode(&known, rounds(), low, sizeof(low), back, 4, &err),
			 -EBADMSG);
	assert_non_null(strstr(err.text, "first state 3"));
}

/* Any bit of a coded tensor flipped: read or refused, within bounds (the sanitizers watch). */
static void test_flips(void **state)
{
	struct test_random r = {19};
	struct ne_rans_tables none = {0};
	int8_t v[500], back[500];
	uint8_t *coded;
	size_t bytes, refusals = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(v); i++)
		v[i] = draw(&r, NORMAL_NARROW);
	assert_int_equal(ne_rans_encode(&none, v, sizeof(v), &coded, &bytes), 0);
	for (size_t i = 0; i < 8 * bytes; i++) {
		struct ne_rans_tables known = {0};

		coded[i / 8] ^= (uint8_t)(1u << i % 8);
		refusals += ne_rans_decode(&known, coded, bytes, back, sizeof(v), NULL) < 0;
		coded[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_true(refusals > 4 * bytes); /* the final state catches most by itself */
	for (size_t i = 0; i < bytes; i++) {
		struct ne_rans_tables known = {0};

		assert_int_equal(ne_rans_decode(&known, coded, i, back, sizeof(v), NULL), -EBADMSG);
	}
	free(coded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_shared_table),
		cmocka_unit_test(test_tables_are_bounded),
		cmocka_unit_test(test_table_by_hand),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_frequencies_by_hand),
		cmocka_unit_test(test_hostile_interleaved),
		cmocka_unit_test(test_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
