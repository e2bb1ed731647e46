// SPDX-License-Identifier: MIT
/*
 * The daemon dies with requests in flight. Each request that libneap accepted completes exactly
 * once: with the right answer when the daemon is back, or as failed when it stays away.
 */
#include "tests/system/model.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN_FLIGHT 12
#define ROUNDS    4

struct batch {
	struct user u;
	struct neap_buffer *in[IN_FLIGHT], *out[IN_FLIGHT];
	struct oracle o;
	uint64_t state;
};

static void batch_open(struct batch *b, struct harness *h, const char *model,
		       const struct neap_options *opt, uint64_t seed)
{
	b->state = seed;
	oracle_open_installed(&b->o, h, model);
	user_open(&b->u, h, model, opt);
	for (int i = 0; i < IN_FLIGHT; i++) {
		const struct neap_model_info *info = neap_model_info(b->u.m);

		CHECK_OK(neap_buffer_new(b->u.n, info->in_bytes, NEAP_BUFFER_INPUT, &b->in[i]));
		CHECK_OK(neap_buffer_new(b->u.n, info->out_bytes, NEAP_BUFFER_OUTPUT, &b->out[i]));
	}
}

static void batch_close(struct batch *b)
{
	for (int i = 0; i < IN_FLIGHT; i++) {
		neap_buffer_free(b->in[i]);
		neap_buffer_free(b->out[i]);
	}
	user_close(&b->u);
	oracle_close(&b->o);
}

static void batch_submit(struct batch *b)
{
	for (uint64_t i = 0; i < IN_FLIGHT; i++) {
		input_fill(neap_buffer_data(b->in[i]), b->o.in_bytes, &b->state);
		memset(neap_buffer_data(b->out[i]), 0xee, b->o.out_bytes);
		b->u.rq.in = b->in[i];
		b->u.rq.out = b->out[i];
		b->u.rq.user_data = i;
		CHECK_OK(neap_submit(b->u.n, &b->u.rq));
	}
}

/*
 * All come back, each once: answered, and then rightly, or with @status (0 = all answered). What was
 * answered before the daemon died stays answered.
 */
static void batch_collect(struct batch *b, int status)
{
	struct neap_completion c[IN_FLIGHT];
	unsigned seen[IN_FLIGHT] = {0}, got = 0;

	while (got < IN_FLIGHT) {
		int r = neap_wait(b->u.n, c, IN_FLIGHT, 60000);

		CHECK(r > 0, "%u of %d within a minute: %s", got, IN_FLIGHT,
		      neap_last_error(b->u.n));
		for (int i = 0; i < r; i++, got++) {
			uint64_t k = c[i].user_data;

			CHECK(k < IN_FLIGHT && !seen[k]++, "request %d completed twice", (int)k);
			CHECK(c[i].status == 0 || c[i].status == status, "request %d: %s", (int)k,
			      neap_strerror(c[i].status));
			if (c[i].status == 0)
				CHECK(oracle_agrees(&b->o, c[i].level, neap_buffer_data(b->in[k]),
						    neap_buffer_data(b->out[k])));
		}
	}
	CHECK(neap_wait(b->u.n, c, IN_FLIGHT, 100) == 0, "more answers than requests");
	CHECK(neap_pending(b->u.n) == 0);
}

static void answered_after_restart(struct harness *h)
{
	struct neap_options opt = {.reconnect_ms = 60000};
	struct batch b;

	batch_open(&b, h, "slow", &opt, 5);
	for (int round = 0; round < (h->emulated ? 2 : ROUNDS); round++) {
		batch_submit(&b);
		sleep_ms(random_u32(&b.state) % 60);
		harness_kill(h);
		harness_start(h);
		batch_collect(&b, 0);
	}
	batch_close(&b);
}

