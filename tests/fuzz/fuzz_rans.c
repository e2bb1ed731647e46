// SPDX-License-Identifier: MIT
/* Any bytes as an entropy-coded tensor, plain and interleaved; and any bytes as values, coded and
 * decoded again. */
#include <string.h>

#include "engine/kernels/table.h"
#include "engine/model/rans.h"
#include "tests/fuzz/fuzz.h"

#define MAX_VALUES 4096u

static struct ne_kernels kernels;

static void decode(const uint8_t *data, size_t size)
{
	static int8_t out[MAX_VALUES];
	struct ne_rans_tables known = {0};
	struct ne_error err = {""};
	size_t n;

	if (size < 2)
		return;
	n = 1 + (data[0] | (size_t)data[1] << 8) % MAX_VALUES;
	for (int round = 0; round < 2; round++) /* the second one knows the first one's table */
		if (ne_rans_decode(&known, data + 2, size - 2, out, n, &err) < 0)
			FUZZ_ASSERT(err.text[0]);
	err.text[0] = 0;
	if (ne_rans32_decode(&known, kernels.rans32, data + 2, size - 2, out, n, &err) < 0)
		FUZZ_ASSERT(err.text[0]);
}

static void round_trip(const uint8_t *data, size_t size)
{
	static int8_t out[MAX_VALUES];
	struct ne_rans_tables known = {0}, reader = {0};
	size_t bytes, form_bytes, n = NE_MIN(size, MAX_VALUES);
	uint8_t *coded, *form;

	if (n == 0)
		return;
	FUZZ_ASSERT(ne_rans_encode(&known, (const int8_t *)data, n, &coded, &bytes) == 0);
	FUZZ_ASSERT(ne_rans_decode(&reader, coded, bytes, out, n, NULL) == 0);
	FUZZ_ASSERT(memcmp(out, data, n) == 0);
	for (uint32_t lanes = 4; lanes <= 32; lanes += 28) {
		FUZZ_ASSERT(ne_rans32_encode(&known, lanes, coded, bytes, (const int8_t *)data, n,
					     &form, &form_bytes) == 0);
		FUZZ_ASSERT(ne_rans32_decode(&reader, kernels.rans32, form, form_bytes, out, n,
					     NULL) == 0);
		FUZZ_ASSERT(memcmp(out, data, n) == 0);
		free(form);
	}
	free(coded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	decode(data, size);
	/* the encoder's search takes milliseconds: only now and then */
	if (size && data[0] % 16 == 0)
		round_trip(data, size);
	return 0;
}

static void seed_write(char kind, char number, const uint8_t *coded, size_t bytes, size_t n)
{
	uint8_t seed[1024] = {(uint8_t)((n - 1) & 255u), (uint8_t)((n - 1) >> 8)};

	FUZZ_ASSERT(bytes + 2 <= sizeof(seed));
	memcpy(seed + 2, coded, bytes);
	fuzz_seed_write((char[]){kind, number, 0}, seed, bytes + 2);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ne_rans_tables none = {0};
	uint8_t *coded, *form;
	size_t bytes, form_bytes;
	int8_t v[300];

	(void)argc;
	(void)argv;
	ne_kernels_init(&kernels, ne_cpu_select(NULL));
	for (int kind = 0; kind < 3; kind++) {
		for (int i = 0; i < (int)sizeof(v); i++)
			v[i] = (int8_t)(kind == 0 ? i * i % 17 - 8 : kind == 1 ? 16 * (i % 7) : i);
		FUZZ_ASSERT(ne_rans_encode(&none, v, sizeof(v), &coded, &bytes) == 0);
		seed_write('k', (char)('0' + kind), coded, bytes, sizeof(v));
		for (uint32_t lanes = 4; lanes <= 32; lanes += 28) {
			FUZZ_ASSERT(ne_rans32_encode(&none, lanes, coded, bytes, v, sizeof(v),
						     &form, &form_bytes) == 0);
			seed_write(lanes == 4 ? 'f' : 'm', (char)('0' + kind), form, form_bytes,
				   sizeof(v));
			free(form);
		}
		free(coded);
	}
	return 0;
}
