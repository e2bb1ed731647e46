// SPDX-License-Identifier: MIT
/* See model.h. */
#include "tests/system/model.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "engine/model/container.h"

#define CHANNELS  24
#define WIDTHS    3
#define SLOW_SIDE 6 /* of slow models on an emulated processor */

const struct model_spec model_quick = {.side = 8, .blocks = 1, .seed = 1};
const struct model_spec model_slow = {.side = 96, .blocks = 4, .seed = 2};

static uint32_t must(int id, const char *what)
{
	CHECK(id >= 0, "%s: %s", what, strerror(-id));
	return (uint32_t)id;
}

static uint32_t constant(struct ne_graph *g, const char *name, const struct ne_shape *shape,
			 float spread, uint64_t *state)
{
	size_t n = ne_shape_elements(shape);
	float *data = malloc(n * sizeof(*data));

	CHECK(data);
	for (size_t i = 0; i < n; i++)
		data[i] = ((float)random_u32(state) / 4294967296.0f - 0.5f) * 2 * spread;
	return must(ne_graph_add_const(g, name, NE_F32, shape, data), name);
}

static uint32_t tensor(struct ne_graph *g, const char *name, struct ne_shape shape, uint32_t group)
{
	uint32_t id = must(ne_graph_add_tensor(g, name, NE_F32, &shape), name);

	g->tensor[id].group = group;
	return id;
}

/* 3x3 convolution with relu to CHANNELS channels of a group of their own. */
static uint32_t conv(struct ne_graph *g, uint32_t x, int index, uint64_t *state)
{
	struct ne_attr attr = {.window = {.kh = 3,
					  .kw = 3,
					  .sh = 1,
					  .sw = 1,
					  .dh = 1,
					  .dw = 1,
					  .pad_top = 1,
					  .pad_left = 1,
					  .pad_bottom = 1,
					  .pad_right = 1},
			       .groups = 1,
			       .act = NE_ACT_RELU};
	struct ne_shape shape = g->tensor[x].shape;
	int32_t in = shape.dim[3];
	struct ne_shape w = {4, {CHANNELS, 3, 3, in}}, b = {1, {CHANNELS}};
	uint32_t group = must(ne_graph_add_group(g, CHANNELS), "group");
	char name[32];
	uint32_t ids[3], out;

	ids[0] = x;
	snprintf(name, sizeof(name), "w%d", index);
	ids[1] = constant(g, name, &w, in == 1 ? 0.7f : 0.15f, state);
	snprintf(name, sizeof(name), "b%d", index);
	ids[2] = constant(g, name, &b, 0.1f, state);
	shape.dim[3] = CHANNELS;
	snprintf(name, sizeof(name), "conv%d", index);
	out = tensor(g, name, shape, group);
	must(ne_graph_add_node(g, NE_OP_CONV, name, 3, ids, 1, &out, &attr), name);
	return out;
}

static void head(struct ne_graph *g, uint32_t x, int index, uint64_t *state)
{
	struct ne_shape pooled = {2, {1, CHANNELS}}, classes = {2, {1, TEST_CLASSES}};
	struct ne_shape w = {2, {TEST_CLASSES, CHANNELS}}, b = {1, {TEST_CLASSES}};
	struct ne_attr attr = {.groups = 1, .axis = 1};
	char name[32];
	uint32_t pool, dense, soft, ids[3];

	attr.window = (struct ne_window){.kh = 1, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1};
	snprintf(name, sizeof(name), "pool%d", index);
	pool = tensor(g, name, pooled, g->tensor[x].group);
	must(ne_graph_add_node(g, NE_OP_GLOBALPOOL, name, 1, &x, 1, &pool, &attr), name);
	ids[0] = pool;
	snprintf(name, sizeof(name), "hw%d", index);
	ids[1] = constant(g, name, &w, 2, state);
	snprintf(name, sizeof(name), "hb%d", index);
	ids[2] = constant(g, name, &b, 0.1f, state);
	snprintf(name, sizeof(name), "dense%d", index);
	dense = tensor(g, name, classes, NE_NO_GROUP);
	must(ne_graph_add_node(g, NE_OP_DENSE, name, 3, ids, 1, &dense, &attr), name);
	snprintf(name, sizeof(name), "softmax%d", index);
	soft = tensor(g, name, classes, NE_NO_GROUP);
	must(ne_graph_add_node(g, NE_OP_SOFTMAX, name, 1, &dense, 1, &soft, &attr), name);
	must(ne_graph_add_exit(g, 1, &soft), "exit");
}

