/* SPDX-License-Identifier: MIT */
#include "tests/unit/tflite_builder.h"

#include <stdlib.h>
#include <string.h>

/* ---- flatbuffers ---- */

#define SLOT 8u /* bytes of each field: the largest, aligned */

static size_t grow(struct fbw *b, size_t bytes)
{
	size_t at = b->n;

	b->data = realloc(b->data, b->n + bytes);
	if (!b->data)
		abort();
	memset(b->data + at, 0, bytes);
	b->n += bytes;
	return at;
}

static void align(struct fbw *b, size_t to)
{
	grow(b, (to - b->n % to) % to);
}

static void put(struct fbw *b, size_t at, uint64_t v, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		b->data[at + i] = (uint8_t)(v >> 8 * i);
}

/* A vtable whose fields are all absent, and its table with a slot for each. */
static size_t new_table(struct fbw *b, uint32_t fields)
{
	size_t vtable, table;

	align(b, SLOT);
	vtable = grow(b, 4 + 2 * fields);
	align(b, SLOT);
	table = grow(b, SLOT + SLOT * fields);
	put(b, vtable, 4 + 2 * fields, 2);
	put(b, vtable + 2, SLOT + SLOT * fields, 2);
	put(b, table, table - vtable, 4);
	return table;
}

/* Marks field @i as there; where it stands. */
static size_t slot(struct fbw *b, size_t table, uint32_t i)
{
	uint32_t back;

	memcpy(&back, b->data + table, 4);
	put(b, table - back + 4 + 2 * i, SLOT + SLOT * i, 2);
	return table + SLOT + SLOT * i;
}

size_t fbw_begin(struct fbw *b, const char *identifier, uint32_t fields)
{
	size_t root;

	*b = (struct fbw){NULL, 0};
	grow(b, 8);
	memcpy(b->data + 4, identifier, 4);
	root = new_table(b, fields);
	put(b, 0, root, 4);
	return root;
}

void fbw_free(struct fbw *b)
{
	free(b->data);
	*b = (struct fbw){NULL, 0};
}

void fbw_u8(struct fbw *b, size_t table, uint32_t i, uint8_t v)
{
	b->data[slot(b, table, i)] = v;
}

void fbw_u32(struct fbw *b, size_t table, uint32_t i, uint32_t v)
{
	put(b, slot(b, table, i), v, 4);
}

void fbw_f32(struct fbw *b, size_t table, uint32_t i, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, 4);
	fbw_u32(b, table, i, bits);
}

size_t fbw_table(struct fbw *b, size_t table, uint32_t i, uint32_t fields)
{
	size_t at = slot(b, table, i), child = new_table(b, fields);

	put(b, at, child - at, 4);
	return child;
}

size_t fbw_vector(struct fbw *b, size_t table, uint32_t i, const void *v, size_t n, size_t size)
{
	size_t at = slot(b, table, i), vector;

	align(b, 8);
	grow(b, 4); /* so that the elements, after the count, are aligned to 8 */
	vector = grow(b, 4 + n * size);
	put(b, at, vector - at, 4);
	put(b, vector, n, 4);
	if (v && n)
		memcpy(b->data + vector + 4, v, n * size);
	return vector + 4;
}

void fbw_string(struct fbw *b, size_t table, uint32_t i, const char *text)
{
	fbw_vector(b, table, i, text, strlen(text), 1);
	grow(b, 1);
}

size_t fbw_element(struct fbw *b, size_t first, uint32_t k, uint32_t fields)
{
	size_t at = first + 4 * (size_t)k, table = new_table(b, fields);

	put(b, at, table - at, 4);
	return table;
}

/* ---- TFLite ---- */

