// SPDX-License-Identifier: MIT
/*
 * A client dies by SIGKILL at every stage of a request, and at random moments. Its work and memory
 * go with it; nobody else notices.
 */
#include "tests/system/model.h"
#include "tests/system/raw.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANDOM_KILLS 40

static int steps, target;

static void die_here(void)
{
	if (++steps == target)
		kill(getpid(), SIGKILL);
}

/* All that a client does in its life; raw_step() is called between any two steps. */
static void whole_life(struct harness *h)
{
	struct neap_msg_handle remove = {.h.type = NEAP_MSG_BUF_REMOVE};
	struct neap_msg_handle done = {.h.type = NEAP_MSG_MODEL_CLOSE};
	struct raw_reply reply;
	struct neap_cqe c;
	struct neap_sqe cancel = {.op = NEAP_SQE_CANCEL, .user_data = 3};
	struct raw r;

	raw_step = die_here;
	raw_ready(&r, h, "slow", 8);
	raw_submit(&r, 1);
	sleep_ms(1); /* it computes */
	die_here();
	CHECK(raw_complete(&r, &c, 30000));
	die_here();
	for (uint64_t i = 2; i < 6; i++)
		raw_submit(&r, i);
	raw_push(&r, &cancel);
	for (int i = 0; i < 4; i++)
		CHECK(raw_complete(&r, &c, 30000));
	raw_submit(&r, 7);
	die_here();
	remove.handle = r.in; /* under the request */
	raw_call(&r, &remove.h, sizeof(remove), NULL, 0, &reply);
	done.handle = r.model.handle;
	raw_call(&r, &done.h, sizeof(done), NULL, 0, &reply);
	CHECK(raw_complete(&r, &c, 30000));
	raw_close(&r);
	die_here();
}

/* False: the client came to its end, all stages were tried. */
static bool killed_at(struct harness *h, int stage)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		target = stage;
		whole_life(h);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status))
		CHECK(WEXITSTATUS(status) == 0, "stage %d failed", stage);
	harness_check(h);
	return WIFSIGNALED(status);
}

static void every_stage(struct harness *h)
{
	int stage = 1;

	while (killed_at(h, stage))
		stage++;
	printf("%d stages\n", stage - 1);
	CHECK(stage > 40, "only %d stages: the steps are not seen", stage - 1);
}

static void at_random_moments(struct harness *h)
{
	uint64_t state = 0xfeedbeef;

	for (int i = 0; i < RANDOM_KILLS; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid) {
			struct neap_completion c[8];
			struct user u;

			user_open(&u, h, i % 2 ? "slow" : "quick", NULL);
			for (;;) {
				neap_submit(u.n, &u.rq);
				neap_wait(u.n, c, 8, 1);
			}
		}
		sleep_ms(random_u32(&state) % 25);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		harness_check(h);
	}
}

/* Sessions, requests in flight, memory and descriptors are as they were. */
static void nothing_left(struct harness *h)
{
	static double bytes = -1;
	static unsigned fds;

	status_wait(h, "sessions", 1, 20000); /* the one that asks */
	status_wait(h, "in_flight", 0, 20000);
	if (bytes < 0) {
		bytes = status_number(h, "shared_bytes");
		fds = harness_daemon_fds(h);
		return;
	}
	status_wait(h, "shared_bytes", bytes, 10000);
	for (int i = 0; harness_daemon_fds(h) > fds; i++) {
		CHECK(i < 500, "%u descriptors instead of %u", harness_daemon_fds(h), fds);
		sleep_ms(10);
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
	RUN_CASE(&h, nothing_left);
	RUN_CASE(&h, every_stage);
	RUN_CASE(&h, nothing_left);
	RUN_CASE(&h, at_random_moments);
	RUN_CASE(&h, nothing_left);
	harness_done(&h);
	return 0;
}