static void add_widths(struct ne_model *m)
{
	struct ne_graph *g = &m->graph;

	m->width = calloc(WIDTHS, sizeof(*m->width));
	CHECK(m->width);
	m->n_width = WIDTHS;
	for (int w = 0; w < WIDTHS; w++) {
		m->width[w].active = calloc(g->n_group + 1, sizeof(int32_t));
		m->width[w].quant = calloc(g->n_tensor, sizeof(struct ne_quant));
		CHECK(m->width[w].active && m->width[w].quant);
		for (uint32_t i = 1; i <= g->n_group; i++)
			m->width[w].active[i] = 8 * (w + 1);
	}
}

static int by_macs(const void *a, const void *b)
{
	const struct ne_level *x = a, *y = b;

	return x->macs < y->macs ? -1 : x->macs > y->macs;
}

static void add_levels(struct ne_model *m)
{
	uint32_t n = 2 * WIDTHS;

	m->level = calloc(n, sizeof(*m->level));
	CHECK(m->level);
	m->n_level = n;
	for (uint32_t i = 0; i < n; i++)
		m->level[i] = (struct ne_level){.depth = i / WIDTHS,
						.width = i % WIDTHS,
						.flags = NE_LEVEL_PARETO,
						.macs = ne_model_macs(m, i / WIDTHS, i % WIDTHS),
						.control_accuracy = -1,
						.f32_accuracy = -1};
	qsort(m->level, n, sizeof(*m->level), by_macs);
	/* Pretended: rising with the cost, as on a real front. */
	for (uint32_t i = 0; i < n; i++)
		m->level[i].accuracy = 0.6f + 0.05f * (float)i;
}

struct ne_model *model_make(const struct model_spec *spec)
{
	struct ne_model *m = ne_model_new();
	uint64_t state = spec->seed * 0x9e3779b97f4a7c15ull + 1;
	struct ne_shape shape = {4, {1, spec->side, spec->side, 1}};
	struct ne_error err;
	uint32_t x;

	CHECK(m);
	x = tensor(&m->graph, "x", shape, NE_NO_GROUP);
	must(ne_graph_add_input(&m->graph, x), "input");
	x = conv(&m->graph, x, 0, &state);
	head(&m->graph, x, 0, &state);
	for (int i = 1; i <= spec->blocks; i++)
		x = conv(&m->graph, x, i, &state);
	head(&m->graph, x, 1, &state);
	CHECK(ne_graph_compact(&m->graph, &err) == 0, "%s", err.text);
	add_widths(m);
	add_levels(m);
	m->confidence = spec->confidence;
	CHECK(ne_model_check(m, &err) == 0, "%s", err.text);
	return m;
}

/* What is fit for the machine: an emulated processor needs some hundred times as long for f32. */
static struct model_spec fit(const struct harness *h, const struct model_spec *spec)
{
	struct model_spec use = *spec;

	if (h->emulated)
		use.side = use.side > 32 ? SLOW_SIDE : use.side == 8 ? 4 : use.side;
	else if (h->sanitized && use.side > 32)
		use.side = 32; /* the daemon is some ten times slower */
	return use;
}

void model_install(struct harness *h, const char *name, const struct model_spec *spec)
{
	struct model_spec use = fit(h, spec);
	struct ne_model *m = model_make(&use);
	struct ne_error err;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s.neap", h->models, name);
	CHECK(ne_container_save(path, m, 0, &err) == 0, "%s", err.text);
	ne_model_free(m);
}

void model_wait(struct harness *h, const char *name)
{
	double until = now_s() + 20;

	for (;;) {
		struct neap *n = harness_connect(h, NULL);
		struct neap_model *m;
		int ret = neap_model_open(n, name, &m);

		if (!ret)
			neap_model_close(m);
		neap_close(n);
		if (!ret)
			return;
		CHECK(now_s() < until, "the daemon does not serve %s: %s", name,
		      neap_strerror(ret));
		sleep_ms(20);
	}
}

/* ---- what it must answer ---- */

void oracle_open(struct oracle *o, const char *path)
{
	struct ne_model *m;
	struct ne_error err;

	CHECK(ne_container_load(path, NULL, &m, &err) == 0, "%s: %s", path, err.text);
	CHECK(ne_program_new(m, NULL, &o->program, &err) == 0, "%s: %s", path, err.text);
	ne_model_free(m);
	CHECK(ne_context_new(o->program, 1, &o->context) == 0);
	CHECK(ne_program_inputs(o->program) == 1 && ne_program_outputs(o->program) == 1);
	o->in_bytes = ne_program_input(o->program, 0)->bytes;
	o->out_bytes = ne_program_output(o->program, 0)->bytes;
}

