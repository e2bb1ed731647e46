// SPDX-License-Identifier: MIT
/*
 * libneap against a daemon that lies, dies and falls silent (fake_daemon.h).
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "neap/neap.h"
#include "tests/unit/fake_daemon.h"

struct client {
	struct neap *n;
	struct neap_model *m;
	struct neap_buffer *in, *out;
	struct neap_request rq;
};

static int client_open(struct client *c, struct fake *f, uint32_t entries, uint32_t reconnect_ms)
{
	struct neap_options opt = {
		.socket = f->path, .entries = entries, .reconnect_ms = reconnect_ms};
	int ret;

	memset(c, 0, sizeof(*c));
	ret = neap_connect(&opt, &c->n);
	if (ret < 0)
		return ret;
	ret = neap_model_open(c->n, "m", &c->m);
	if (!ret)
		ret = neap_buffer_new(c->n, neap_model_info(c->m)->in_bytes, NEAP_BUFFER_INPUT,
				      &c->in);
	if (!ret)
		ret = neap_buffer_new(c->n, 64, NEAP_BUFFER_OUTPUT, &c->out);
	c->rq = (struct neap_request){.model = c->m, .in = c->in, .out = c->out};
	return ret;
}

static void client_close(struct client *c)
{
	neap_buffer_free(c->in);
	neap_buffer_free(c->out);
	neap_model_close(c->m);
	neap_close(c->n);
}

static void test_no_daemon(void **state)
{
	struct neap_options opt = {.socket = "/tmp/neap-there-is-none"};
	struct neap *n = NULL;

	(void)state;
	assert_int_equal(neap_connect(&opt, &n), -ENOENT);
	assert_non_null(strstr(neap_last_error(NULL), "systemctl start"));
	assert_null(n);
	opt.entries = 12;
	assert_int_equal(neap_connect(&opt, &n), -EINVAL);
	opt.entries = 0;
	opt.socket =
		"/tmp/a-path-that-is-longer-than-an-address-can-be-and-so-cannot-be-connected-to-"
		"whatever-one-tries-to-do-about-it";
	assert_int_equal(neap_connect(&opt, &n), -ENAMETOOLONG);
}

static void test_run(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done;
	struct neap_model *none = NULL;
	char *json = NULL;

	(void)state;
	fake_start(&f, HONEST);
	assert_int_equal(client_open(&c, &f, 0, 0), 0);
	assert_int_equal(neap_model_info(c.m)->in_bytes, 784);
	assert_string_equal(neap_model_info(c.m)->input[0].name, "x");
	assert_int_equal(neap_model_open(c.n, "none", &none), -ENOENT);
	assert_string_equal(neap_last_error(c.n), "refused on purpose");
	for (uint64_t i = 0; i < 200; i++) {
		c.rq.user_data = i;
		assert_int_equal(neap_run(c.n, &c.rq, &done), 0);
		assert_int_equal(done.user_data, i);
		assert_int_equal(done.level, 2);
		assert_int_equal(done.reason, NEAP_REASON_FULL);
	}
	assert_int_equal(neap_pending(c.n), 0);
	assert_int_equal(neap_wait(c.n, &done, 1, -1), 0); /* nothing to wait for */
	assert_int_equal(neap_control(c.n, "status", &json), 0);
	assert_string_equal(json, "{\"ok\": true}");
	free(json);
	assert_int_equal(neap_control(c.n, "refuse", &json), -EPERM);
	client_close(&c);
	fake_stop(&f);
}

