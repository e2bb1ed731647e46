// SPDX-License-Identifier: MIT
/*
 * Models that keep values from run to run: a stream for each opened model, in the order of submission
 * whatever the workers do; beginning anew; files replaced, the daemon killed; memory over the limit.
 */
#include "engine/model/container.h"
#include "tests/system/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH   8
#define STREAMS 3
#define RUNS    200

static int add(struct ne_graph *g, const char *name, int32_t rows)
{
	struct ne_shape s = {.rank = 3, .dim = {1, rows, WIDTH}};
	int id = ne_graph_add_tensor(g, name, NE_F32, &s);

	CHECK(id >= 0);
	return id;
}

static void node(struct ne_graph *g, enum ne_op op, int a, int b, int out)
{
	uint32_t in[2] = {(uint32_t)a, (uint32_t)b}, y = (uint32_t)out;

	CHECK(ne_graph_add_node(g, op, g->tensor[out].name, b < 0 ? 1 : 2, in, 1, &y, NULL) >= 0);
}

/*
 * y = x + what y was before, times @gain; two exits, which answer alike. Besides, it keeps @rows rows
 * that nobody reads.
 */
static void sum_install(struct harness *h, const char *name, float gain, int32_t rows)
{
	struct ne_model *m = ne_model_new();
	struct ne_graph *g = &m->graph;
	struct ne_shape one = {.rank = 1, .dim = {1}};
	float *value = malloc(sizeof(*value));
	struct ne_error err = {""};
	char path[256];
	int x, before, y, out[2], factor, kept, hoard;

	CHECK(value);
	*value = gain;
	x = add(g, "x", 1);
	before = add(g, "before", 1);
	y = add(g, "sum", 1);
	factor = ne_graph_add_const(g, "gain", NE_F32, &one, value);
	CHECK(ne_graph_add_input(g, (uint32_t)x) >= 0);
	node(g, NE_OP_ADD, x, before, y);
	CHECK(ne_graph_add_state(g, (uint32_t)before, (uint32_t)y, NE_NONE) >= 0);
	for (int e = 0; e < 2; e++) {
		uint32_t id;

		out[e] = add(g, e ? "y1" : "y0", 1);
		node(g, NE_OP_MUL, y, factor, out[e]);
		id = (uint32_t)out[e];
		if (e && rows) { /* the second exit needs them, in name */
			kept = add(g, "kept", rows);
			hoard = add(g, "hoard", rows);
			node(g, NE_OP_ADD, kept, out[e], hoard);
			CHECK(ne_graph_add_state(g, (uint32_t)kept, (uint32_t)hoard, NE_NONE) >= 0);
			id = (uint32_t)add(g, "mean", 1);
			g->tensor[id].shape = (struct ne_shape){.rank = 2, .dim = {1, WIDTH}};
			node(g, NE_OP_GLOBALPOOL, hoard, -1, (int)id);
			free(g->exit[0].out); /* shapes differ: the first exit goes */
			g->n_exit = 0;
		}
		CHECK(ne_graph_add_exit(g, 1, &id) >= 0);
	}
	CHECK(ne_model_add_default_levels(m, &err) == 0, "%s", err.text);
	snprintf(path, sizeof(path), "%s/%s.neap", h->models, name);
	CHECK(ne_container_save(path, m, 0, &err) == 0, "%s", err.text);
	ne_model_free(m);
}

static float answer(const struct user *u)
{
	return *(const float *)neap_buffer_data(u->out);
}

static struct neap_completion run(struct user *u, float x)
{
	struct neap_completion c;
	int ret;

	*(float *)neap_buffer_data(u->in) = x;
	ret = neap_run(u->n, &u->rq, &c);
	CHECK(ret == 0, "%s: %s", neap_strerror(ret), neap_last_error(u->n));
	return c;
}

/* Streams of one connection and of several do not know of each other. */
static void apart(struct harness *h)
{
	struct user u[STREAMS];
	struct neap_model *again;
	struct neap_completion c;

	sum_install(h, "sum", 1, 0);
	model_wait(h, "sum");
	for (int i = 0; i < STREAMS; i++)
		user_open(&u[i], h, "sum", NULL);
	for (int k = 1; k <= 20; k++)
		for (int i = 0; i < STREAMS; i++) {
			c = run(&u[i], (float)(i + 1));
			CHECK(answer(&u[i]) == (float)(k * (i + 1)), "%g after %d runs of %d",
			      (double)answer(&u[i]), k, i + 1);
			CHECK(c.stream_began == (k == 1));
		}
	/* another handle in the first connection */
	CHECK_OK(neap_model_open(u[0].n, "sum", &again));
	u[0].rq.model = again;
	c = run(&u[0], 7);
	CHECK(answer(&u[0]) == 7 && c.stream_began);
	u[0].rq.model = u[0].m;
	c = run(&u[0], 1);
	CHECK(answer(&u[0]) == 21 && !c.stream_began);
	neap_model_close(again);
	/* forgets what was before */
	u[1].rq.begin_stream = true;
	c = run(&u[1], 5);
	CHECK(answer(&u[1]) == 5 && c.stream_began);
	u[1].rq.begin_stream = false;
	c = run(&u[1], 5);
	CHECK(answer(&u[1]) == 10 && !c.stream_began);
	for (int i = 0; i < STREAMS; i++)
		user_close(&u[i]);
}