void oracle_open_installed(struct oracle *o, struct harness *h, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s.neap", h->models, name);
	oracle_open(o, path);
}

void oracle_close(struct oracle *o)
{
	ne_context_free(o->context);
	ne_program_free(o->program);
}

void oracle_run(struct oracle *o, uint32_t level, const void *in, void *out)
{
	const void *const ins[] = {in};
	void *const outs[] = {out};
	struct ne_result r;

	CHECK(ne_run(o->program, o->context, level, ins, outs, NULL, &r) == 0, "level %u", level);
}

bool oracle_agrees(struct oracle *o, uint32_t level, const void *in, const void *out)
{
	char mine[4096];

	CHECK(o->out_bytes <= sizeof(mine));
	oracle_run(o, level, in, mine);
	return !memcmp(mine, out, o->out_bytes);
}

double oracle_time_us(struct oracle *o, uint32_t level)
{
	void *in = calloc(1, o->in_bytes), *out = calloc(1, o->out_bytes);
	double best = 1e12;

	CHECK(in && out);
	for (int i = 0; i < 5; i++) {
		double t = now_s();

		oracle_run(o, level, in, out);
		t = (now_s() - t) * 1e6;
		if (t < best)
			best = t;
	}
	free(in);
	free(out);
	return best;
}

void input_fill(void *in, size_t bytes, uint64_t *state)
{
	float *f = in;

	for (size_t i = 0; i < bytes / sizeof(*f); i++)
		f[i] = (float)(random_u32(state) >> 8) / 16777216.0f;
}

/* ---- an application ---- */

void user_open(struct user *u, struct harness *h, const char *model, const struct neap_options *opt)
{
	u->n = harness_connect(h, opt);
	CHECK_OK(neap_model_open(u->n, model, &u->m));
	CHECK_OK(neap_buffer_new(u->n, neap_model_info(u->m)->in_bytes, NEAP_BUFFER_INPUT, &u->in));
	CHECK_OK(neap_buffer_new(u->n, neap_model_info(u->m)->out_bytes, NEAP_BUFFER_OUTPUT,
				 &u->out));
	u->rq = (struct neap_request){.model = u->m, .in = u->in, .out = u->out};
}

void user_close(struct user *u)
{
	neap_buffer_free(u->in);
	neap_buffer_free(u->out);
	neap_model_close(u->m);
	neap_close(u->n);
}

struct neap_completion user_run(struct user *u, struct oracle *o, uint64_t *state)
{
	struct neap_completion c;
	int ret;

	input_fill(neap_buffer_data(u->in), o->in_bytes, state);
	ret = neap_run(u->n, &u->rq, &c);
	CHECK(ret == 0, "%s: %s", neap_strerror(ret), neap_last_error(u->n));
	CHECK(oracle_agrees(o, c.level, neap_buffer_data(u->in), neap_buffer_data(u->out)),
	      "level %u: the answer is not what the engine gives here", c.level);
	return c;
}

void serves(struct harness *h)
{
	uint64_t state = 99;
	struct oracle o;
	struct user u;

	harness_check(h);
	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", NULL);
	for (int i = 0; i < 3; i++)
		user_run(&u, &o, &state);
	user_close(&u);
	oracle_close(&o);
	harness_check(h);
}

void run_case(struct harness *h, const char *name, void (*fn)(struct harness *h))
{
	double t = now_s();

	fn(h);
	serves(h);
	printf("ok - %s (%.2f s)\n", name, now_s() - t);
}

double status_number(struct harness *h, const char *key)
{
	char *text = harness_control(h, "status", NULL), part[64];
	cJSON *j = cJSON_Parse(text);
	const cJSON *v = j;
	double number;

	CHECK(j, "status is not JSON: %s", text);
	while (*key) {
		size_t n = strcspn(key, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, key);
		v = cJSON_GetObjectItemCaseSensitive(v, part);
		key += n + (key[n] == '.');
	}
	CHECK(cJSON_IsNumber(v), "no number %s in %s", part, text);
	number = v->valuedouble;
	cJSON_Delete(j);
	free(text);
	return number;
}

void status_wait(struct harness *h, const char *key, double want, unsigned timeout_ms)
{
	double until = now_s() + timeout_ms / 1000.0, have;

	while ((have = status_number(h, key)) != want) {
		CHECK(now_s() < until, "%s is %g, not %g", key, have, want);
		sleep_ms(10);
	}
}
