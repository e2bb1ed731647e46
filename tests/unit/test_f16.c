// SPDX-License-Identifier: MIT
/* f16 conversions against the definition of the format, computed in another way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "engine/model/f16.h"

static double value_of(uint32_t h)
{
	int exp = (int)(h >> 10 & 31u);
	double frac = h & 1023u;
	double mag = exp ? ldexp(1024.0 + frac, exp - 25) : ldexp(frac, -24);

	return h & 0x8000u ? -mag : mag;
}

static void test_every_value(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 65536; h++) {
		float f = ne_f16_to_f32((uint16_t)h);

		if ((h & 0x7c00u) != 0x7c00u)
			assert_true((double)f == value_of(h) && !signbit(f) == !(h & 0x8000u));
		else if (h & 1023u)
			assert_true(isnan(f));
		else
			assert_true(isinf(f) && !signbit(f) == !(h & 0x8000u));
		if (!isnan(f))
			assert_int_equal(ne_f32_to_f16(f), h);
	}
}

/* Half-way points go to the even neighbour, and anything beyond them to the nearer one. */
static void test_rounding(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 0x7bff; h++) {
		float middle = (float)((value_of(h) + value_of(h + 1)) / 2.0);
		uint32_t even = h & 1u ? h + 1 : h;

		assert_int_equal(ne_f32_to_f16(middle), even);
		assert_int_equal(ne_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
		assert_int_equal(ne_f32_to_f16(nextafterf(middle, 0.0f)), h);
		assert_int_equal(ne_f32_to_f16(-middle), even | 0x8000u);
	}
}

static void test_extremes(void **state)
{
	(void)state;
	assert_int_equal(ne_f32_to_f16(65504.0f), 0x7bff);
	assert_int_equal(ne_f32_to_f16(65519.99f), 0x7bff);
	assert_int_equal(ne_f32_to_f16(65520.0f), 0x7c00);
	assert_int_equal(ne_f32_to_f16(INFINITY), 0x7c00);
	assert_int_equal(ne_f32_to_f16(-INFINITY), 0xfc00);
	assert_int_equal(ne_f32_to_f16(0x1p-25f), 0); /* the tie with zero, which is even */
	assert_int_equal(ne_f32_to_f16(0x1.000002p-25f), 1);
	assert_int_equal(ne_f32_to_f16(-0.0f), 0x8000);
	assert_true(isnan(ne_f16_to_f32(ne_f32_to_f16(NAN))));
}

static void test_fits(void **state)
{
	const float good[] = {1.0f, -0.333f, 0.0f, 1e-6f}, tiny[] = {1e-6f, 2e-6f, 3.3e-6f};
	const float huge[] = {1.0f, 70000.0f}, none[] = {0.0f, NAN};

	(void)state;
	assert_true(ne_f16_fits(good, 4));
	assert_false(ne_f16_fits(tiny, 3)); /* f16 keeps four bits of these */
	assert_false(ne_f16_fits(huge, 2));
	assert_false(ne_f16_fits(none, 2));
	assert_true(ne_f16_fits(NULL, 0));
	assert_false(ne_f16_exact(good, 4)); /* -0.333 is rounded */
	assert_true(ne_f16_exact(good, 1));
	assert_true(ne_f16_exact((const float[]){-0.0f, 0x1p-24f, 65504.0f}, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
