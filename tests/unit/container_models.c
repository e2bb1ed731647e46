// SPDX-License-Identifier: MIT
/* Models and bytes for the container's tests. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <neap/model.h>

#include "engine/model/f16.h"
#include "tests/unit/container_models.h"

/* splitmix64 (S. Vigna, public domain algorithm) */
uint32_t test_random_next(struct test_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)(z >> 32 ^ z);
}

uint32_t test_random_below(struct test_random *r, uint32_t n)
{
	return (uint32_t)((uint64_t)test_random_next(r) * n >> 32);
}

float test_random_normal(struct test_random *r)
{
	float sum = -6.0f;

	for (int i = 0; i < 12; i++)
		sum += (float)test_random_below(r, 1u << 20) / (float)(1u << 20);
	return sum;
}

static void *must(void *p)
{
	assert_non_null(p);
	return p;
}

static uint32_t tensor(struct ne_model *m, const char *name, enum ne_dtype t, struct ne_shape s,
		       uint32_t group)
{
	int id = ne_graph_add_tensor(&m->graph, name, t, &s);

	assert_true(id >= 0);
	m->graph.tensor[id].group = group;
	return (uint32_t)id;
}

static uint32_t constant(struct ne_model *m, struct test_random *r, const char *name,
			 enum ne_dtype t, struct ne_shape s)
{
	size_t n = ne_shape_elements(&s), size = ne_dtype_size(t);
	uint8_t *p = must(malloc(n * size));
	int id;

	for (size_t i = 0; i < n * size; i++)
		p[i] = (uint8_t)test_random_next(r);
	for (size_t i = 0; i < n; i++) {
		float v = test_random_normal(r);

		if (t == NE_F32)
			memcpy(p + 4 * i, &v, 4);
		if (t == NE_S8)
			p[i] = (uint8_t)(int8_t)(v * 21.0f);
		if (t == NE_BOOL)
			p[i] &= 1u;
	}
	id = ne_graph_add_const(&m->graph, name, t, &s, p);
	assert_true(id >= 0);
	return (uint32_t)id;
}

static uint32_t weights(struct ne_model *m, struct test_random *r, const char *name,
			struct ne_shape s)
{
	uint32_t id = constant(m, r, name, NE_S8, s);
	struct ne_tensor *t = &m->graph.tensor[id];

	t->n_scale = (uint32_t)s.dim[0];
	t->scale = must(malloc(t->n_scale * sizeof(float)));
	for (uint32_t i = 0; i < t->n_scale; i++)
		t->scale[i] = 0.001f + 0.0001f * (float)test_random_below(r, 100);
	return id;
}

static void node(struct ne_model *m, enum ne_op op, const char *name, uint32_t a, uint32_t b,
		 uint32_t out, const struct ne_attr *attr)
{
	uint32_t in[2] = {a, b};

	assert_true(ne_graph_add_node(&m->graph, op, name, b == NE_NONE ? 1 : 2, in, 1, &out,
				      attr) >= 0);
}

#define SHAPE(r, ...) ((struct ne_shape){.rank = (r), .dim = {__VA_ARGS__}})

static const struct ne_attr plain = {
	.window = {.kh = 1, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1},
	.groups = 1,
};

struct sizes {
	int32_t side, channels, classes;
	bool states;
};

/* x plus what this gave in the run before. */
static uint32_t accumulate(struct ne_model *m, struct test_random *r, uint32_t x)
{
	struct ne_shape s = m->graph.tensor[x].shape;
	uint32_t before = tensor(m, "before", NE_F32, s, 0);
	uint32_t sum = tensor(m, "sum", NE_F32, s, 0);
	uint32_t first = test_random_below(r, 2) ? constant(m, r, "first", NE_F32, s) : NE_NONE;

	node(m, NE_OP_ADD, "accumulate", x, before, sum, &plain);
	assert_true(ne_graph_add_state(&m->graph, before, sum, first) >= 0);
	return sum;
}