/* Buffer 0 is empty by convention; each constant has one of its own. */
static void add_buffers(struct fbw *b, size_t model, const struct tb_subgraph *s, int n)
{
	size_t total = 1, first, k = 1;

	for (int g = 0; g < n; g++)
		for (int i = 0; i < s[g].n_tensor; i++)
			total += s[g].tensor[i].data != NULL;
	first = fbw_vector(b, model, 4, NULL, total, 4);
	fbw_element(b, first, 0, 1);
	for (int g = 0; g < n; g++)
		for (int i = 0; i < s[g].n_tensor; i++) {
			const struct tb_tensor *t = &s[g].tensor[i];

			if (t->data)
				fbw_vector(b, fbw_element(b, first, (uint32_t)k++, 1), 0, t->data,
					   t->bytes, 1);
		}
}

static void add_tensor(struct fbw *b, size_t table, const struct tb_tensor *t, uint32_t *buffer)
{
	size_t quant, zero;

	fbw_vector(b, table, 0, t->dim, (size_t)t->rank, 4);
	fbw_u8(b, table, 1, (uint8_t)t->type);
	fbw_u32(b, table, 2, t->data ? (*buffer)++ : 0);
	fbw_string(b, table, 3, t->name);
	if (!t->n_scale)
		return;
	quant = fbw_table(b, table, 4, 7);
	fbw_vector(b, quant, 2, t->scale ? t->scale : &t->scale0, (size_t)t->n_scale, 4);
	zero = fbw_vector(b, quant, 3, NULL, (size_t)t->n_scale, 8);
	for (int i = 0; i < t->n_scale; i++)
		put(b, zero + 8 * (size_t)i, (uint64_t)t->zero, 8);
	fbw_u32(b, quant, 6, (uint32_t)t->axis);
}

static void add_op(struct fbw *b, size_t table, const struct tb_op *o, uint32_t code)
{
	size_t opt;

	fbw_u32(b, table, 0, code);
	fbw_vector(b, table, 1, o->in, (size_t)o->n_in, 4);
	fbw_vector(b, table, 2, o->out, (size_t)o->n_out, 4);
	if (!o->n_option)
		return;
	fbw_u8(b, table, 3, 1);
	opt = fbw_table(b, table, 4, 8);
	for (int i = 0; i < o->n_option; i++) {
		if (o->option[i].text)
			fbw_string(b, opt, o->option[i].field, o->option[i].text);
		else if (o->option[i].size == 1)
			fbw_u8(b, opt, o->option[i].field, (uint8_t)o->option[i].value);
		else
			fbw_u32(b, opt, o->option[i].field, (uint32_t)o->option[i].value);
	}
}

static void add_subgraph(struct fbw *b, size_t table, const struct tb_subgraph *s, uint32_t *buffer,
			 uint32_t *code)
{
	size_t tensors = fbw_vector(b, table, 0, NULL, (size_t)s->n_tensor, 4), ops;

	for (int i = 0; i < s->n_tensor; i++)
		add_tensor(b, fbw_element(b, tensors, (uint32_t)i, 8), &s->tensor[i], buffer);
	fbw_vector(b, table, 1, s->in, (size_t)s->n_in, 4);
	fbw_vector(b, table, 2, s->out, (size_t)s->n_out, 4);
	ops = fbw_vector(b, table, 3, NULL, (size_t)s->n_op, 4);
	for (int i = 0; i < s->n_op; i++)
		add_op(b, fbw_element(b, ops, (uint32_t)i, 9), &s->op[i], (*code)++);
	fbw_string(b, table, 4, "main");
}

struct fbw tb_build(const struct tb_subgraph *s, int n)
{
	struct fbw b;
	size_t model = fbw_begin(&b, "TFL3", 5), first, codes = 0, k = 0;
	uint32_t buffer = 1, code = 0;

