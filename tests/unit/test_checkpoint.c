/* SPDX-License-Identifier: MIT */
/* Checkpoints: round trip, and every kind of damage refused with the state untouched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/neap/train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N 37u

static char folder[] = "/tmp/neap-checkpoint-XXXXXX";
static char path[64];
static const struct checkpoint_key key = {.recipe = 1, .scope = 2, .threads = 3, .n_theta = N};

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/c.ckpt", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

struct arrays {
	float theta[N], velocity[N], average[N];
};

static struct trainer_state state_of(struct arrays *a, uint64_t step)
{
	return (struct trainer_state){step, a->theta, a->velocity, a->average};
}

static void save_one(struct arrays *a)
{
	struct trainer_state s = state_of(a, 77);

	for (uint32_t i = 0; i < N; i++) {
		a->theta[i] = (float)i * 0.5f;
		a->velocity[i] = -(float)i;
		a->average[i] = 1.0f / (1.0f + (float)i);
	}
	assert_int_equal(checkpoint_save(path, &key, &s, NULL), 0);
}

static void test_round_trip(void **state)
{
	struct arrays a, b;
	struct trainer_state s = state_of(&b, 0);

	(void)state;
	save_one(&a);
	assert_int_equal(checkpoint_load(path, &key, &s, NULL), 0);
	assert_int_equal(s.step, 77);
	assert_memory_equal(&a, &b, sizeof(a));
}

static void test_absent(void **state)
{
	struct arrays b;
	struct trainer_state s = state_of(&b, 0);

	(void)state;
	assert_int_equal(checkpoint_load("/nonexistent/c.ckpt", &key, &s, NULL), -ENOENT);
	assert_int_equal(checkpoint_load("/dev/null", &key, &s, NULL), -EBADMSG);
	assert_int_equal(checkpoint_save("/nonexistent/c.ckpt", &key, &s, NULL), -ENOENT);
}

static void test_of_another(void **state)
{
	struct arrays a, b = {0};
	struct trainer_state s = state_of(&b, 5);
	struct checkpoint_key other[3] = {key, key, key};

	(void)state;
	save_one(&a);
	other[0].recipe++;
	other[1].scope++;
	other[2].threads++;
	for (int i = 0; i < 3; i++)
		assert_int_equal(checkpoint_load(path, &other[i], &s, NULL), -ESTALE);
	assert_int_equal(s.step, 5);
	assert_true(b.theta[1] == 0.0f);
}

static void overwrite(const char *data, size_t bytes)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, bytes, f), bytes);
	fclose(f);
}

static size_t slurp(char *data, size_t room)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(data, 1, room, f);
	fclose(f);
	return n;
}

static void test_damaged(void **state)
{
	struct arrays a, b = {0}, zero = {0};
	struct trainer_state s = state_of(&b, 5);
	char data[1024];
	size_t n;

	(void)state;
	save_one(&a);
	n = slurp(data, sizeof(data));
	assert_true(n > 3 * N * sizeof(float) && n < sizeof(data));
	for (size_t i = 0; i < n; i++) {
		data[i] ^= 0x10;
		overwrite(data, n);
		assert_int_equal(checkpoint_load(path, &key, &s, NULL), -EBADMSG);
		data[i] ^= 0x10;
	}
	for (size_t i = 0; i < n; i += 7) {
		overwrite(data, i);
		assert_int_equal(checkpoint_load(path, &key, &s, NULL), -EBADMSG);
	}
	assert_memory_equal(&b, &zero, sizeof(b));
	assert_int_equal(s.step, 5);
}

/* A right checksum over values that no training has. */
static void test_not_finite(void **state)
{
	struct arrays a, b = {0};
	struct trainer_state s = state_of(&a, 77);

	(void)state;
	save_one(&a);
	a.velocity[3] = NAN;
	assert_int_equal(checkpoint_save(path, &key, &s, NULL), 0);
	s = state_of(&b, 0);
	assert_int_equal(checkpoint_load(path, &key, &s, NULL), -EBADMSG);
}

/* What is chosen after the training may change; what decides the weights may not. */
static void test_recipe_hash(void **state)
{
	static const char base[] =
		"[train]\nepochs = 3\n[levels]\nmax = 4\n[augment]\nflip = yes\n";
	uint64_t h = checkpoint_recipe_hash(base);

	(void)state;
	assert_true(h == checkpoint_recipe_hash("# a note\n[train]\nepochs = 3\n[levels]\nmax = 9\n"
						"min_accuracy = 0.5\n[augment]\nflip = yes\n"));
	assert_true(h != checkpoint_recipe_hash("[train]\nepochs = 4\n[augment]\nflip = yes\n"));
	assert_true(h != checkpoint_recipe_hash("[train]\nepochs = 3\n[levels]\nmax = 4\n"));
	assert_true(h != checkpoint_recipe_hash(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_absent),
		cmocka_unit_test(test_of_another), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_not_finite), cmocka_unit_test(test_recipe_hash),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
