/* SPDX-License-Identifier: MIT */
/* SqueezeNet as decoded from its compressed file, on two photographs. */
#include "tests/unit/real_model.h"
#include "tests/unit/tiny_data.h"

#include "tests/unit/run_graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE    227u
#define CLASSES 1000u

/* BGR planes less the mean of each, as its authors trained it. */
static float *photograph(const char *file)
{
	static const float mean[3] = {104, 117, 123};
	uint8_t *rgb = tiny_picture(file, SIZE);
	float *x = calloc(3 * SIZE * SIZE, sizeof(*x));

	assert_non_null(x);
	for (uint32_t c = 0; c < 3; c++)
		for (uint32_t i = 0; i < SIZE * SIZE; i++)
			x[c * SIZE * SIZE + i] = (float)rgb[3 * i + 2 - c] - mean[c];
	free(rgb);
	return x;
}

/* Label of class @k; the file has a line for the background first. */
static void label_of(uint32_t k, char *text, size_t size)
{
	FILE *f = fopen(data_path("models/imagenet_labels.txt"), "r");

	assert_non_null(f);
	for (uint32_t i = 0; i <= k + 1; i++)
		assert_non_null(fgets(text, (int)size, f));
	text[strcspn(text, "\n")] = '\0';
	fclose(f);
}

static void expect_label(struct real_model *m, const char *file, const char *const *words)
{
	float *x = photograph(file), y[CLASSES];
	uint32_t top = 0;
	char label[200];
	bool right = false;

	real_run(m, (const void *const[]){x}, (void *const[]){y});
	for (uint32_t i = 1; i < CLASSES; i++)
		top = y[i] > y[top] ? i : top;
	label_of(top, label, sizeof(label));
	print_message("%s: %s, %.3f\n", file, label, (double)y[top]);
	for (; *words; words++)
		right |= strstr(label, *words) != NULL;
	assert_true(right);
	free(x);
}

static void photographs_are_recognised(void **state)
{
	struct real_model m;

	(void)state;
	real_open(&m, "models/squeezenet_v1.0_deep_compression.onnx.xz", NULL, NULL);
	expect_label(&m, "models/cat.png", (const char *const[]){"cat", NULL});
	expect_label(&m, "models/bird.png", (const char *const[]){"chickadee", NULL});
	real_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(photographs_are_recognised),
	};

	return cmocka_run_group_tests_name("squeezenet", tests, NULL, NULL);
}