	fbw_u32(&b, model, 0, 3);
	for (int g = 0; g < n; g++)
		codes += (size_t)s[g].n_op;
	first = fbw_vector(&b, model, 1, NULL, codes, 4);
	for (int g = 0; g < n; g++)
		for (int i = 0; i < s[g].n_op; i++) {
			size_t c = fbw_element(&b, first, (uint32_t)k++, 4);

			fbw_u8(&b, c, 0, (uint8_t)(s[g].op[i].code < 127 ? s[g].op[i].code : 127));
			fbw_u32(&b, c, 2, 1);
			fbw_u32(&b, c, 3, (uint32_t)s[g].op[i].code);
		}
	first = fbw_vector(&b, model, 2, NULL, (size_t)n, 4);
	for (int g = 0; g < n; g++)
		add_subgraph(&b, fbw_element(&b, first, (uint32_t)g, 5), &s[g], &buffer, &code);
	add_buffers(&b, model, s, n);
	return b;
}

/* ---- samples ---- */

struct fbw tb_sample(void)
{
	static const int8_t w[3 * 2 * 2 * 2] = {1,  -2, 3, 4, -5, 6,  7, -8, 9,  10, -11, 12,
						13, 14, 0, 0, 1,  -1, 2, 3,  -4, 5,  6,   7};
	static const float scales[3] = {0.01f, 0.02f, 0.015f};
	static const int32_t bias[3] = {100, -200, 300}, to[2] = {1, 12}, dense_bias[2] = {5, -5};
	static int8_t dense[2 * 12];
	static const struct tb_tensor tensor[] = {
		{"in", 9, 4, {1, 3, 3, 2}, NULL, 0, 1, NULL, 0.5f, 3, 0},
		{"w", 9, 4, {3, 2, 2, 2}, w, sizeof(w), 3, scales, 0, 0, 0},
		{"b", 2, 1, {3}, bias, sizeof(bias), 0, NULL, 0, 0, 0},
		{"conv", 9, 4, {1, 2, 2, 3}, NULL, 0, 1, NULL, 0.25f, -7, 0},
		{"shape", 2, 1, {2}, to, sizeof(to), 0, NULL, 0, 0, 0},
		{"flat", 9, 2, {1, 12}, NULL, 0, 1, NULL, 0.25f, -7, 0},
		{"dense", 9, 2, {2, 12}, dense, sizeof(dense), 1, NULL, 0.03f, 0, 0},
		{"dense_bias", 2, 1, {2}, dense_bias, sizeof(dense_bias), 0, NULL, 0, 0, 0},
		{"logits", 9, 2, {1, 2}, NULL, 0, 1, NULL, 0.2f, 4, 0},
		{"out", 9, 2, {1, 2}, NULL, 0, 1, NULL, 1.0f / 256, -128, 0},
	};
	static const struct tb_op op[] = {
		{3,
		 3,
		 1,
		 {0, 1, 2},
		 {3},
		 4,
		 {{0, 1, 1, NULL}, {1, 4, 1, NULL}, {2, 4, 1, NULL}, {3, 1, 1, NULL}}},
		{22, 2, 1, {3, 4}, {5}, 0, {{0, 0, 0, NULL}}},
		{9, 3, 1, {5, 6, 7}, {8}, 0, {{0, 0, 0, NULL}}},
		{25, 1, 1, {8}, {9}, 1, {{0, 4, 0x3f800000, NULL}}},
	};
	const struct tb_subgraph s = {TB_SIZE(tensor), TB_SIZE(op), 1, 1, tensor, op, {0}, {9}};

	for (int i = 0; i < (int)sizeof(dense); i++)
		dense[i] = (int8_t)(i * 37 % 200 - 100);
	return tb_build(&s, 1);
}

