// SPDX-License-Identifier: MIT
/* Any bytes as a TFLite model: refused with a reason, or a model that passes the engine's check. */
#include "engine/run/run.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/tflite_builder.h"
#include "tools/neap/import/tflite.h"

#define MAX_MACS 2000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ne_error err = {""};
	struct ne_program *p;
	struct ne_model *m;

	if (tflite_import(data, size, &m, &err) < 0) {
		FUZZ_ASSERT(err.text[0]);
		return 0;
	}
	FUZZ_ASSERT(ne_model_check(m, &err) == 0);
	if (ne_model_macs(m, m->graph.n_exit - 1, 0) <= MAX_MACS &&
	    ne_program_new(m, NULL, &p, &err) == 0)
		ne_program_free(p);
	ne_model_free(m);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct fbw seed[] = {tb_sample(), tb_sample_u8(), tb_sample_audio()};
	static const char *const name[] = {"int8", "uint8", "audio"};

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < sizeof(seed) / sizeof(seed[0]); i++) {
		struct ne_error err;
		struct ne_model *m;

		FUZZ_ASSERT(tflite_import(seed[i].data, seed[i].n, &m, &err) == 0);
		ne_model_free(m);
		fuzz_seed_write(name[i], seed[i].data, seed[i].n);
		fbw_free(&seed[i]);
	}
	return 0;
}
