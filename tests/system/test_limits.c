// SPDX-License-Identifier: MIT
/*
 * Full rings, no descriptors left, buffers over the limit, more clients than allowed, and doorbells
 * that are full or made blocking. Nothing of it stops the daemon, or another client.
 */
#include "tests/system/model.h"
#include "tests/system/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void full_ring(struct harness *h)
{
	struct neap_options opt = {.entries = 8};
	struct neap_completion c[16];
	unsigned got = 0;
	struct user u;

	user_open(&u, h, "slow", &opt);
	for (int round = 0; round < 3; round++) {
		unsigned sent = 0;

		while (neap_submit(u.n, &u.rq) == 0)
			CHECK(++sent <= 8, "more than the ring holds");
		CHECK(neap_submit(u.n, &u.rq) == -EAGAIN);
		CHECK(neap_pending(u.n) == 8);
		while (neap_pending(u.n)) {
			int r = neap_wait(u.n, c, 16, 60000);

			CHECK(r > 0);
			for (int i = 0; i < r; i++)
				CHECK(c[i].status == 0, "%s", neap_strerror(c[i].status));
			got += (unsigned)r;
		}
	}
	CHECK(got == 24, "%u", got);
	user_close(&u);
}

/* A client that never takes a completion: its own affair. */
static void completions_not_taken(struct harness *h)
{
	struct neap_cqe c;
	struct raw r;
	unsigned got = 0, seen[16] = {0};

	raw_ready(&r, h, "quick", 8);
	for (uint64_t i = 0; i < 8; i++)
		raw_submit(&r, i);
	for (int i = 0; __atomic_load_n(&r.daemon->cq_tail, __ATOMIC_ACQUIRE) < 8; i++) {
		CHECK(i < 2000);
		sleep_ms(5);
	}
	/* Eight more while the eight lie there: more than it may. */
	for (uint64_t i = 8; i < 16; i++)
		raw_submit(&r, i);
	sleep_ms(100);
	CHECK(r.daemon->cq_tail - r.client->cq_head <= 8, "the ring was overwritten");
	serves(h);
	while (got < 16 && raw_complete(&r, &c, 2000)) {
		/* Two workers finish in any order; the first eight were answered before the rest. */
		CHECK(c.user_data < 16 && !seen[c.user_data]++, "%d came twice", (int)c.user_data);
		CHECK(got >= 8 || c.user_data < 8, "%d among the first", (int)c.user_data);
		raw_ring(&r);
		got++;
	}
	CHECK(got == 16 || raw_ended(&r, 5000, NULL), "%u of 16, and the session goes on", got);
	raw_close(&r);
}

static void buffers_over_the_limit(struct harness *h)
{
	struct neap_buffer *b[512];
	struct neap *n = harness_connect(h, NULL);
	size_t bytes = (size_t)16 << 20;
	int got = 0, ret = 0;

	while (got < 512 && (ret = neap_buffer_new(n, bytes, NEAP_BUFFER_OUTPUT, &b[got])) == 0)
		got++;
	CHECK(ret == -EDQUOT, "%d buffers of 16 MiB, then: %s", got, neap_strerror(ret));
	CHECK(neap_last_error(n)[0]);
	CHECK(got > 0);
	serves(h);
	neap_buffer_free(b[--got]);
	CHECK_OK(neap_buffer_new(n, bytes, NEAP_BUFFER_OUTPUT, &b[got++]));
	while (got)
		neap_buffer_free(b[--got]);
	/* Many small ones. */
	while (got < 512 && (ret = neap_buffer_new(n, 64, NEAP_BUFFER_INPUT, &b[got])) == 0)
		got++;
	CHECK(got >= 128 && got < 512, "%d small buffers", got);
	while (got)
		neap_buffer_free(b[--got]);
	neap_close(n);
}

static double cpu_seconds(const struct harness *h)
{
	unsigned long user, system;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)h->pid);
	f = fopen(path, "r");
	CHECK(f && fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
			  &system) == 2);
	fclose(f);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* RLIMIT_NOFILE is reached: it says no, does not spin, and goes on when there is room again. */
