/* SPDX-License-Identifier: MIT */
/*
 * Properties of the governor over random levels, budgets, supplies and requests, and the figures of
 * its parts. NEAP_SEED repeats a run.
 */
#include "engine/governor/governor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROUNDS     20000
#define MAX_LEVELS 16

static uint64_t rng_state;

static uint64_t rnd(void) /* xorshift64* (Vigna 2016) */
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return rng_state * 2685821657736338717ull;
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(rnd() >> 33) % n;
}

struct scene {
	struct ne_gov_level level[MAX_LEVELS];
	uint32_t n;
	struct ne_gov_budget budget;
	struct ne_gov_supply supply;
	struct ne_gov_request req;
	double energy_left, cpu_left; /* share of the buckets' capacity */
	double ratio, variance;
};

/* Levels whose energy rises with time, as on every machine measured; accuracy in any order. */
static struct scene random_scene(void)
{
	struct scene s = {.n = 1 + below(MAX_LEVELS)};

	for (uint32_t i = 0; i < s.n; i++) {
		s.level[i].time_us = (float)(1 + below(5000));
		s.level[i].energy_uj = s.level[i].time_us * 3;
		s.level[i].accuracy = (float)below(1000) / 1000;
		s.level[i].depth = (uint16_t)below(4);
		s.level[i].width_permille = (uint16_t)(250 * (1 + below(4)));
		s.level[i].eligible = i == 0 || below(8) != 0;
	}
	s.budget.latency_us = below(3) ? 0 : 1 + below(8000);
	s.budget.power_mw_mains = below(2) ? 0 : 1 + below(20);
	s.budget.power_mw_battery = below(2) ? 0 : 1 + below(20);
	s.budget.cpu_permille = below(2) ? 0 : 1 + below(1000);
	s.budget.autonomy_min = below(2) ? 0 : 1 + below(600);
	s.budget.reserve_permille = below(400);
	s.budget.depth_max = below(2) ? 0 : 1 + below(4);
	s.budget.width_max_permille = below(2) ? 0 : 250 * (1 + below(4));
	s.supply.on_battery = below(2);
	s.supply.charge_permille = below(1001);
	s.supply.capacity_mwh = below(4) ? 1 + below(200) : 0;
	s.req.left_us = below(4) ? (int64_t)below(10000) - 500 : NE_GOV_NO_DEADLINE;
	s.req.backlog_us = below(3) ? 0 : below(2000);
	s.req.waited_us = below(3) ? 0 : below(2000);
	s.req.min_accuracy = below(2) ? 0 : (float)below(1000) / 1000;
	s.req.strict = below(3) == 0;
	s.energy_left = below(1001) / 1000.0;
	s.cpu_left = below(1001) / 1000.0;
	s.ratio = 0.5 + below(1000) / 500.0;
	s.variance = below(100) / 1000.0;
	return s;
}

static struct ne_governor make_governor(const struct scene *s)
{
	struct ne_governor g;

	ne_governor_init(&g, 0);
	ne_governor_set_supply(&g, &s->supply, 0);
	ne_governor_set_budget(&g, &s->budget, 0);
	g.energy.level = g.energy.capacity * s->energy_left;
	g.cpu.level = g.cpu.capacity * s->cpu_left;
	g.predictor.ratio = s->ratio;
	g.predictor.variance = s->variance;
	return g;
}

static struct ne_decision decide(const struct scene *s)
{
	struct ne_governor g = make_governor(s);
	struct ne_decision d;

	ne_governor_decide(&g, s->level, s->n, &s->req, 0, &d);
	return d;
}

/* Time that the run may take by deadline and latency budget. */
static double room_us(const struct scene *s)
{
	double room = INFINITY;

	if (s->req.left_us != NE_GOV_NO_DEADLINE)
		room = (double)s->req.left_us;
	if (s->budget.latency_us)
		room = fmin(room, (double)s->budget.latency_us - (double)s->req.waited_us);
	return room - (double)s->req.backlog_us;
}

static bool fits_time(const struct scene *s, const struct ne_gov_level *v)
{
	return (s->ratio + NE_GOV_SIGMAS * sqrt(s->variance)) * v->time_us <= room_us(s);
}

static bool under_caps(const struct scene *s, const struct ne_gov_level *v)
{
	return (!s->budget.depth_max || v->depth < s->budget.depth_max) &&
	       (!s->budget.width_max_permille || v->width_permille <= s->budget.width_max_permille);
}