/* An orderly end finishes what was accepted; the client does not see a difference. */
static void answered_over_a_stop(struct harness *h)
{
	struct neap_options opt = {.reconnect_ms = 60000};
	struct batch b;

	batch_open(&b, h, "slow", &opt, 6);
	batch_submit(&b);
	harness_stop(h);
	harness_start(h);
	batch_collect(&b, 0);
	batch_close(&b);
}

/* neap_fd() keeps its number and tells of completions over a restart. */
static void descriptor_over_restart(struct harness *h)
{
	struct neap_options opt = {.reconnect_ms = 60000};
	struct neap_completion c[4];
	unsigned got = 0;
	struct pollfd p;
	struct batch b;

	batch_open(&b, h, "slow", &opt, 7);
	p = (struct pollfd){neap_fd(b.u.n), POLLIN, 0};
	batch_submit(&b);
	harness_kill(h);
	harness_start(h);
	while (got < IN_FLIGHT) {
		int r;

		CHECK(poll(&p, 1, 60000) == 1, "the descriptor is silent, %u answers missing",
		      IN_FLIGHT - got);
		while ((r = neap_poll(b.u.n, c, 4)) > 0) {
			for (int i = 0; i < r; i++, got++)
				CHECK(c[i].status == 0, "%s", neap_strerror(c[i].status));
		}
	}
	CHECK(neap_fd(b.u.n) == p.fd);
	CHECK(poll(&p, 1, 100) == 0, "readable though there is nothing");
	batch_close(&b);
}

static void reported_as_failed(struct harness *h)
{
	struct neap_options opts[] = {{.reconnect_ms = 300}, {.no_reconnect = true}};

	for (int i = 0; i < 2; i++) {
		struct neap_completion c;
		struct batch b;
		double t;

		batch_open(&b, h, "slow", &opts[i], 8);
		batch_submit(&b);
		harness_kill(h);
		t = now_s();
		batch_collect(&b, -ECONNRESET);
		CHECK(now_s() - t < 10, "gave up after %.1f s only", now_s() - t);
		CHECK(neap_submit(b.u.n, &b.u.rq) == -ECONNRESET);
		CHECK(neap_run(b.u.n, &b.u.rq, &c) == -ECONNRESET);
		batch_close(&b);
		harness_start(h);
	}
}

/* Several processes, the daemon killed again and again under them. */
static void many_clients_many_deaths(struct harness *h)
{
	int ready[2];
	pid_t pid[6];
	char byte;

	CHECK(pipe(ready) == 0);
	for (int i = 0; i < 6; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i]) {
			struct neap_options opt = {.reconnect_ms = 60000};
			struct batch b;

			batch_open(&b, h, "quick", &opt, 100u + (unsigned)i);
			CHECK(write(ready[1], "", 1) == 1);
			for (int round = 0; round < (h->emulated ? 5 : 60); round++) {
				batch_submit(&b);
				batch_collect(&b, 0);
			}
			batch_close(&b);
			_exit(0);
		}
	}
	/* A first connection is not made again: all are there before the daemon dies. */
	close(ready[1]);
	for (int i = 0; i < 6; i++)
		CHECK(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	/* Fewer deaths than tries of a request, see CLIENT_MAX_TRIES. */
	for (int i = 0; i < 2; i++) {
		sleep_ms(400);
		harness_kill(h);
		harness_start(h);
	}
	for (int i = 0; i < 6; i++) {
		int status;

		CHECK(waitpid(pid[i], &status, 0) == pid[i]);
		CHECK(status == 0, "client %d: 0x%x", i, (unsigned)status);
	}
}

int main(void)
{
	struct harness h = {0};

	harness_init(&h);
	model_install(&h, "quick", &model_quick);
	model_install(&h, "slow", &model_slow);
	harness_start(&h);
	model_wait(&h, "slow");
	RUN_CASE(&h, answered_after_restart);
	RUN_CASE(&h, answered_over_a_stop);
	RUN_CASE(&h, descriptor_over_restart);
	RUN_CASE(&h, reported_as_failed);
	RUN_CASE(&h, many_clients_many_deaths);
	harness_done(&h);
	return 0;
}