static void no_descriptors_left(struct harness *h)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd[200], n = 0;
	uint64_t state = 3;
	struct oracle o;
	struct user u;
	double cpu;

	harness_stop(h);
	h->max_fds = h->sanitized ? 64 : 48;
	harness_start(h);
	model_wait(h, "quick");
	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", NULL);
	strcpy(a.sun_path, h->socket);
	while (n < 200) {
		fd[n] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		CHECK(fd[n] >= 0);
		if (connect(fd[n++], (struct sockaddr *)&a, sizeof(a)) < 0)
			break;
	}
	CHECK(n > 30, "only %d connections", n);
	sleep_ms(200);
	harness_check(h);
	/* Who has all he needs goes on. */
	for (int i = 0; i < 50; i++)
		user_run(&u, &o, &state);
	cpu = cpu_seconds(h);
	sleep_ms(1500);
	cpu = cpu_seconds(h) - cpu;
	CHECK(cpu < 0.75 || h->sanitized, "%.2f s of CPU in 1.5 s of nothing", cpu);
	printf("%d connections, %.2f s of CPU in 1.5 s\n", n, cpu);
	while (n)
		close(fd[--n]);
	for (int i = 0; i < 50; i++)
		user_run(&u, &o, &state);
	user_close(&u);
	oracle_close(&o);
	for (int i = 0;; i++) {
		struct neap_options opt = {.socket = h->socket};
		struct neap *c;

		if (neap_connect(&opt, &c) == 0) {
			neap_close(c);
			break;
		}
		CHECK(i < 200, "no connection though descriptors are free: %s",
		      neap_last_error(NULL));
		sleep_ms(50);
	}
	serves(h);
	harness_stop(h);
	h->max_fds = 0;
	harness_start(h);
	model_wait(h, "slow");
}

/* More sessions than one user may have: refused with a reason, nobody else is. */
static void too_many_sessions(struct harness *h)
{
	struct neap *n[400];
	int got = 0, ret = 0;

	while (got < 400) {
		struct neap_options opt = {.socket = h->socket, .entries = 8};

		ret = neap_connect(&opt, &n[got]);
		if (ret < 0)
			break;
		got++;
	}
	CHECK(got >= 64, "only %d clients", got);
	CHECK(got < 400, "no limit");
	CHECK(neap_last_error(NULL)[0]);
	printf("%d sessions, then: %s\n", got, neap_last_error(NULL));
	while (got)
		neap_close(n[--got]);
	/* The daemon may not have seen all of them go when we ask. */
	sleep_ms(500);
	status_wait(h, "sessions", 1, 20000);
}

/* ---- doorbells ---- */

static void full_doorbell(struct harness *h)
{
	uint64_t most = UINT64_MAX - 1;
	struct neap_cqe c;
	struct raw r;

	raw_ready(&r, h, "quick", 8);
	CHECK(write(r.doorbell, &most, sizeof(most)) == sizeof(most) || errno == EAGAIN);
	for (uint64_t i = 0; i < 20; i++) {
		raw_submit(&r, i);
		serves(h);
	}
	for (int i = 0; i < 5; i++)
		raw_complete(&r, &c, 100);
	raw_close(&r);
}

static void blocking_doorbell(struct harness *h)
{
	struct neap_cqe c;
	uint64_t v;
	struct raw r;
	int flags;

	raw_ready(&r, h, "quick", 8);
	flags = fcntl(r.doorbell, F_GETFL);
	CHECK(flags >= 0 && fcntl(r.doorbell, F_SETFL, flags & ~O_NONBLOCK) == 0);
	for (uint64_t i = 0; i < 8; i++) {
		/* Emptied before the daemon looks: a read there would wait for ever. */
		raw_submit(&r, i);
		fcntl(r.doorbell, F_SETFL, flags | O_NONBLOCK);
		while (read(r.doorbell, &v, sizeof(v)) == sizeof(v))
			;
		fcntl(r.doorbell, F_SETFL, flags & ~O_NONBLOCK);
		serves(h);
	}
	while (raw_complete(&r, &c, 200))
		;
	raw_close(&r);
}

/* Rung without anything to do, thousands of times. */
static void mad_ringing(struct harness *h)
{
	struct neap_cqe c;
	struct raw r;

	raw_ready(&r, h, "quick", 8);
	for (int i = 0; i < 20000; i++)
		raw_ring(&r);
	raw_submit(&r, 1);
	CHECK(raw_complete(&r, &c, 20000) && c.status == 0);
	raw_close(&r);
}

/* A client that reads no message while it is woken again and again. */
static void never_reads(struct harness *h)
{
	struct neap_cqe c;
	struct raw r;

	raw_ready(&r, h, "quick", 8);
	__atomic_store_n(&r.client->waiting, 1, __ATOMIC_SEQ_CST);
	/* More than the socket has room for. */
	for (uint64_t i = 0; i < (h->emulated ? 800 : 3000); i++) {
		raw_submit(&r, i);
		CHECK(raw_complete(&r, &c, 20000) && c.user_data == i && c.status == 0);
	}
	raw_close(&r);
}

int main(void)
{
	struct harness h = {0};

	harness_init(&h);
	model_install(&h, "quick", &model_quick);
	model_install(&h, "slow", &model_slow);
	harness_start(&h);
	model_wait(&h, "slow");
	RUN_CASE(&h, full_ring);
	RUN_CASE(&h, completions_not_taken);
	RUN_CASE(&h, buffers_over_the_limit);
	RUN_CASE(&h, too_many_sessions);
	RUN_CASE(&h, full_doorbell);
	RUN_CASE(&h, blocking_doorbell);
	RUN_CASE(&h, mad_ringing);
	RUN_CASE(&h, never_reads);
	RUN_CASE(&h, no_descriptors_left);
	harness_done(&h);
	return 0;
}
