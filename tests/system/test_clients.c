// SPDX-License-Identifier: MIT
/*
 * 64 clients at once: each has its own inputs, compares each answer bit for bit with a run of the
 * engine here at the level that was reported, and sees nothing of the others.
 */
#include "tests/system/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS   64
#define ROUNDS    40 /* of each; 8 on an emulated processor */
#define IN_FLIGHT 4

struct slot {
	struct neap_buffer *in, *out;
};

static void check_answer(struct oracle *o, const struct slot *s, const struct neap_completion *c)
{
	CHECK(c->status == 0, "%s", neap_strerror(c->status));
	CHECK(oracle_agrees(o, c->level, neap_buffer_data(s->in), neap_buffer_data(s->out)),
	      "level %u: the answer is not what the engine gives here", c->level);
	CHECK(c->run_ns == UINT32_MAX || (c->run_ns && (c->run_ns + 500ull) / 1000 == c->run_us),
	      "%u us and %u ns: the same run", c->run_us, c->run_ns);
}

static void client(struct harness *h, unsigned index)
{
	struct neap_options opt = {.entries = 8};
	struct neap_completion done[IN_FLIGHT];
	struct slot slot[IN_FLIGHT];
	uint64_t state = 0x1234567 + index * 7919u;
	unsigned rounds = h->emulated ? ROUNDS / 5 : ROUNDS, sent = 0, got = 0, levels = 0;
	struct neap_model *m;
	struct oracle o;
	struct neap *n;

	oracle_open_installed(&o, h, "quick");
	n = harness_connect(h, &opt);
	CHECK_OK(neap_model_open(n, "quick", &m));
	for (int i = 0; i < IN_FLIGHT; i++) {
		CHECK_OK(neap_buffer_new(n, neap_model_info(m)->in_bytes, NEAP_BUFFER_INPUT,
					 &slot[i].in));
		CHECK_OK(neap_buffer_new(n, neap_model_info(m)->out_bytes, NEAP_BUFFER_OUTPUT,
					 &slot[i].out));
	}
	while (got < rounds) {
		int r;

		while (sent < rounds && sent - got < IN_FLIGHT) {
			struct slot *s = &slot[sent % IN_FLIGHT];
			struct neap_request rq = {.model = m,
						  .in = s->in,
						  .out = s->out,
						  .user_data = sent,
						  /* some tight, so that levels differ */
						  .deadline_us = sent % 3 ? 0 : 1};

			/* In order: a slot is free again when its answer was taken. */
			input_fill(neap_buffer_data(s->in), o.in_bytes, &state);
			CHECK_OK(neap_submit(n, &rq));
			sent++;
		}
		do
			r = neap_wait(n, done, IN_FLIGHT, 60000);
		while (r == -EINTR);
		CHECK(r > 0, "no answer within a minute: %d", r);
		for (int i = 0; i < r; i++) {
			check_answer(&o, &slot[done[i].user_data % IN_FLIGHT], &done[i]);
			levels |= 1u << done[i].level;
			got++;
		}
		/* All of a batch before the next: completions may come in another order. */
		while (got < sent) {
			r = neap_wait(n, done, IN_FLIGHT, 60000);
			CHECK(r > 0 || r == -EINTR, "no answer within a minute: %d", r);
			for (int i = 0; i < r; i++) {
				check_answer(&o, &slot[done[i].user_data % IN_FLIGHT], &done[i]);
				levels |= 1u << done[i].level;
				got++;
			}
		}
	}
	CHECK(levels & (levels - 1), "only one level was used: 0x%x", levels);
	for (int i = 0; i < IN_FLIGHT; i++) {
		neap_buffer_free(slot[i].in);
		neap_buffer_free(slot[i].out);
	}
	neap_model_close(m);
	neap_close(n);
	oracle_close(&o);
}

int main(void)
{
	struct harness h = {0};
	pid_t pid[CLIENTS];

	harness_init(&h);
	model_install(&h, "quick", &model_quick);
	harness_start(&h);
	model_wait(&h, "quick");
	for (unsigned i = 0; i < CLIENTS; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i]) {
			client(&h, i);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		int status;

		CHECK(waitpid(pid[i], &status, 0) == pid[i]);
		CHECK(status == 0, "client %u failed: 0x%x", i, (unsigned)status);
	}
	harness_check(&h);
	harness_done(&h);
	return 0;
}