static void test_bad_requests(void **state)
{
	struct fake f;
	struct client c;
	struct neap_request rq;

	(void)state;
	fake_start(&f, HONEST);
	assert_int_equal(client_open(&c, &f, 0, 0), 0);
	rq = c.rq, rq.in = c.out;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.in_offset = 32;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.in_offset = 64;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.out_offset = SIZE_MAX / 64 * 64;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.min_accuracy = 1.5f;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.confidence = -1;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.model = NULL;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	assert_int_equal(neap_cancel(c.n, 5), -ENOENT);
	assert_int_equal(neap_pending(c.n), 0);
	client_close(&c);
	fake_stop(&f);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_full_cancel_wait(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done[16];
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval t = {.it_value.tv_usec = 30000};

	(void)state;
	fake_start(&f, HONEST);
	f.silent = true;
	assert_int_equal(client_open(&c, &f, 8, 0), 0);
	for (uint64_t i = 0; i < 8; i++) {
		c.rq.user_data = i;
		assert_int_equal(neap_submit(c.n, &c.rq), 0);
	}
	assert_int_equal(neap_submit(c.n, &c.rq), -EAGAIN);
	assert_int_equal(neap_wait(c.n, done, 16, 20), 0);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
	assert_int_equal(neap_wait(c.n, done, 16, -1), -EINTR);
	assert_int_equal(neap_cancel(c.n, 3), 0);
	assert_int_equal(neap_wait(c.n, done, 16, 2000), 1);
	assert_int_equal(done[0].user_data, 3);
	assert_int_equal(done[0].status, -ECANCELED);
	assert_int_equal(neap_pending(c.n), 7);
	client_close(&c);
	fake_stop(&f);
}

/* The daemon dies with requests in flight; each is answered once, and neap_fd() stays in a set. */
static void test_reconnect(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done[32];
	unsigned seen[32] = {0}, got = 0;
	int set, fd;
	struct epoll_event e = {.events = EPOLLIN};

	(void)state;
	fake_start(&f, HONEST);
	f.die_after = 6;
	assert_int_equal(client_open(&c, &f, 32, 5000), 0);
	fd = neap_fd(c.n);
	set = epoll_create1(0);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e), 0);
	for (uint64_t i = 0; i < 20; i++) {
		c.rq.user_data = i;
		assert_int_equal(neap_submit(c.n, &c.rq), 0);
	}
	while (got < 20) {
		int r;

		assert_int_equal(epoll_wait(set, &e, 1, 3000), 1);
		while ((r = neap_poll(c.n, done, 3)) > 0)
			for (int i = 0; i < r; i++, got++) {
				assert_int_equal(done[i].status, 0);
				seen[done[i].user_data]++;
			}
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(neap_fd(c.n), fd);
	assert_int_equal(f.sessions, 2);
	assert_int_equal(epoll_wait(set, &e, 1, 50), 0); /* quiet when there is nothing */
	close(set);
	client_close(&c);
	fake_stop(&f);
}

/* A request that kills each daemon it meets is reported, not carried to the next for ever. */
static void test_poison(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done;

	(void)state;
	fake_start(&f, HONEST);
	f.deadly = true;
	assert_int_equal(client_open(&c, &f, 0, 3000), 0);
	assert_int_equal(neap_run(c.n, &c.rq, &done), -ECONNRESET);
	assert_int_equal(f.taken, 3);
	f.deadly = false;
	assert_int_equal(neap_run(c.n, &c.rq, &done), 0); /* the connection is fine */
	client_close(&c);
	fake_stop(&f);
}

