/* SPDX-License-Identifier: MIT */
/* Order, fairness and look-ahead of the scheduler, against slow and plain versions of the same. */
#include "daemon/scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define QUEUES 4
#define ITEMS  64

struct fixture {
	struct sched s;
	struct sched_queue q[QUEUES];
	struct sched_item item[QUEUES][ITEMS];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(sched_init(&f->s, QUEUES), 0);
	for (int i = 0; i < QUEUES; i++)
		assert_int_equal(sched_queue_init(&f->q[i], ITEMS), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < QUEUES; i++)
		sched_queue_done(&f->q[i]);
	sched_done(&f->s);
	free(f);
	return 0;
}

static void push(struct fixture *f, int q, int i, int64_t deadline_ns, uint32_t least_us)
{
	f->item[q][i].deadline_ns = deadline_ns;
	f->item[q][i].least_us = least_us;
	sched_push(&f->s, &f->q[q], &f->item[q][i]);
}

static void earliest_deadline_first(void **state)
{
	struct fixture *f = *state;
	struct sched_queue *q;
	int64_t last = 0;

	srand(7);
	for (int i = 0; i < ITEMS; i++)
		push(f, 0, i, rand() % 1000, 1);
	assert_int_equal(f->s.n_waiting, ITEMS);
	for (int i = 0; i < ITEMS; i++) {
		struct sched_item *item = sched_pick(&f->s, &q);

		assert_non_null(item);
		assert_true(item->deadline_ns >= last);
		last = item->deadline_ns;
	}
	assert_null(sched_pick(&f->s, &q));
	assert_int_equal(f->s.n_waiting, 0);
}

static void arrival_breaks_ties(void **state)
{
	struct fixture *f = *state;
	struct sched_queue *q;

	for (int i = 0; i < 20; i++)
		push(f, 0, i, i % 2 ? 500 : SCHED_NO_DEADLINE, 1);
	for (int i = 1; i < 20; i += 2)
		assert_ptr_equal(sched_pick(&f->s, &q), &f->item[0][i]);
	for (int i = 0; i < 20; i += 2)
		assert_ptr_equal(sched_pick(&f->s, &q), &f->item[0][i]);
}

static void removal_keeps_order(void **state)
{
	struct fixture *f = *state;
	struct sched_queue *q;
	bool removed[ITEMS] = {false};
	int64_t last = 0;
	int left = ITEMS;

	srand(11);
	for (int i = 0; i < ITEMS; i++)
		push(f, 0, i, rand() % 300, 2);
	for (int k = 0; k < ITEMS / 2; k++) {
		int i = rand() % ITEMS;

		if (removed[i])
			continue;
		removed[i] = true;
		left--;
		sched_remove(&f->s, &f->q[0], &f->item[0][i]);
	}
	assert_int_equal(f->s.n_waiting, left);
	assert_true(f->s.least_us > 2.0 * left - 0.5 && f->s.least_us < 2.0 * left + 0.5);
	while (left--) {
		struct sched_item *item = sched_pick(&f->s, &q);

		assert_non_null(item);
		assert_false(removed[item - f->item[0]]);
		assert_true(item->deadline_ns >= last);
		last = item->deadline_ns;
	}
	assert_null(sched_pick(&f->s, &q));
}

/* Queue 0 floods with urgent work; queue 1 has work with no deadline. */
static void flood_cannot_starve(void **state)
{
	struct fixture *f = *state;
	struct sched_queue *q;
	double served = 0;

	push(f, 1, 0, SCHED_NO_DEADLINE, 100);
	for (int i = 0; i < 1000; i++) {
		push(f, 0, i % ITEMS, i, 100);
		assert_non_null(sched_pick(&f->s, &q));
		if (q == &f->q[1])
			break;
		sched_charge(q, 100);
		served += 100;
	}
	assert_ptr_equal(q, &f->q[1]);
	assert_true(served >= SCHED_SHARE_US); /* urgent work did go first */
	assert_true(served <= SCHED_SHARE_US + 200);
}

