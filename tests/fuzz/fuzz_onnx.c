// SPDX-License-Identifier: MIT
/* Any bytes as an ONNX model: refused with a reason, or a model that passes the engine's check. */
#include "engine/run/run.h"
#include "tests/fuzz/fuzz.h"
#include "tools/neap/import/onnx.h"

#define MAX_MACS 2000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ne_error err = {""};
	struct ne_program *p;
	struct ne_model *m;

	if (onnx_import(data, size, NULL, &m, &err) < 0) {
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

/* y = relu(x): ModelProto{1: ir 8, 7: graph, 8: opset 13}, a node, an input and an output [1,4]. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t relu[] = {
		0x08, 8,  0x3a, 59, /* graph, 59 bytes */
		0x0a, 12, 0x0a, 1,  'x', 0x12, 1,    'y',  0x22, 4, 'R',  'e', 'l',  'u', /* node */
		0x12, 1,  'g',                                                            /* name */
		0x5a, 19, 0x0a, 1,  'x', 0x12, 14,   0x0a, 12,   8, 1, /* input, f32 */
		0x12, 8,  0x0a, 2,  8,   1,    0x0a, 2,    8,    4,    /* [1,4] */
		0x62, 19, 0x0a, 1,  'y', 0x12, 14,   0x0a, 12,   8, 1, /* output */
		0x12, 8,  0x0a, 2,  8,   1,    0x0a, 2,    8,    4, 0x42, 2,   0x10, 13, /* opset */
	};

	struct ne_error err;
	struct ne_model *m;

	(void)argc;
	(void)argv;
	FUZZ_ASSERT(onnx_import(relu, sizeof(relu), NULL, &m, &err) == 0);
	ne_model_free(m);
	fuzz_seed_write("relu", relu, sizeof(relu));
	return 0;
}