static void test_gone(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done[8];

	(void)state;
	fake_start(&f, HONEST);
	f.silent = true;
	assert_int_equal(client_open(&c, &f, 8, 200), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(neap_submit(c.n, &c.rq), 0);
	fake_stop(&f);
	assert_int_equal(neap_wait(c.n, done, 8, 5000), 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(done[i].status, -ECONNRESET);
	assert_int_equal(neap_submit(c.n, &c.rq), -ECONNRESET);
	assert_int_equal(neap_run(c.n, &c.rq, done), -ECONNRESET);
	client_close(&c);
}

/* The model has another shape when the daemon is back: the application has to be told. */
static void test_stale(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done;

	(void)state;
	fake_start(&f, HONEST);
	assert_int_equal(client_open(&c, &f, 8, 2000), 0);
	f.in_bytes = 100;
	f.die_after = 1;
	assert_int_equal(neap_run(c.n, &c.rq, &done), -ESTALE);
	client_close(&c);
	fake_stop(&f);
}

static void test_lies(void **state)
{
	static const struct {
		enum lie lie;
		int connect; /* 0 = connects, but the model or a buffer is refused */
	} lies[] = {
		{HELLO_SHORT, -EPROTO},     {HELLO_VERSION, -EPROTO},
		{HELLO_REFUSED, -EPROTO},   {HELLO_NO_ENTRIES, -EPROTO},
		{HELLO_GARBAGE, -EBADMSG},  {HELLO_HANG_UP, -ECONNRESET},
		{RINGS_NO_FD, -EBADMSG},    {RINGS_SMALL, -EBADMSG},
		{RINGS_UNSEALED, -EBADMSG}, {RINGS_PIPE_BELL, -EBADMSG},
		{RINGS_REFUSED, -ENOMEM},   {MODEL_NAME, -EBADMSG},
		{MODEL_RANK, -EBADMSG},     {MODEL_OFFSET, -EBADMSG},
		{MODEL_BYTES, -EBADMSG},    {MODEL_COUNT, -EBADMSG},
		{MODEL_SHORT, -EBADMSG},    {BUFFER_REFUSED, -EDQUOT},
		{BUFFER_RESET, -EIO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fake f;
		struct client c;
		int ret;

		fake_start(&f, lies[i].lie);
		ret = client_open(&c, &f, 0, 100);
		if (ret != lies[i].connect)
			print_error("lie %d: %d instead of %d\n", lies[i].lie, ret,
				    lies[i].connect);
		assert_int_equal(ret, lies[i].connect);
		client_close(&c);
		fake_stop(&f);
	}
}

static void test_ring_lies(void **state)
{
	static const enum lie lies[] = {CQ_TAIL, SQ_HEAD, CQ_TWICE, CQ_FOREIGN, CQ_STATUS, FLOOD};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fake f;
		struct client c;
		struct neap_completion done[64];
		unsigned sent = 0, got = 0, failed = 0;
		time_t until = time(NULL) + 20;

		fake_start(&f, lies[i]);
		assert_int_equal(client_open(&c, &f, 64, 100), 0); /* room for the lies */
		while (got < 50 && time(NULL) < until) {
			int r;

			while (sent < 50 && neap_pending(c.n) < 16 && neap_submit(c.n, &c.rq) == 0)
				sent++;
			r = neap_wait(c.n, done, 64, 200);
			for (int k = 0; k < r; k++, got++)
				failed += done[k].status != 0;
			if (!r && sent < 50 && neap_submit(c.n, &c.rq) == -ECONNRESET)
				break;
		}
		/* What was accepted came back exactly once, whatever was on the ring. */
		assert_int_equal(got, sent);
		assert_int_equal(neap_pending(c.n), 0);
		if (lies[i] == CQ_TWICE || lies[i] == CQ_FOREIGN || lies[i] == FLOOD)
			assert_int_equal(failed, 0);
		if (lies[i] == CQ_STATUS)
			assert_int_equal(failed, got);
		client_close(&c);
		fake_stop(&f);
	}
}

static void test_control_lies(void **state)
{
	static const enum lie lies[] = {CONTROL_NO_FD, CONTROL_UNSEALED, CONTROL_PIPE, CONTROL_NUL};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fake f;
		struct client c;
		char *json = NULL;

		fake_start(&f, lies[i]);
		assert_int_equal(client_open(&c, &f, 0, 0), 0);
		assert_int_equal(neap_control(c.n, "status", &json), -EBADMSG);
		assert_null(json);
		client_close(&c);
		fake_stop(&f);
	}
}

/* Buffers are freed, models closed and the connection closed in any order, daemon or not. */
static void test_orders(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done[8];

	(void)state;
	fake_start(&f, HONEST);
	f.silent = true;
	assert_int_equal(client_open(&c, &f, 8, 2000), 0);
	assert_int_equal(neap_submit(c.n, &c.rq), 0);
	assert_int_equal(neap_submit(c.n, &c.rq), 0);
	neap_wait(c.n, done, 8, 20);
	neap_buffer_free(c.in); /* under two requests */
	c.in = NULL;
	f.silent = false;
	f.taken = 0;
	f.die_after = 1;
	assert_int_equal(neap_buffer_new(c.n, 784, NEAP_BUFFER_INPUT, &c.in), 0);
	c.rq.in = c.in;
	assert_int_equal(neap_submit(c.n, &c.rq), 0);
	for (int got = 0, ok = 0; got < 3;) {
		int r = neap_wait(c.n, done, 8, 3000);

		assert_true(r > 0);
		for (int i = 0; i < r; i++, got++) {
			ok += done[i].status == 0;
			assert_true(done[i].status == 0 || done[i].status == -ECANCELED);
		}
		if (got == 3)
			assert_int_equal(ok, 1);
	}
	neap_close(c.n);
	neap_buffer_free(c.in);
	neap_buffer_free(c.out);
	neap_model_close(c.m);
	neap_close(NULL);
	neap_buffer_free(NULL);
	neap_model_close(NULL);
	fake_stop(&f);
}

static void test_texts(void **state)
{
	(void)state;
	assert_string_equal(neap_reason_name(NEAP_REASON_ENERGY), "energy");
	assert_string_equal(neap_reason_name((enum neap_reason)77), "unknown");
	assert_string_equal(neap_strerror(0), "success");
	assert_non_null(strstr(neap_strerror(-EACCES), "group neap"));
	assert_true(strlen(neap_strerror(-EXDEV)) > 0);
	assert_string_equal(neap_version(), NEAP_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_daemon),    cmocka_unit_test(test_run),
		cmocka_unit_test(test_bad_requests), cmocka_unit_test(test_full_cancel_wait),
		cmocka_unit_test(test_reconnect),    cmocka_unit_test(test_poison),
		cmocka_unit_test(test_gone),         cmocka_unit_test(test_stale),
		cmocka_unit_test(test_lies),         cmocka_unit_test(test_ring_lies),
		cmocka_unit_test(test_control_lies), cmocka_unit_test(test_orders),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
