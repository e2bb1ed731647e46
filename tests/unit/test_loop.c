/* SPDX-License-Identifier: MIT */
/* The event loop: the same tests on epoll and on io_uring (skipped, and said, where the kernel
 * refuses it). */
#include "daemon/loop/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
	struct loop *loop;
	struct loop_source *source[4];
	int pair[2];
	unsigned calls, timers, wakes, events;
	char order[8];
	unsigned n_order;
};

static int setup_kind(void **state, enum loop_kind kind)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct ne_error err;

	assert_non_null(f);
	if (loop_new(kind, &f->loop, &err) < 0) {
		print_message("SKIPPED: %s\n", err.text);
		free(f);
		*state = NULL;
		return 0;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, f->pair), 0);
	*state = f;
	return 0;
}

static int setup_epoll(void **state)
{
	return setup_kind(state, LOOP_EPOLL);
}

static int setup_uring(void **state)
{
	return setup_kind(state, LOOP_URING);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (!f)
		return 0;
	loop_free(f->loop);
	for (int i = 0; i < 2; i++)
		if (f->pair[i] >= 0)
			close(f->pair[i]);
	free(f);
	return 0;
}

#define FIXTURE(state)                \
	struct fixture *f = *(state); \
	if (!f)                       \
	skip()

static void stop_timer(void *user)
{
	struct fixture *f = user;

	f->timers++;
	loop_stop(f->loop);
}

/* Reads one message a call; stops when three were read. */
static void read_one(void *user, unsigned events)
{
	struct fixture *f = user;
	char c;

	assert_true(events & LOOP_READ);
	assert_int_equal(recv(f->pair[0], &c, 1, 0), 1);
	f->order[f->n_order++] = c;
	if (++f->calls == 3)
		loop_stop(f->loop);
}

static void level_triggered(void **state)
{
	FIXTURE(state);
	assert_int_equal(loop_add_fd(f->loop, f->pair[0], LOOP_READ, read_one, f, &f->source[0]),
			 0);
	for (const char *c = "abc"; *c; c++)
		assert_int_equal(send(f->pair[1], c, 1, 0), 1);
	/* One edge came, three calls are made: what is left unread is told again. */
	assert_int_equal(loop_run(f->loop), 0);
	assert_memory_equal(f->order, "abc", 3);
}

static void note_events(void *user, unsigned events)
{
	struct fixture *f = user;

	f->events |= events;
	f->calls++;
	loop_stop(f->loop);
}

static void hangup(void **state)
{
	FIXTURE(state);
	assert_int_equal(loop_add_fd(f->loop, f->pair[0], LOOP_READ, note_events, f, &f->source[0]),
			 0);
	close(f->pair[1]);
	f->pair[1] = -1;
	assert_int_equal(loop_run(f->loop), 0);
	assert_true(f->events & LOOP_HANGUP);
}

static void writable(void **state)
{
	FIXTURE(state);
	assert_int_equal(
		loop_add_fd(f->loop, f->pair[0], LOOP_WRITE, note_events, f, &f->source[0]), 0);
	assert_int_equal(loop_run(f->loop), 0);
	assert_true(f->events & LOOP_WRITE);
}

static void timer_waits(void **state)
{
	int64_t start = loop_now_us();

	FIXTURE(state);
	assert_int_equal(loop_add_timer(f->loop, stop_timer, f, &f->source[0]), 0);
	loop_timer_set(f->source[0], 20000);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->timers, 1);
	assert_true(loop_now_us() - start >= 20000);
}

static void note_order(void *user, char c)
{
	struct fixture *f = user;

	f->order[f->n_order++] = c;
}

static void on_a(void *user)
{
	note_order(user, 'a');
}

static void on_b(void *user)
{
	struct fixture *f = user;

	note_order(user, 'b');
	loop_timer_set(f->source[2], 1000);
}

static void on_c(void *user)
{
	note_order(user, 'c');
	stop_timer(user);
}

static void timers_in_order(void **state)
{
	FIXTURE(state);
	assert_int_equal(loop_add_timer(f->loop, on_a, f, &f->source[0]), 0);
	assert_int_equal(loop_add_timer(f->loop, on_b, f, &f->source[1]), 0);
	assert_int_equal(loop_add_timer(f->loop, on_c, f, &f->source[2]), 0);
	loop_timer_set(f->source[0], 5000);
	loop_timer_set(f->source[0], -1); /* taken back */
	loop_timer_set(f->source[1], 3000);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->n_order, 2);
	assert_memory_equal(f->order, "bc", 2);
}

