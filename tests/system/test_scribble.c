// SPDX-License-Identifier: MIT
/*
 * A client that writes nonsense into the memory that it shares with the daemon, while the daemon
 * computes: its ring region, every field and at random, and its buffers. Others get right answers
 * all the while.
 */
#include "tests/system/model.h"
#include "tests/system/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRIBBLE_S 2.0

/* An honest client in another process, from start to stop. */
static pid_t honest_start(struct harness *h)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		struct neap_options opt = {.no_reconnect = true};
		uint64_t state = 4242;
		struct oracle o;
		struct user u;

		oracle_open_installed(&o, h, "quick");
		user_open(&u, h, "quick", &opt);
		for (;;) {
			user_run(&u, &o, &state);
			usleep(200);
		}
	}
	return pid;
}

static void honest_stop(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, WNOHANG) == 0, "the honest client failed");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void rings_at_random(struct harness *h)
{
	uint64_t state = 0x5eed5eed;
	unsigned sessions = 0;
	double until = now_s() + SCRIBBLE_S;
	pid_t honest = honest_start(h);

	while (now_s() < until) {
		struct raw r;
		uint32_t *words;
		size_t n;

		raw_ready(&r, h, "slow", 8);
		words = (uint32_t *)(void *)r.client;
		n = r.client_bytes / sizeof(*words);
		for (uint64_t i = 0; i < 4; i++)
			raw_submit(&r, i);
		for (int i = 0; i < 200; i++) {
			/* All words, and often the indices. */
			size_t at = i % 3 ? random_u32(&state) % n : random_u32(&state) % 2 * 16;

			words[at] = i % 5 ? random_u32(&state) : words[at] + 1;
			if (i % 16 == 0)
				raw_ring(&r);
			if (i % 40 == 0)
				sleep_ms(1);
		}
		raw_close(&r);
		sessions++;
	}
	honest_stop(honest);
	printf("%u sessions\n", sessions);
	CHECK(sessions >= 3);
}

static void buffers_at_random(struct harness *h)
{
	uint64_t state = 0xb0ffe7;
	double until = now_s() + SCRIBBLE_S;
	pid_t honest = honest_start(h);
	unsigned answers = 0;
	struct raw r;

	raw_ready(&r, h, "slow", 8);
	while (now_s() < until) {
		struct neap_cqe c;

		raw_submit(&r, 1);
		/* Anything, not-a-numbers and infinities with it. */
		for (int i = 0; i < 2000; i++) {
			uint32_t v = i % 7 ? random_u32(&state) : 0x7f800000u | (i & 1u) << 31;

			memcpy(r.in_data + random_u32(&state) % (r.in_bytes / 4) * 4, &v, 4);
			memcpy(r.out_data + random_u32(&state) % (r.out_bytes / 4) * 4, &v, 4);
		}
		CHECK(raw_complete(&r, &c, 20000), "no completion");
		CHECK(c.status == 0 && c.user_data == 1, "status %d", c.status);
		answers++;
	}
	raw_close(&r);
	honest_stop(honest);
	CHECK(answers > 3);
}

/* The session ends, and says why, or goes on; never is the daemon hurt. */
static void index_case(struct harness *h, const char *what, uint32_t tail, uint32_t head)
{
	char why[192];
	struct raw r;

	raw_ready(&r, h, "quick", 8);
	__atomic_store_n(&r.client->cq_head, head, __ATOMIC_RELEASE);
	__atomic_store_n(&r.client->sq_tail, tail, __ATOMIC_RELEASE);
	raw_ring(&r);
	CHECK(raw_ended(&r, 20000, why), "%s: the session goes on", what);
	CHECK(why[0], "%s: ended without a reason", what);
	raw_close(&r);
}

static void indices(struct harness *h)
{
	index_case(h, "tail too far", 9, 0);
	index_case(h, "tail far away", 1u << 31, 0);
	index_case(h, "tail behind", UINT32_MAX, 0);
	index_case(h, "tail at random", 0xdeadbeef, 0);
}

/* A head of consumption that lies shows when completions are posted. */
static void consumption(struct harness *h)
{
	static const uint32_t heads[] = {1, 9, 1u << 31, UINT32_MAX};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct neap_cqe c;
		struct raw r;

		raw_ready(&r, h, "quick", 8);
		__atomic_store_n(&r.client->cq_head, heads[i], __ATOMIC_RELEASE);
		raw_submit(&r, 1);
		r.client->cq_head = heads[i];
		/* Ended, or answered at the place where it belongs: not both silent. */
		if (!raw_ended(&r, 300, NULL)) {
			r.client->cq_head = 0;
			raw_ring(&r);
			CHECK(raw_complete(&r, &c, 20000), "neither answer nor end");
		}
		raw_close(&r);
	}
}