static void more_time_never_gives_a_worse_level(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scene s = random_scene();
		struct ne_decision less, more;

		s.req.strict = false;
		if (s.req.left_us == NE_GOV_NO_DEADLINE)
			s.req.left_us = below(10000);
		less = decide(&s);
		s.req.left_us = below(4) ? s.req.left_us + below(5000) : NE_GOV_NO_DEADLINE;
		more = decide(&s);
		/* Out of time altogether the fastest runs, however good it happens to be. */
		if (!fits_time(&s, &s.level[less.level]) || less.degraded)
			continue;
		assert_true(s.level[more.level].accuracy >= s.level[less.level].accuracy);
	}
}

static void less_charge_never_gives_a_more_costly_level(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scene s = random_scene();
		struct ne_decision full, low;

		s.supply.on_battery = true;
		full = decide(&s);
		s.supply.charge_permille = below(s.supply.charge_permille + 1);
		low = decide(&s);
		assert_int_equal(full.error, low.error);
		assert_true(s.level[low.level].energy_uj <= s.level[full.level].energy_uj);
	}
}

static void a_floor_is_kept_where_time_and_caps_allow(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scene s = random_scene();
		struct ne_decision d = decide(&s);
		bool possible = false;

		for (uint32_t k = 0; k < s.n; k++)
			possible |= s.level[k].eligible && under_caps(&s, &s.level[k]) &&
				    fits_time(&s, &s.level[k]) &&
				    s.level[k].accuracy >= s.req.min_accuracy;
		if (possible && s.req.min_accuracy > 0) {
			assert_true(s.level[d.level].accuracy >= s.req.min_accuracy);
			seen++;
		} else if (s.level[d.level].accuracy < s.req.min_accuracy) {
			assert_true(d.degraded || d.error == -ETIME);
		}
	}
	assert_true(seen > ROUNDS / 20);
}

static void strict_is_never_late_on_purpose(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scene s = random_scene();
		struct ne_decision d;
		bool possible = false;

		s.req.strict = true;
		d = decide(&s);
		for (uint32_t k = 0; k < s.n; k++)
			possible |= s.level[k].eligible && fits_time(&s, &s.level[k]) &&
				    under_caps(&s, &s.level[k]);
		if (d.error == 0)
			assert_true(fits_time(&s, &s.level[d.level]));
		else
			assert_int_equal(d.error, -ETIME);
		if (possible)
			assert_int_equal(d.error, 0);
		refused += d.error != 0;
	}
	assert_true(refused > ROUNDS / 50);
}

static void limits_hold_unless_degraded_or_floored(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scene s = random_scene();
		struct ne_decision d = decide(&s);
		struct ne_governor g = make_governor(&s);
		const struct ne_gov_level *v = &s.level[d.level];

		assert_true(d.level < s.n && v->eligible);
		if (d.error || d.degraded)
			continue;
		assert_true(fits_time(&s, v) && under_caps(&s, v));
		if (s.req.min_accuracy == 0 && !g.low_battery)
			assert_true(s.ratio * v->energy_uj <= ne_bucket_available(&g.energy, 0));
		if (s.req.min_accuracy == 0)
			assert_true(s.ratio * v->time_us <= ne_bucket_available(&g.cpu, 0));
	}
}

static void reason_full_means_the_best(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scene s = random_scene();
		struct ne_decision d = decide(&s);
		float best = 0;

		for (uint32_t k = 0; k < s.n; k++)
			if (s.level[k].eligible)
				best = fmaxf(best, s.level[k].accuracy);
		if (d.reason == NE_REASON_FULL)
			assert_true(s.level[d.level].accuracy == best);
		else if (!d.degraded)
			assert_true(s.level[d.level].accuracy < best);
	}
}