static void on_wake(void *user)
{
	struct fixture *f = user;

	f->wakes++;
	loop_stop(f->loop);
}

static void *wake_from_outside(void *arg)
{
	usleep(5000);
	loop_wake(arg);
	return NULL;
}

static void wake(void **state)
{
	pthread_t thread;

	FIXTURE(state);
	loop_on_wake(f->loop, on_wake, f);
	assert_int_equal(pthread_create(&thread, NULL, wake_from_outside, f->loop), 0);
	assert_int_equal(loop_run(f->loop), 0);
	pthread_join(thread, NULL);
	assert_int_equal(f->wakes, 1);
}

/* Both ends are ready in one round; whichever is told first removes the other. */
static void remove_other(void *user, unsigned events)
{
	struct fixture *f = user;

	(void)events;
	f->calls++;
	for (int i = 0; i < 2; i++) {
		loop_remove(f->source[i]);
		f->source[i] = NULL;
	}
	loop_timer_set(f->source[2], 5000);
}

static void removed_source_is_silent(void **state)
{
	FIXTURE(state);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			loop_add_fd(f->loop, f->pair[i], LOOP_READ, remove_other, f, &f->source[i]),
			0);
		assert_int_equal(send(f->pair[i], "x", 1, 0), 1);
	}
	assert_int_equal(loop_add_timer(f->loop, stop_timer, f, &f->source[2]), 0);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->calls, 1);
}

/* The loop holds the file open no longer than its source: the peer sees the close. */
static void removed_fd_closes(void **state)
{
	char c;
	ssize_t n = -1;

	FIXTURE(state);
	assert_int_equal(loop_add_fd(f->loop, f->pair[0], LOOP_READ, note_events, f, &f->source[0]),
			 0);
	assert_int_equal(loop_add_timer(f->loop, stop_timer, f, &f->source[1]), 0);
	loop_timer_set(f->source[1], 1000);
	assert_int_equal(loop_run(f->loop), 0);
	loop_remove(f->source[0]);
	close(f->pair[0]);
	f->pair[0] = -1;
	loop_timer_set(f->source[1], 1000);
	assert_int_equal(loop_run(f->loop), 0);
	for (int i = 0; i < 100 && n < 0; i++) {
		n = recv(f->pair[1], &c, 1, 0);
		if (n < 0)
			usleep(1000);
	}
	assert_int_equal(n, 0);
}

static void many_sources(void **state)
{
	struct loop_source *s[100];
	int pair[100][2];

	FIXTURE(state);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair[i]), 0);
		assert_int_equal(loop_add_fd(f->loop, pair[i][0], LOOP_READ, note_events, f, &s[i]),
				 0);
	}
	/* More than one batch and more than the submission queue: the last is heard too. */
	assert_int_equal(send(pair[99][1], "x", 1, 0), 1);
	assert_int_equal(loop_run(f->loop), 0);
	assert_true(f->calls >= 1);
	for (int i = 0; i < 100; i++) {
		loop_remove(s[i]);
		close(pair[i][0]);
		close(pair[i][1]);
	}
}

static void refused_by_environment(void **state)
{
	struct loop *l;

	(void)state;
	setenv("NEAPD_NO_URING", "1", 1);
	assert_int_equal(loop_new(LOOP_AUTO, &l, NULL), 0);
	assert_string_equal(loop_name(l), "epoll");
	assert_non_null(strstr(loop_why(l), "NEAPD_NO_URING"));
	loop_free(l);
	unsetenv("NEAPD_NO_URING");
}

#define BOTH(test)                                                \
	{#test "_epoll", test, setup_epoll, teardown, NULL},      \
	{                                                         \
#test "_uring", test, setup_uring, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(level_triggered),
		BOTH(hangup),
		BOTH(writable),
		BOTH(timer_waits),
		BOTH(timers_in_order),
		BOTH(wake),
		BOTH(removed_source_is_silent),
		BOTH(removed_fd_closes),
		BOTH(many_sources),
		cmocka_unit_test(refused_by_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