/* Without deadlines sessions get equal shares, whatever a request costs. */
static void equal_shares(void **state)
{
	static const double cost[3] = {10, 40, 160};
	struct fixture *f = *state;
	double served[3] = {0};

	for (int q = 0; q < 3; q++)
		push(f, q, 0, SCHED_NO_DEADLINE, 1);
	for (int k = 0; k < 10000; k++) {
		struct sched_queue *queue;
		long q;

		assert_non_null(sched_pick(&f->s, &queue));
		q = queue - f->q;
		sched_charge(queue, cost[q]);
		served[q] += cost[q];
		push(f, (int)q, 0, SCHED_NO_DEADLINE, 1);
	}
	for (int q = 1; q < 3; q++) {
		assert_true(served[q] < served[0] + 400);
		assert_true(served[q] > served[0] - 400);
	}
}

/* One that was idle for long does not get all its time back at once. */
static void idling_is_no_credit(void **state)
{
	struct fixture *f = *state;
	struct sched_queue *q;
	int in_a_row = 0;

	for (int i = 0; i < 1000; i++) {
		push(f, 0, 0, SCHED_NO_DEADLINE, 100);
		assert_non_null(sched_pick(&f->s, &q));
		sched_charge(q, 1000);
	}
	push(f, 0, 0, SCHED_NO_DEADLINE, 100);
	for (int i = 0; i < 200; i++) {
		push(f, 1, i % ITEMS, SCHED_NO_DEADLINE, 100);
		assert_non_null(sched_pick(&f->s, &q));
		if (q != &f->q[1])
			break;
		sched_charge(q, 1000);
		in_a_row++;
	}
	assert_true(in_a_row <= 2);
}

static void slack_of_nothing(void **state)
{
	struct fixture *f = *state;

	assert_true(sched_slack_ns(&f->s, 0, 1, 1) == INT64_MAX);
	push(f, 0, 0, SCHED_NO_DEADLINE, 10);
	assert_true(sched_slack_ns(&f->s, 0, 1, 1) == INT64_MAX);
}

static void slack_counts_all_before(void **state)
{
	struct fixture *f = *state;

	/* Due at 100, 120 and 300 us, 40 us each: the second decides, 120 - 80. */
	push(f, 0, 0, 100000, 40);
	push(f, 1, 0, 120000, 40);
	push(f, 2, 0, 300000, 40);
	assert_int_equal(sched_slack_ns(&f->s, 0, 1, 1), 40000);
	/* Two workers halve what has to be done first: the first decides, 100 - 20. */
	assert_int_equal(sched_slack_ns(&f->s, 0, 2, 1), 80000);
	/* Half as slow again: 120 - 120. */
	assert_int_equal(sched_slack_ns(&f->s, 0, 1, 1.5), 0);
	assert_int_equal(sched_slack_ns(&f->s, 10000, 1, 1), 30000);
}

static void slack_ignores_the_lost(void **state)
{
	struct fixture *f = *state;

	push(f, 0, 0, 20000, 40); /* cannot be met whatever is done */
	push(f, 1, 0, 200000, 40);
	assert_int_equal(sched_slack_ns(&f->s, 0, 1, 1), 160000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(earliest_deadline_first, setup, teardown),
		cmocka_unit_test_setup_teardown(arrival_breaks_ties, setup, teardown),
		cmocka_unit_test_setup_teardown(removal_keeps_order, setup, teardown),
		cmocka_unit_test_setup_teardown(flood_cannot_starve, setup, teardown),
		cmocka_unit_test_setup_teardown(equal_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(idling_is_no_credit, setup, teardown),
		cmocka_unit_test_setup_teardown(slack_of_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(slack_counts_all_before, setup, teardown),
		cmocka_unit_test_setup_teardown(slack_ignores_the_lost, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