/* Two levels, one limit at a time. */
static void each_limit_gives_its_reason(void **state)
{
	struct scene base = {
		.level = {{.accuracy = 0.9f,
			   .time_us = 1000,
			   .energy_uj = 3000,
			   .depth = 1,
			   .width_permille = 1000,
			   .eligible = true},
			  {.accuracy = 0.8f,
			   .time_us = 100,
			   .energy_uj = 300,
			   .depth = 0,
			   .width_permille = 500,
			   .eligible = true}},
		.n = 2,
		.req = {.left_us = NE_GOV_NO_DEADLINE},
		.ratio = 1,
		.variance = 0,
		.energy_left = 1,
		.cpu_left = 1,
	};
	struct scene s = base;

	(void)state;
	assert_int_equal(decide(&s).level, 0);
	assert_int_equal(decide(&s).reason, NE_REASON_FULL);
	s.req.left_us = 999;
	assert_int_equal(decide(&s).level, 1);
	assert_int_equal(decide(&s).reason, NE_REASON_TIME);
	s = base;
	s.budget.latency_us = 999;
	assert_int_equal(decide(&s).reason, NE_REASON_TIME);
	s = base;
	s.budget.latency_us = 1500;
	s.req.waited_us = 600; /* waiting counts */
	assert_int_equal(decide(&s).reason, NE_REASON_TIME);
	s = base;
	s.budget.depth_max = 1;
	assert_int_equal(decide(&s).reason, NE_REASON_CAP);
	s = base;
	s.budget.width_max_permille = 999;
	assert_int_equal(decide(&s).reason, NE_REASON_CAP);
	s = base;
	s.budget.power_mw_mains = 1; /* 2000 uJ in the bucket */
	assert_int_equal(decide(&s).level, 1);
	assert_int_equal(decide(&s).reason, NE_REASON_ENERGY);
	s = base;
	s.budget.cpu_permille = 1;
	s.cpu_left = 0.4; /* 800 us */
	assert_int_equal(decide(&s).level, 1);
	assert_int_equal(decide(&s).reason, NE_REASON_CPU);
}

static void reserve_runs_the_smallest_with_hysteresis(void **state)
{
	struct ne_gov_level v[2] = {
		{.accuracy = 0.9f,
		 .time_us = 10,
		 .energy_uj = 30,
		 .width_permille = 1000,
		 .eligible = true},
		{.accuracy = 0.8f,
		 .time_us = 1,
		 .energy_uj = 3,
		 .width_permille = 500,
		 .eligible = true},
	};
	struct ne_gov_budget b = {.reserve_permille = 200};
	struct ne_gov_supply s = {.on_battery = true, .charge_permille = 500};
	struct ne_gov_request r = {.left_us = NE_GOV_NO_DEADLINE};
	static const struct {
		uint32_t charge;
		uint32_t level;
	} steps[] = {{500, 0}, {201, 0}, {200, 1}, {210, 1}, {220, 1}, {221, 0}};
	struct ne_governor g;
	struct ne_decision d;

	(void)state;
	ne_governor_init(&g, 0);
	ne_governor_set_budget(&g, &b, 0);
	for (size_t i = 0; i < NE_ARRAY_SIZE(steps); i++) {
		s.charge_permille = steps[i].charge;
		ne_governor_set_supply(&g, &s, 0);
		ne_governor_decide(&g, v, 2, &r, 0, &d);
		assert_int_equal(d.level, steps[i].level);
		assert_false(d.degraded);
	}
	s.on_battery = false;
	s.charge_permille = 100;
	ne_governor_set_supply(&g, &s, 0);
	ne_governor_decide(&g, v, 2, &r, 0, &d);
	assert_int_equal(d.level, 0); /* on mains the charge does not matter */
}

/* Runs requests back to back against a battery in steps of 10 s and asks how long it lasted. */
static void autonomy_makes_the_battery_last(void **state)
{
	struct ne_gov_level v[2] = {
		{.accuracy = 0.9f,
		 .time_us = 20000,
		 .energy_uj = 80000,
		 .width_permille = 1000,
		 .eligible = true},
		{.accuracy = 0.8f,
		 .time_us = 500,
		 .energy_uj = 1000,
		 .width_permille = 500,
		 .eligible = true},
	};
	struct ne_gov_budget b = {.autonomy_min = 120, .reserve_permille = 100};
	const double capacity_mwh = 1000, per_uj = 1 / 3.6e6; /* 1 mWh = 3.6e6 uJ */
	struct ne_gov_request r = {.left_us = NE_GOV_NO_DEADLINE};
	struct ne_gov_supply s = {.on_battery = true, .capacity_mwh = 1000};
	double charge_mwh = 800;
	struct ne_governor g;
	struct ne_decision d;
	int64_t now = 0;
	unsigned large = 0;

	(void)state;
	ne_governor_init(&g, now);
	ne_governor_set_budget(&g, &b, now);
	/* 25 requests a second: all large would draw 2000 mW and end it in 21 minutes. */
	for (; now < (int64_t)120 * 60 * 1000000; now += 40000) {
		if (now % 10000000 == 0) {
			s.charge_permille = (uint32_t)(charge_mwh / capacity_mwh * 1000);
			ne_governor_set_supply(&g, &s, now);
		}
		ne_governor_decide(&g, v, 2, &r, now, &d);
		large += d.level == 0;
		charge_mwh -= v[d.level].energy_uj * per_uj;
		ne_governor_account(&g, d.predicted_us, v[d.level].time_us, v[d.level].energy_uj,
				    now);
	}
	/* It lasted the two hours above the reserve, and did not hoard either. */
	assert_true(charge_mwh >= 90);
	assert_true(charge_mwh <= 160);
	assert_true(large > 10000);
}