struct fbw tb_sample_u8(void)
{
	static const uint8_t w[2 * 3] = {0, 255, 100, 120, 130, 7}, dw[4] = {9, 200, 30, 255};
	static const int32_t bias[2] = {7, -9};
	static const struct tb_tensor tensor[] = {
		{"in", 3, 4, {1, 2, 2, 3}, NULL, 0, 1, NULL, 0.5f, 130, 0},
		{"w", 3, 4, {2, 1, 1, 3}, w, sizeof(w), 1, NULL, 0.02f, 110, 0},
		{"b", 2, 1, {2}, bias, sizeof(bias), 0, NULL, 0, 0, 0},
		{"conv", 3, 4, {1, 2, 2, 2}, NULL, 0, 1, NULL, 0.5f, 100, 0},
		{"dw", 3, 4, {1, 1, 1, 4}, dw, sizeof(dw), 1, NULL, 0.03f, 9, 0},
		{"out", 3, 4, {1, 2, 2, 4}, NULL, 0, 1, NULL, 2.0f, 50, 0},
	};
	static const struct tb_op op[] = {
		{3, 3, 1, {0, 1, 2}, {3}, 2, {{1, 4, 1, NULL}, {2, 4, 1, NULL}}},
		{4, 2, 1, {3, 4}, {5}, 3, {{1, 4, 1, NULL}, {2, 4, 1, NULL}, {3, 4, 2, NULL}}},
	};
	const struct tb_subgraph s = {TB_SIZE(tensor), TB_SIZE(op), 1, 1, tensor, op, {0}, {5}};

	return tb_build(&s, 1);
}

struct fbw tb_sample_audio(void)
{
	static const int32_t shape[4] = {1, 3, 4, 2}, size[2] = {4, 4};
	static const int8_t w[2 * 2 * 3 * 1] = {1, -2, 3, 4, -5, 6, 7, -8, 9, 10, -11, 12};
	static int8_t feature[4 * 32];
	static int16_t time[4 * 3];
	static const int32_t bias[2] = {1000, -1000};
	static const struct tb_tensor tensor[] = {
		{"in", 7, 4, {1, 2, 2, 1}, NULL, 0, 1, NULL, 0.001f, 0, 0},
		{"x", 9, 4, {1, 2, 2, 1}, NULL, 0, 1, NULL, 0.5f, 3, 0},
		{"shape", 2, 1, {4}, shape, sizeof(shape), 0, NULL, 0, 0, 0},
		{"w", 9, 4, {2, 2, 3, 1}, w, sizeof(w), 1, NULL, 0.02f, 0, 0},
		{"up", 9, 4, {1, 3, 4, 2}, NULL, 0, 1, NULL, 0.25f, -7, 0},
		{"size", 2, 1, {2}, size, sizeof(size), 0, NULL, 0, 0, 0},
		{"image", 9, 4, {1, 4, 4, 2}, NULL, 0, 1, NULL, 0.25f, -7, 0},
		{"feature", 9, 2, {4, 32}, feature, sizeof(feature), 1, NULL, 0.01f, 0, 0},
		{"time", 7, 2, {4, 3}, time, sizeof(time), 1, NULL, 0.0001f, 0, 0},
		{"b", 2, 1, {2}, bias, sizeof(bias), 1, NULL, 1e-7f, 0, 0},
		{"state", 7, 2, {1, 12}, NULL, 0, 1, NULL, 0.001f, 0, 0},
		{"out", 9, 2, {1, 2}, NULL, 0, 1, NULL, 0.05f, 4, 0},
	};
	static const struct tb_op op[] = {
		{114, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}},
		{67, 3, 1, {2, 3, 1}, {4}, 2, {{1, 4, 2, NULL}, {2, 4, 2, NULL}}},
		{23, 2, 1, {4, 5}, {6}, 1, {{1, 1, 1, NULL}}},
		{27, 5, 1, {6, 7, 8, 9, 10}, {11}, 2, {{0, 4, 2, NULL}, {1, 1, 1, NULL}}},
	};
	const struct tb_subgraph s = {TB_SIZE(tensor), TB_SIZE(op), 1, 1, tensor, op, {0}, {11}};

	for (int i = 0; i < TB_SIZE(feature); i++)
		feature[i] = (int8_t)(i * 37 % 200 - 100);
	for (int i = 0; i < TB_SIZE(time); i++)
		time[i] = (int16_t)(i * 3001 % 20000 - 10000);
	return tb_build(&s, 1);
}