/* Pool over the image, classify, softmax: what an exit needs. */
static void head(struct ne_model *m, struct test_random *r, const struct sizes *s, uint32_t x,
		 uint32_t group)
{
	uint32_t pool = tensor(m, "pool", NE_S8, SHAPE(2, 1, s->channels), group);
	uint32_t w = weights(m, r, "fc.w", SHAPE(2, s->classes, s->channels));
	uint32_t q = tensor(m, "fc", NE_S8, SHAPE(2, 1, s->classes), 0);
	uint32_t f = tensor(m, "logits", NE_F32, SHAPE(2, 1, s->classes), 0);
	uint32_t y = tensor(m, "probability", NE_F32, SHAPE(2, 1, s->classes), 0);
	struct ne_attr soft = plain;

	soft.axis = 1;
	node(m, NE_OP_GLOBALPOOL, "pool", x, NE_NONE, pool, &plain);
	node(m, NE_OP_DENSE, "fc", pool, w, q, &plain);
	node(m, NE_OP_DEQUANTISE, "dequantise", q, NE_NONE, f, &plain);
	if (s->states)
		f = accumulate(m, r, f);
	node(m, NE_OP_SOFTMAX, "softmax", f, NE_NONE, y, &soft);
	assert_true(ne_graph_add_exit(&m->graph, 1, &y) >= 0);
}

static uint32_t conv(struct ne_model *m, struct test_random *r, const struct sizes *s, uint32_t x,
		     int32_t ic, uint32_t group, uint32_t norm)
{
	uint32_t w = weights(m, r, "conv.w", SHAPE(4, s->channels, 3, 3, ic));
	uint32_t y = tensor(m, "conv", NE_S8, SHAPE(4, 1, s->side, s->side, s->channels), group);
	struct ne_attr a = {
		.window = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1},
		.groups = 1,
		.act = NE_ACT_RELU,
		.norm = norm,
	};

	node(m, NE_OP_CONV, "conv", x, w, y, &a);
	return y;
}

static void width(struct ne_model *m, struct test_random *r, uint32_t id, int32_t active)
{
	struct ne_width *w = &m->width[id];

	w->active = must(calloc(m->graph.n_group + 1, sizeof(*w->active)));
	w->quant = must(calloc(m->graph.n_tensor, sizeof(*w->quant)));
	w->norm = must(calloc(m->n_norm, sizeof(*w->norm)));
	for (uint32_t g = 1; g <= m->graph.n_group; g++)
		w->active[g] = active;
	for (uint32_t i = 0; i < m->graph.n_tensor; i++)
		if (m->graph.tensor[i].dtype == NE_S8 && !m->graph.tensor[i].data) {
			w->quant[i].scale = 0.01f + 0.001f * (float)test_random_below(r, 50);
			w->quant[i].zero = (int32_t)test_random_below(r, 256) - 128;
		}
	for (uint32_t i = 0; i < m->n_norm; i++) {
		w->norm[i].n = (uint32_t)active;
		w->norm[i].scale = must(malloc((size_t)active * sizeof(float)));
		w->norm[i].bias = must(malloc((size_t)active * sizeof(float)));
		for (int32_t c = 0; c < active; c++) {
			w->norm[i].scale[c] = 1.0f + 0.1f * test_random_normal(r);
			w->norm[i].bias[c] = test_random_normal(r);
		}
	}
}

static void levels(struct ne_model *m, struct test_random *r)
{
	m->n_level = m->n_width * m->graph.n_exit;
	m->level = must(calloc(m->n_level, sizeof(*m->level)));
	for (uint32_t i = 0; i < m->n_level; i++) {
		struct ne_level *l = &m->level[i];

		l->depth = i / m->n_width;
		l->width = i % m->n_width;
		l->flags = i < m->n_width ? NE_LEVEL_PARETO : 0;
		l->macs = ne_model_macs(m, l->depth, l->width);
		l->accuracy = (float)test_random_below(r, 1000) / 1000.0f;
		l->latency_us = 10.0f * (float)i;
		l->energy_uj = (float)i;
		l->control_accuracy = -1.0f;
		l->f32_accuracy = 0.5f;
	}
	m->confidence = 0.875f;
}

static void texts(struct ne_model *m, struct test_random *r, uint32_t n_label)
{
	static const char *const word[] = {"", "cat", "Katze", "κάτα", "猫", "🐈", "T-shirt/top"};
	char key[16];

	m->label = must(calloc(n_label, sizeof(*m->label)));
	for (m->n_label = 0; m->n_label < n_label; m->n_label++)
		m->label[m->n_label] = must(strdup(word[test_random_below(r, 7)]));
	assert_int_equal(ne_model_set_note(m, "tool", "neap 0.1.0"), 0);
	assert_int_equal(ne_model_set_note(m, "data_set", "Fashion-MNIST — train"), 0);
	for (uint32_t i = test_random_below(r, 20); i > 0; i--) {
		snprintf(key, sizeof(key), "key_%u", i);
		assert_int_equal(ne_model_set_note(m, key, word[test_random_below(r, 7)]), 0);
	}
}

