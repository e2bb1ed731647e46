// SPDX-License-Identifier: MIT
/*
 * An idle daemon sleeps: wake-ups a second of all its threads, before any client and with one that
 * is connected and silent. The goal is 2; more than 10 fails, since other machines are noisier.
 */
#include "tests/system/model.h"

#define SETTLE_MS 2500
#define WATCH_MS  4000
#define MOST      10.0

static void watch(struct harness *h, const char *what)
{
	double n;

	sleep_ms(SETTLE_MS);
	n = harness_wakeups(h);
	sleep_ms(WATCH_MS);
	n = (harness_wakeups(h) - n) / (WATCH_MS / 1000.0);
	printf("%s: %.2f wake-ups a second\n", what, n);
	CHECK(n <= MOST, "%s: %.1f wake-ups a second", what, n);
}

int main(void)
{
	struct harness h = {0};
	uint64_t state = 1;
	struct oracle o;
	struct user u;

	harness_init(&h);
	if (h.sanitized)
		harness_skip("a sanitizer's own threads wake up as well");
	model_install(&h, "quick", &model_quick);
	harness_supply(&h, true, 90);
	harness_start(&h);
	model_wait(&h, "quick");
	watch(&h, "without clients");
	oracle_open_installed(&o, &h, "quick");
	user_open(&u, &h, "quick", NULL);
	for (int i = 0; i < 100; i++)
		user_run(&u, &o, &state);
	watch(&h, "with a silent client");
	user_run(&u, &o, &state);
	user_close(&u);
	oracle_close(&o);
	serves(&h);
	harness_done(&h);
	return 0;
}