/* Entries whose fields lie complete with an error, or end the session. */
static void entries(struct harness *h)
{
	for (int kind = 0; kind < 16; kind++) {
		struct neap_sqe sqe;
		struct neap_cqe c;
		char why[192];
		struct raw r;

		raw_ready(&r, h, "quick", 8);
		sqe = raw_sqe(&r, 5);
		switch (kind) {
		case 0:
			sqe.op = 0;
			break;
		case 1:
			sqe.op = 3;
			break;
		case 2:
			sqe.op = 0xffff;
			break;
		case 3:
			sqe.flags = 4;
			break;
		case 4:
			sqe.model += 1;
			break;
		case 5:
			sqe.model = UINT32_MAX;
			break;
		case 6:
			sqe.in_buf = 0x7fffffff;
			break;
		case 7:
			sqe.out_buf = 0;
			break;
		case 8:
			sqe.in_buf = r.out;
			break; /* not readable */
		case 9:
			sqe.out_buf = r.in;
			break; /* not writable */
		case 10:
			sqe.in_offset = 32;
			break;
		case 11:
			sqe.in_offset = 64;
			break; /* over the end */
		case 12:
			sqe.out_offset = UINT64_MAX - 63;
			break;
		case 13:
			sqe.in_offset = 1ull << 63;
			break;
		case 14:
			sqe.reserved0 = 1;
			break;
		default:
			sqe.reserved1 = 1ull << 40;
			break;
		}
		raw_push(&r, &sqe);
		if (raw_complete(&r, &c, 1000))
			CHECK(c.status < 0 && c.user_data == 5, "kind %d: accepted", kind);
		else
			CHECK(raw_ended(&r, 20000, why) && why[0], "kind %d: no answer", kind);
		raw_close(&r);
	}
}

/* Hostile, but within the rules: extreme values of every free field. */
static void extremes(struct harness *h)
{
	for (int kind = 0; kind < 8; kind++) {
		struct neap_sqe sqe;
		struct neap_cqe c;
		struct raw r;

		raw_ready(&r, h, "quick", 8);
		sqe = raw_sqe(&r, UINT64_MAX);
		sqe.deadline_ns = kind & 1 ? 1 : INT64_MAX;
		sqe.min_accuracy = kind & 2 ? 10000 : 1;
		sqe.confidence = kind & 4 ? 1 : UINT16_MAX;
		raw_push(&r, &sqe);
		CHECK(raw_complete(&r, &c, 20000), "no completion");
		CHECK(c.user_data == UINT64_MAX);
		CHECK(c.status == 0, "status %d", c.status);
		/* A cancel of what is not there changes nothing. */
		sqe = (struct neap_sqe){.op = NEAP_SQE_CANCEL, .user_data = 12345};
		for (int i = 0; i < 20; i++) {
			raw_push(&r, &sqe);
			sleep_ms(1);
		}
		raw_submit(&r, 8);
		CHECK(raw_complete(&r, &c, 20000) && c.user_data == 8 && c.status == 0);
		raw_close(&r);
	}
}

/* The connection is closed half-way, or only the socket is, with work in flight. */
static void closes_half_way(struct harness *h)
{
	for (int kind = 0; kind < 5; kind++) {
		struct raw r;

		raw_ready(&r, h, "slow", 8);
		for (uint64_t i = 0; i < 4; i++)
			raw_submit(&r, i);
		if (kind == 0)
			shutdown(r.fd, SHUT_WR);
		else if (kind == 1)
			shutdown(r.fd, SHUT_RD);
		else if (kind == 2)
			shutdown(r.fd, SHUT_RDWR);
		else if (kind == 3)
			close(r.doorbell), r.doorbell = -1;
		else
			close(r.fd), r.fd = -1;
		sleep_ms(30);
		harness_check(h);
		raw_close(&r);
	}
	status_wait(h, "sessions", 1, 20000);
	status_wait(h, "in_flight", 0, 20000);
}

int main(void)
{
	struct harness h = {0};

	harness_init(&h);
	model_install(&h, "quick", &model_quick);
	model_install(&h, "slow", &model_slow);
	harness_start(&h);
	model_wait(&h, "slow");
	RUN_CASE(&h, rings_at_random);
	RUN_CASE(&h, buffers_at_random);
	RUN_CASE(&h, indices);
	RUN_CASE(&h, consumption);
	RUN_CASE(&h, entries);
	RUN_CASE(&h, extremes);
	RUN_CASE(&h, closes_half_way);
	harness_done(&h);
	return 0;
}
