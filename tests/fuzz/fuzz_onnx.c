// SPDX-License-Identifier: MIT
/* Any bytes as an ONNX model: refused with a reason, or a model that passes the engine's check. */
#include "engine/run/run.h"
#include "tests/fuzz/fuzz.h"
#include "tools/neap/import/onnx.h"

#include <string.h>

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

/* ---- seeds: models written in protobuf's wire format ---- */

struct bytes {
	uint8_t v[4096];
	size_t n;
};

static void put_number(struct bytes *b, uint64_t v)
{
	for (; v > 127; v >>= 7)
		b->v[b->n++] = (uint8_t)(v | 128);
	b->v[b->n++] = (uint8_t)v;
}

static void put_int(struct bytes *b, unsigned field, uint64_t v)
{
	put_number(b, field << 3);
	put_number(b, v);
}

static void put(struct bytes *b, unsigned field, const void *data, size_t n)
{
	put_number(b, field << 3 | 2);
	put_number(b, n);
	FUZZ_ASSERT(b->n + n < sizeof(b->v) - 32);
	memcpy(b->v + b->n, data, n);
	b->n += n;
}

static void put_text(struct bytes *b, unsigned field, const char *text)
{
	put(b, field, text, strlen(text));
}

/* Words of @list, separated by spaces ("-" = an empty one), each as @field. */
static void put_words(struct bytes *b, unsigned field, const char *list)
{
	char text[128], *save = NULL;

	snprintf(text, sizeof(text), "%s", list);
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		put_text(b, field, strcmp(w, "-") ? w : "");
}

/* A node of a graph; @attr, where given, is one attribute's bytes. */
static void put_node(struct bytes *graph, const char *op, const char *in, const char *out,
		     const struct bytes *attr)
{
	struct bytes n = {.n = 0};

	put_words(&n, 1, in);
	put_words(&n, 2, out);
	put_text(&n, 4, op);
	if (attr)
		put(&n, 5, attr->v, attr->n);
	put(graph, 1, n.v, n.n);
}

/* A constant [dims] of ONNX type @type, @n bytes of @data; NULL = ones of all bits up to 5. */
static void put_const(struct bytes *graph, const char *name, unsigned type, const char *dims,
		      const void *data, size_t n)
{
	struct bytes t = {.n = 0};
	uint8_t filled[1024];

	for (const char *d = dims; *d; d++)
		put_int(&t, 1, (uint64_t)(*d - '0'));
	put_int(&t, 2, type);
	put_text(&t, 8, name);
	for (size_t i = 0; i < sizeof(filled); i++)
		filled[i] = (uint8_t)(i * 37 % 6);
	put(&t, 9, data ? data : filled, n);
	put(graph, 5, t.v, t.n);
}

/* Input (field 11) or output (12). */
static void put_value(struct bytes *graph, unsigned field, const char *name, unsigned type,
		      const char *dims)
{
	struct bytes shape = {.n = 0}, tensor = {.n = 0}, kind = {.n = 0}, v = {.n = 0};

	for (const char *d = dims; *d; d++) {
		struct bytes dim = {.n = 0};

		put_int(&dim, 1, (uint64_t)(*d - '0'));
		put(&shape, 1, dim.v, dim.n);
	}
	put_int(&tensor, 1, type);
	put(&tensor, 2, shape.v, shape.n);
	put(&kind, 1, tensor.v, tensor.n);
	put_text(&v, 1, name);
	put(&v, 2, kind.v, kind.n);
	put(graph, field, v.v, v.n);
}

static void seed(const char *name, const struct bytes *graph)
{
	struct bytes m = {.n = 0}, opset = {.n = 0};
	struct ne_error err = {""};
	struct ne_model *model;

	put_int(&m, 1, 8);
	put(&m, 7, graph->v, graph->n);
	put_int(&opset, 2, 13);
	put(&m, 8, opset.v, opset.n);
	if (onnx_import(m.v, m.n, NULL, &model, &err) < 0)
		fprintf(stderr, "seed %s: %s\n", name, err.text);
	FUZZ_ASSERT(!err.text[0]);
	ne_model_free(model);
	fuzz_seed_write(name, m.v, m.n);
}

enum { FLOAT = 1, U8 = 2, S8 = 3, S32 = 6, S64 = 7 };

static void seed_relu(void)
{
	struct bytes g = {.n = 0};

	put_node(&g, "Relu", "x", "y", NULL);
	put_value(&g, 11, "x", FLOAT, "14");
	put_value(&g, 12, "y", FLOAT, "14");
	seed("relu", &g);
}