/* Many requests at once, more workers than one: each sees what the one before left. */
static void in_order(struct harness *h)
{
	struct neap_options opt = {.entries = 64};
	struct neap_completion c[64];
	unsigned sent = 0, got = 0;
	struct user u;

	sum_install(h, "sum", 1, 0);
	model_wait(h, "sum");
	user_open(&u, h, "sum", &opt);
	*(float *)neap_buffer_data(u.in) = 1;
	while (got < RUNS) {
		int n;

		u.rq.user_data = sent + 1;
		/* later ones are more urgent, which must not help them */
		u.rq.deadline_us = 10000000 - (int64_t)sent * 10000;
		if (sent < RUNS && neap_submit(u.n, &u.rq) == 0) {
			sent++;
			continue;
		}
		n = neap_wait(u.n, c, 64, 10000);
		CHECK(n > 0);
		for (int i = 0; i < n; i++) {
			CHECK(c[i].status == 0, "%s", neap_strerror(c[i].status));
			CHECK(c[i].user_data == ++got, "%llu came as number %u",
			      (unsigned long long)c[i].user_data, got);
		}
	}
	CHECK(answer(&u) == RUNS, "%g", (double)answer(&u));
	/* what is dropped is not counted, and the line goes on */
	for (u.rq.user_data = 1; u.rq.user_data <= 40; u.rq.user_data++)
		CHECK_OK(neap_submit(u.n, &u.rq));
	for (uint64_t i = 2; i <= 40; i += 3)
		neap_cancel(u.n, i);
	for (sent = got = 0; sent < 40;) {
		int n = neap_wait(u.n, c, 64, 10000);

		CHECK(n > 0);
		for (int i = 0; i < n; i++, sent++) {
			CHECK(c[i].status == 0 || c[i].status == -ECANCELED);
			got += c[i].status == 0;
		}
	}
	run(&u, 1);
	CHECK(answer(&u) == (float)(RUNS + got + 1), "%g, not %u", (double)answer(&u),
	      RUNS + got + 1);
	user_close(&u);
}

/* The connection ends with a line of requests. */
static void left(struct harness *h)
{
	for (int k = 0; k < 20; k++) {
		struct user u;

		user_open(&u, h, "sum", NULL);
		for (int i = 0; i < 50; i++)
			CHECK_OK(neap_submit(u.n, &u.rq));
		user_close(&u);
	}
	status_wait(h, "sessions", 1, 10000);
}

static void replaced(struct harness *h)
{
	double until = now_s() + 20;
	struct neap_completion c;
	struct user u;

	sum_install(h, "sum", 1, 0);
	model_wait(h, "sum");
	user_open(&u, h, "sum", NULL);
	run(&u, 3);
	run(&u, 3);
	sum_install(h, "sum", 2, 0);
	do {
		CHECK(now_s() < until, "the file is not taken up");
		c = run(&u, 3);
	} while (!c.stream_began);
	CHECK(answer(&u) == 6, "%g", (double)answer(&u));
	run(&u, 3);
	CHECK(answer(&u) == 12, "%g", (double)answer(&u));
	user_close(&u);
}

static void daemon_killed(struct harness *h)
{
	struct neap_completion c;
	struct user u;

	sum_install(h, "sum", 1, 0);
	model_wait(h, "sum");
	user_open(&u, h, "sum", NULL);
	run(&u, 1);
	run(&u, 1);
	harness_kill(h);
	harness_start(h);
	model_wait(h, "sum");
	c = run(&u, 1);
	CHECK(answer(&u) == 1 && c.stream_began, "%g", (double)answer(&u));
	user_close(&u);
}

/* 16 MiB a stream: 256 MiB are a session's, buffers and rings included. */
static void too_much(struct harness *h)
{
	struct neap_model *m[20];
	struct neap_completion c;
	unsigned served = 0, refused = 0;
	struct user u;

	sum_install(h, "hoard", 1, 1 << 18);
	model_wait(h, "hoard");
	user_open(&u, h, "hoard", NULL);
	for (int i = 0; i < 20; i++) {
		int ret;

		CHECK_OK(neap_model_open(u.n, "hoard", &m[i]));
		u.rq.model = m[i];
		ret = neap_run(u.n, &u.rq, &c);
		served += ret == 0;
		refused += ret == -EDQUOT;
	}
	CHECK(served == 15 && refused == 5, "%u served, %u refused", served, refused);
	/* one that is closed makes room */
	neap_model_close(m[0]);
	u.rq.model = m[19];
	CHECK_OK(neap_run(u.n, &u.rq, &c));
	u.rq.model = m[18];
	CHECK(neap_run(u.n, &u.rq, &c) == -EDQUOT);
	for (int i = 1; i < 20; i++)
		neap_model_close(m[i]);
	u.rq.model = u.m;
	CHECK_OK(neap_run(u.n, &u.rq, &c));
	user_close(&u);
}

int main(void)
{
	struct harness h = {.workers = "3"};

	harness_init(&h);
	h.workers = "3";
	model_install(&h, "quick", &model_quick);
	harness_start(&h);
	model_wait(&h, "quick");
	RUN_CASE(&h, apart);
	RUN_CASE(&h, in_order);
	RUN_CASE(&h, left);
	RUN_CASE(&h, replaced);
	RUN_CASE(&h, daemon_killed);
	RUN_CASE(&h, too_much);
	harness_done(&h);
	return 0;
}