static void predictor_follows_the_machine(void **state)
{
	struct ne_predictor p;

	(void)state;
	ne_predictor_init(&p);
	for (int i = 0; i < 200; i++)
		ne_predictor_update(&p, 100, 250);
	assert_true(fabs(p.ratio - 2.5) < 0.01);
	assert_true(p.variance < 0.01);
	for (int i = 0; i < 400; i++)
		ne_predictor_update(&p, 100, i & 1 ? 150 : 50);
	assert_true(fabs(p.ratio - 1) < 0.1);
	assert_true(fabs(sqrt(p.variance) - 0.5) < 0.1);
	ne_predictor_update(&p, 0, 100); /* nonsense teaches nothing */
	ne_predictor_update(&p, 100, NAN);
	assert_true(fabs(p.ratio - 1) < 0.1);
}

static void bucket_refills_and_goes_into_debt(void **state)
{
	struct ne_bucket b;

	(void)state;
	ne_bucket_init(&b, 0.5, 100, 1000);
	ne_bucket_take(&b, 150, 1000);
	assert_true(fabs(ne_bucket_available(&b, 1000) + 50) < 1e-9);
	assert_true(fabs(ne_bucket_available(&b, 1200) - 50) < 1e-9);
	assert_true(fabs(ne_bucket_available(&b, 1100) - 50) < 1e-9); /* back in time: no change */
	assert_true(fabs(ne_bucket_available(&b, 9000) - 100) < 1e-9);
	ne_bucket_take(&b, 1e9, 9000);
	assert_true(fabs(ne_bucket_available(&b, 9000) + 100) < 1e-9); /* bounded */
	ne_bucket_set(&b, -1, 0, 9000);
	assert_true(isinf(ne_bucket_available(&b, 9000)));
}

static void going_on_needs_time_and_budget(void **state)
{
	struct ne_governor g;
	struct ne_gov_budget b = {.power_mw_mains = 1};
	enum ne_reason why = NE_REASON_FULL;

	(void)state;
	ne_governor_init(&g, 0);
	g.predictor.variance = 0;
	assert_true(ne_governor_go_on(&g, 100, 100, 0, &why));
	assert_false(ne_governor_go_on(&g, 101, 100, 0, &why));
	assert_int_equal(why, NE_REASON_TIME);
	assert_true(ne_governor_go_on(&g, 1e12, NE_GOV_NO_DEADLINE, 0, &why));
	ne_governor_set_budget(&g, &b, 0);
	ne_governor_account(&g, 10, 10, 3000, 0);
	assert_false(ne_governor_go_on(&g, 1, NE_GOV_NO_DEADLINE, 0, &why));
	assert_int_equal(why, NE_REASON_ENERGY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_time_never_gives_a_worse_level),
		cmocka_unit_test(less_charge_never_gives_a_more_costly_level),
		cmocka_unit_test(a_floor_is_kept_where_time_and_caps_allow),
		cmocka_unit_test(strict_is_never_late_on_purpose),
		cmocka_unit_test(limits_hold_unless_degraded_or_floored),
		cmocka_unit_test(reason_full_means_the_best),
		cmocka_unit_test(each_limit_gives_its_reason),
		cmocka_unit_test(reserve_runs_the_smallest_with_hysteresis),
		cmocka_unit_test(autonomy_makes_the_battery_last),
		cmocka_unit_test(predictor_follows_the_machine),
		cmocka_unit_test(bucket_refills_and_goes_into_debt),
		cmocka_unit_test(going_on_needs_time_and_budget),
	};
	const char *seed = getenv("NEAP_SEED");

	rng_state = seed ? strtoull(seed, NULL, 0) : 0x6e656170;
	printf("seed %#llx\n", (unsigned long long)rng_state);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