/* u8 [1,2,4,4] through a convolution and an addition in QDQ form. */
static void seed_qdq(void)
{
	static const float scale = 0.5f, scales[3] = {0.5f, 0.25f, 0.125f};
	static const uint8_t zero = 7, zeros[3] = {0};
	struct bytes g = {.n = 0}, axis = {.n = 0};

	put_text(&axis, 1, "axis");
	put_int(&axis, 3, 0);
	put_node(&g, "DequantizeLinear", "x s z", "xd", NULL);
	put_node(&g, "DequantizeLinear", "w ws wz", "wd", &axis);
	put_node(&g, "DequantizeLinear", "b ws", "bd", &axis);
	put_node(&g, "Conv", "xd wd bd", "c", NULL);
	put_node(&g, "QuantizeLinear", "c s z", "q", NULL);
	put_node(&g, "DequantizeLinear", "q s z", "d", NULL);
	put_node(&g, "Add", "d d", "a", NULL);
	put_node(&g, "QuantizeLinear", "a s z", "y", NULL);
	put_const(&g, "s", FLOAT, "", &scale, 4);
	put_const(&g, "z", U8, "", &zero, 1);
	put_const(&g, "w", S8, "3233", NULL, 54);
	put_const(&g, "ws", FLOAT, "3", scales, 12);
	put_const(&g, "wz", S8, "3", zeros, 3);
	put_const(&g, "b", S32, "3", NULL, 12);
	put_value(&g, 11, "x", U8, "1244");
	put_value(&g, 12, "y", U8, "1322");
	seed("qdq", &g);
}

/* The same kind of layer as one operator, and a product of integers. */
static void seed_qlinear(void)
{
	static const float scale = 0.5f;
	static const uint8_t zero = 7;
	struct bytes g = {.n = 0};

	put_node(&g, "QLinearMatMul", "x s z w s z s z", "y", NULL);
	put_node(&g, "MatMulInteger", "k w z", "i", NULL);
	put_node(&g, "DynamicQuantizeLinear", "f", "q qs qz", NULL);
	put_const(&g, "s", FLOAT, "", &scale, 4);
	put_const(&g, "z", U8, "", &zero, 1);
	put_const(&g, "w", U8, "43", NULL, 12);
	put_value(&g, 11, "x", U8, "14");
	put_value(&g, 11, "k", U8, "14");
	put_value(&g, 11, "f", FLOAT, "14");
	put_value(&g, 12, "y", U8, "13");
	put_value(&g, 12, "i", S32, "13");
	put_value(&g, 12, "q", U8, "14");
	seed("qlinear", &g);
}

static void seed_recurrent(const char *op, const char *w_dims, size_t w_bytes, const char *r_dims,
			   size_t r_bytes)
{
	struct bytes g = {.n = 0}, hidden = {.n = 0};

	put_text(&hidden, 1, "hidden_size");
	put_int(&hidden, 3, 2);
	put_node(&g, op, "x w r - l", "y h", &hidden);
	put_const(&g, "w", FLOAT, w_dims, NULL, w_bytes);
	put_const(&g, "r", FLOAT, r_dims, NULL, r_bytes);
	put_value(&g, 11, "x", FLOAT, "313");
	put_value(&g, 11, "l", S32, "1");
	put_value(&g, 12, "y", FLOAT, "3112");
	put_value(&g, 12, "h", FLOAT, "112");
	seed(op, &g);
}

/* Three rounds of v = v + v. */
static void seed_loop(void)
{
	static const int64_t rounds = 3;
	struct bytes g = {.n = 0}, body = {.n = 0}, attr = {.n = 0};

	put_node(&body, "Add", "v v", "w", NULL);
	put_node(&body, "Identity", "c", "d", NULL);
	put_value(&body, 11, "i", S64, "");
	put_value(&body, 11, "c", 9, "");
	put_value(&body, 11, "v", FLOAT, "2");
	put_value(&body, 12, "d", 9, "");
	put_value(&body, 12, "w", FLOAT, "2");
	put_text(&attr, 1, "body");
	put(&attr, 6, body.v, body.n);
	put_node(&g, "Loop", "n - x", "y", &attr);
	put_const(&g, "n", S64, "", &rounds, 8);
	put_value(&g, 11, "x", FLOAT, "2");
	put_value(&g, 12, "y", FLOAT, "2");
	seed("loop", &g);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	seed_relu();
	seed_qdq();
	seed_qlinear();
	seed_recurrent("LSTM", "183", 96, "182", 64);
	seed_recurrent("GRU", "163", 72, "162", 48);
	seed_recurrent("RNN", "123", 24, "122", 16);
	seed_loop();
	return 0;
}