static struct ne_model *model_make(uint64_t seed, const struct sizes *s)
{
	static const enum ne_dtype type[] = {NE_F32, NE_S8, NE_U8, NE_S16, NE_S32, NE_S64, NE_BOOL};
	struct test_random r = {seed};
	struct ne_model *m = must(ne_model_new());
	struct ne_error err;
	uint32_t g1, g2, x, q, a, b;

	g1 = (uint32_t)ne_graph_add_group(&m->graph, s->channels);
	g2 = (uint32_t)ne_graph_add_group(&m->graph, s->channels);
	x = tensor(m, "image", NE_F32, SHAPE(4, 1, s->side, s->side, 1), 0);
	q = tensor(m, "quantised", NE_S8, m->graph.tensor[x].shape, 0);
	assert_int_equal(ne_graph_add_input(&m->graph, x), 0);
	node(m, NE_OP_QUANTISE, "quantise", x, NE_NONE, q, &plain);
	a = conv(m, &r, s, q, 1, g1, 1);
	head(m, &r, s, a, g1);
	b = conv(m, &r, s, a, s->channels, g2, 2);
	head(m, &r, s, b, g2);
	for (size_t i = 0; i < NE_ARRAY_SIZE(type); i++)
		constant(m, &r, "constant", type[i],
			 SHAPE(2, 3, 1 + (int32_t)test_random_below(&r, 400)));
	m->n_norm = 2;
	m->width = must(calloc(2, sizeof(*m->width)));
	m->n_width = 2;
	width(m, &r, 0, 8);
	width(m, &r, 1, s->channels);
	levels(m, &r);
	texts(m, &r, (uint32_t)s->classes);
	if (ne_model_check(m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

struct ne_model *test_model_small(void)
{
	return model_make(1, &(struct sizes){.side = 6, .channels = 16, .classes = 4});
}

struct ne_model *test_model_stateful(void)
{
	struct sizes s = {.side = 6, .channels = 16, .classes = 4, .states = true};

	return model_make(1, &s);
}

struct ne_model *test_model_random(uint64_t seed)
{
	struct test_random r = {seed};
	struct sizes s = {
		.side = 3 + (int32_t)test_random_below(&r, 6),
		.channels = 8 * (1 + (int32_t)test_random_below(&r, 6)),
		.classes = 1 + (int32_t)test_random_below(&r, 12),
		.states = seed % 2,
	};

	return model_make(seed, &s);
}

struct ne_model *test_model_least(void)
{
	struct ne_model *m = must(ne_model_new());
	uint32_t x = tensor(m, "x", NE_F32, SHAPE(2, 1, 1), 0);
	uint32_t y = tensor(m, "y", NE_F32, SHAPE(2, 1, 1), 0);
	struct ne_error err;

	assert_int_equal(ne_graph_add_input(&m->graph, x), 0);
	node(m, NE_OP_RELU, "n", x, NE_NONE, y, &plain);
	assert_true(ne_graph_add_exit(&m->graph, 1, &y) >= 0);
	if (ne_model_add_default_levels(m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

static void floats_equal(const float *a, const float *b, size_t n, bool half)
{
	float top = 0.0f;

	for (size_t i = 0; i < n; i++)
		top = NE_MAX(top, NE_MAX(a[i], -a[i]));
	for (size_t i = 0; i < n; i++) {
		float off = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
		float own = NE_MAX(a[i], -a[i]) * 0x1p-11f;

		if (half)
			assert_true(off <= NE_MAX(own, top * 0x1p-14f));
		else
			assert_memory_equal(&a[i], &b[i], sizeof(float));
	}
}

static void ids_equal(const uint32_t *a, uint32_t n_a, const uint32_t *b, uint32_t n_b)
{
	assert_int_equal(n_a, n_b);
	if (n_a)
		assert_memory_equal(a, b, n_a * sizeof(*a));
}

static void tensors_equal(const struct ne_tensor *a, const struct ne_tensor *b, bool half)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->dtype, b->dtype);
	assert_memory_equal(&a->shape, &b->shape, sizeof(a->shape));
	assert_int_equal(a->group, b->group);
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->data != NULL, b->data != NULL);
	if (a->data && a->dtype == NE_F32)
		floats_equal(a->data, b->data, a->bytes / 4, half);
	else if (a->data)
		assert_memory_equal(a->data, b->data, a->bytes);
	assert_int_equal(a->n_scale, b->n_scale);
	floats_equal(a->scale, b->scale, a->n_scale, false);
}

static void graphs_equal(const struct ne_graph *a, const struct ne_graph *b, bool half)
{
	assert_int_equal(a->n_tensor, b->n_tensor);
	assert_int_equal(a->n_node, b->n_node);
	assert_int_equal(a->n_exit, b->n_exit);
	assert_int_equal(a->n_group, b->n_group);
	ids_equal(a->in, a->n_in, b->in, b->n_in);
	for (uint32_t i = 0; i < a->n_tensor; i++)
		tensors_equal(&a->tensor[i], &b->tensor[i], half);
	for (uint32_t i = 0; i < a->n_node; i++) {
		assert_string_equal(a->node[i].name, b->node[i].name);
		assert_int_equal(a->node[i].op, b->node[i].op);
		ids_equal(a->node[i].in, a->node[i].n_in, b->node[i].in, b->node[i].n_in);
		ids_equal(a->node[i].out, a->node[i].n_out, b->node[i].out, b->node[i].n_out);
		assert_memory_equal(&a->node[i].attr, &b->node[i].attr, sizeof(struct ne_attr));
	}
	for (uint32_t i = 0; i < a->n_exit; i++)
		ids_equal(a->exit[i].out, a->exit[i].n_out, b->exit[i].out, b->exit[i].n_out);
	assert_int_equal(a->n_state, b->n_state);
	for (uint32_t i = 0; i < a->n_state; i++)
		assert_memory_equal(&a->state[i], &b->state[i], sizeof(a->state[i]));
	for (uint32_t i = 1; i <= a->n_group; i++)
		assert_int_equal(a->group_channels[i], b->group_channels[i]);
}

static void widths_equal(const struct ne_model *a, const struct ne_model *b, uint32_t id, bool half)
{
	const struct ne_width *v = &a->width[id], *w = &b->width[id];

	for (uint32_t i = 1; i <= a->graph.n_group; i++)
		assert_int_equal(v->active[i], w->active[i]);
	assert_memory_equal(v->quant, w->quant, a->graph.n_tensor * sizeof(*v->quant));
	for (uint32_t i = 0; i < a->n_norm; i++) {
		assert_int_equal(v->norm[i].n, w->norm[i].n);
		floats_equal(v->norm[i].scale, w->norm[i].scale, v->norm[i].n, half);
		floats_equal(v->norm[i].bias, w->norm[i].bias, v->norm[i].n, half);
	}
}

void test_models_equal(const struct ne_model *a, const struct ne_model *b, bool half)
{
	graphs_equal(&a->graph, &b->graph, half);
	assert_int_equal(a->n_width, b->n_width);
	assert_int_equal(a->n_norm, b->n_norm);
	for (uint32_t i = 0; i < a->n_width; i++)
		widths_equal(a, b, i, half);
	assert_int_equal(a->n_level, b->n_level);
	for (uint32_t i = 0; i < a->n_level; i++)
		assert_memory_equal(&a->level[i], &b->level[i], sizeof(a->level[i]));
	assert_int_equal(a->n_label, b->n_label);
	for (uint32_t i = 0; i < a->n_label; i++)
		assert_string_equal(a->label[i], b->label[i]);
	assert_int_equal(a->n_note, b->n_note);
	for (uint32_t i = 0; i < a->n_note; i++) {
		assert_string_equal(a->note[i].key, b->note[i].key);
		assert_string_equal(a->note[i].value, b->note[i].value);
	}
	assert_memory_equal(&a->confidence, &b->confidence, sizeof(float));
}

void test_container_fix(uint8_t *data, size_t bytes)
{
	struct neap_file_header h;
	size_t head_bytes;

	if (bytes < sizeof(h))
		return;
	memcpy(&h, data, sizeof(h));
	head_bytes = sizeof(h) + (size_t)h.n_section * sizeof(struct neap_file_section);
	if (h.n_section > NEAP_MAX_SECTIONS || head_bytes > bytes)
		return;
	for (uint32_t i = 0; i < h.n_section; i++) {
		uint8_t *p = data + sizeof(h) + i * sizeof(struct neap_file_section);
		struct neap_file_section s;

		memcpy(&s, p, sizeof(s));
		if (s.offset > bytes || s.bytes > bytes - s.offset)
			continue;
		s.checksum = XXH3_64bits(data + s.offset, (size_t)s.bytes);
		memcpy(p, &s, sizeof(s));
	}
	h.checksum = 0;
	memcpy(data, &h, sizeof(h));
	h.checksum = XXH3_64bits(data, head_bytes);
	memcpy(data, &h, sizeof(h));
}

struct neap_file_section *test_container_section(uint8_t *data, uint32_t type)
{
	struct neap_file_section *s = (void *)(data + sizeof(struct neap_file_header));

	while (s->type != type)
		s++;
	return s;
}
