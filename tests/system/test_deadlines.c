// SPDX-License-Identifier: MIT
/* Deadlines past and near, strict or not; cancelling; leaving early for confidence; floors. */
#include "tests/system/model.h"

#include <errno.h>

static struct oracle quick, slow;
static uint64_t state = 31;

static int run(struct user *u, struct neap_completion *c)
{
	int ret;

	input_fill(neap_buffer_data(u->in), neap_model_info(u->m)->in_bytes, &state);
	ret = neap_run(u->n, &u->rq, c);
	CHECK(ret == c->status);
	return ret;
}

static void without_limits(struct harness *h)
{
	struct neap_completion c;
	struct user u;

	user_open(&u, h, "quick", NULL);
	c = user_run(&u, &quick, &state);
	CHECK(c.level == 5 && c.depth == 1 && c.width_permille == 1000,
	      "level %u depth %u width %u", c.level, c.depth, c.width_permille);
	CHECK(c.reason == NEAP_REASON_FULL && !c.degraded && !c.late);
	CHECK(c.accuracy > 0.8f && c.confidence > 0 && c.confidence <= 1 && c.generation > 0);
	user_close(&u);
}

static void past_and_strict(struct harness *h)
{
	struct neap_completion c;
	struct user u;

	user_open(&u, h, "slow", NULL);
	u.rq.strict = true;
	u.rq.deadline_us = -1000;
	CHECK(run(&u, &c) == -ETIME, "%s", neap_strerror(c.status));
	u.rq.deadline_us = 1;
	CHECK(run(&u, &c) == -ETIME, "%s", neap_strerror(c.status));
	u.rq.deadline_us = INT64_MIN;
	CHECK(run(&u, &c) == -ETIME, "%s", neap_strerror(c.status));
	u.rq.deadline_us = INT64_MAX;
	CHECK(run(&u, &c) == 0 && c.level == 5, "%s, level %u", neap_strerror(c.status), c.level);
	u.rq.deadline_us = 60000000;
	CHECK(run(&u, &c) == 0 && !c.late, "%s", neap_strerror(c.status));
	user_close(&u);
}

static void past_and_patient(struct harness *h)
{
	struct neap_completion c;
	struct user u;

	user_open(&u, h, "slow", NULL);
	u.rq.deadline_us = -1000000;
	c = user_run(&u, &slow, &state);
	CHECK(c.level == 0 && c.late && c.degraded && c.reason == NEAP_REASON_TIME,
	      "level %u late %d degraded %d reason %s", c.level, c.late, c.degraded,
	      neap_reason_name(c.reason));
	user_close(&u);
}

/* Half the time of the best level: something smaller, in time. */
static void near(struct harness *h)
{
	struct neap_completion c;
	unsigned late = 0, smaller = 0;
	struct user u;

	if (h->sanitized) {
		printf("not run: the daemon's times under a sanitizer are not those of the "
		       "engine\n");
		return;
	}
	user_open(&u, h, "slow", NULL);
	for (int i = 0; i < 5; i++)
		user_run(&u, &slow, &state);
	u.rq.deadline_us = (int64_t)(oracle_time_us(&slow, 5) / 2);
	for (int i = 0; i < 20; i++) {
		c = user_run(&u, &slow, &state);
		smaller += c.level < 5;
		late += c.late;
		if (c.level < 5)
			CHECK(c.reason == NEAP_REASON_TIME, "%s", neap_reason_name(c.reason));
	}
	printf("%u of 20 at smaller levels, %u late\n", smaller, late);
	CHECK(smaller >= 15);
	user_close(&u);
}

static void confidence(struct harness *h)
{
	struct neap_completion c;
	struct user u;

	user_open(&u, h, "quick", NULL);
	u.rq.confidence = 0.01f; /* of ten classes one always has more */
	c = user_run(&u, &quick, &state);
	CHECK(c.depth == 0 && c.reason == NEAP_REASON_CONFIDENCE, "depth %u reason %s", c.depth,
	      neap_reason_name(c.reason));
	u.rq.confidence = 1;
	c = user_run(&u, &quick, &state);
	CHECK(c.depth == 1, "sure of nothing, and yet left at exit %u", c.depth);
	u.rq.confidence = 2; /* never */
	c = user_run(&u, &quick, &state);
	CHECK(c.depth == 1 && c.reason == NEAP_REASON_FULL);
	user_close(&u);
	/* The model's own threshold, and a request that does not want it. */
	user_open(&u, h, "sure", NULL);
	CHECK(run(&u, &c) == 0 && c.depth == 0 && c.reason == NEAP_REASON_CONFIDENCE);
	u.rq.confidence = 2;
	CHECK(run(&u, &c) == 0 && c.depth == 1);
	user_close(&u);
}

static void cancel(struct harness *h)
{
	struct neap_completion c[8];
	unsigned cancelled = 0, answered = 0, got = 0;
	struct user u;

	user_open(&u, h, "slow", NULL);
	for (uint64_t i = 0; i < 8; i++) {
		u.rq.user_data = i;
		CHECK_OK(neap_submit(u.n, &u.rq));
	}
	for (uint64_t i = 4; i < 8; i++)
		CHECK_OK(neap_cancel(u.n, i));
	CHECK(neap_cancel(u.n, 99) == -ENOENT);
	CHECK(neap_cancel(u.n, 7) == -ENOENT); /* asked for once */
	while (got < 8) {
		int r = neap_wait(u.n, c, 8, 60000);

		CHECK(r > 0, "%u of 8", got);
		for (int i = 0; i < r; i++, got++) {
			cancelled += c[i].status == -ECANCELED;
			answered += c[i].status == 0;
			CHECK(c[i].status == 0 || c[i].user_data >= 4);
		}
	}
	CHECK(cancelled + answered == 8 && cancelled >= 1, "%u cancelled, %u answered", cancelled,
	      answered);
	CHECK(neap_wait(u.n, c, 8, 50) == 0);
	user_close(&u);
}

/* The most urgent first: one worker, a patient queue before it. */
static void urgent_first(struct harness *h)
{
	struct neap_completion c[8];
	unsigned got = 0, place = 99;
	struct user u;

	user_open(&u, h, "slow", NULL);
	for (uint64_t i = 0; i < 7; i++) {
		u.rq.user_data = i;
		u.rq.deadline_us = i == 6 ? 100000 : 50000000;
		CHECK_OK(neap_submit(u.n, &u.rq));
	}
	while (got < 7) {
		int r = neap_wait(u.n, c, 8, 60000);

		CHECK(r > 0);
		for (int i = 0; i < r; i++, got++) {
			CHECK(c[i].status == 0);
			if (c[i].user_data == 6)
				place = got;
		}
	}
	CHECK(place < 4, "the urgent one came as number %u", place);
	user_close(&u);
}

int main(void)
{
	struct model_spec sure = model_quick;
	struct harness h = {0};

	sure.confidence = 0.01f;
	harness_init(&h);
	model_install(&h, "quick", &model_quick);
	model_install(&h, "slow", &model_slow);
	model_install(&h, "sure", &sure);
	oracle_open_installed(&quick, &h, "quick");
	oracle_open_installed(&slow, &h, "slow");
	h.workers = "1";
	harness_start(&h);
	model_wait(&h, "slow");
	RUN_CASE(&h, without_limits);
	RUN_CASE(&h, past_and_strict);
	RUN_CASE(&h, past_and_patient);
	RUN_CASE(&h, near);
	RUN_CASE(&h, confidence);
	RUN_CASE(&h, cancel);
	RUN_CASE(&h, urgent_first);
	harness_done(&h);
	oracle_close(&quick);
	oracle_close(&slow);
	return 0;
}
