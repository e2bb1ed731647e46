/* SPDX-License-Identifier: MIT */
/*
 * Choosing a level. The rule is told in docs/governor.md; tests/unit/test_governor.c holds its
 * properties. All state is in struct ne_governor, which the caller owns and guards.
 */
#include "engine/governor/governor.h"

#include <math.h>

#define US_PER_MIN 60e6

/* After the promised minutes have passed, spend as if this share of them were still to come. */
#define AUTONOMY_TAIL 0.1

static const char *const reason_names[NE_REASON_COUNT] = {
	[NE_REASON_FULL] = "full", [NE_REASON_TIME] = "time", [NE_REASON_ENERGY] = "energy",
	[NE_REASON_CPU] = "cpu",   [NE_REASON_CAP] = "cap",   [NE_REASON_CONFIDENCE] = "confidence",
};

const char *ne_reason_name(enum ne_reason r)
{
	return (unsigned)r < NE_REASON_COUNT ? reason_names[r] : "unknown";
}

/* Milliwatts that inference may draw now; < 0 = no limit. */
static double power_limit_mw(const struct ne_governor *g, int64_t now_us)
{
	const struct ne_gov_budget *b = &g->budget;
	const struct ne_gov_supply *s = &g->supply;
	double limit = -1, usable_mwh, elapsed_min, minutes, lasting_mw;

	if (!s->on_battery)
		return b->power_mw_mains ? (double)b->power_mw_mains : -1;
	if (b->power_mw_battery)
		limit = b->power_mw_battery;
	if (!b->autonomy_min || !s->capacity_mwh)
		return limit;

	usable_mwh = s->charge_permille > b->reserve_permille
			     ? (s->charge_permille - b->reserve_permille) / 1000.0 * s->capacity_mwh
			     : 0;
	elapsed_min = (double)(now_us - g->supply_since_us) / US_PER_MIN;
	minutes = fmax(b->autonomy_min - fmax(elapsed_min, 0), AUTONOMY_TAIL * b->autonomy_min);
	lasting_mw = usable_mwh * 60 / minutes;
	return limit < 0 ? lasting_mw : fmin(limit, lasting_mw);
}

static void set_rates(struct ne_governor *g, int64_t now_us)
{
	double mw = power_limit_mw(g, now_us);
	double energy_rate = mw < 0 ? -1 : mw * 1e-3; /* 1 mW = 1e-3 uJ/us */
	double cpu_rate = g->budget.cpu_permille ? g->budget.cpu_permille / 1000.0 : -1;

	ne_bucket_set(&g->energy, energy_rate, fmax(energy_rate, 0) * NE_GOV_BURST_US, now_us);
	ne_bucket_set(&g->cpu, cpu_rate, fmax(cpu_rate, 0) * NE_GOV_BURST_US, now_us);
}

static void set_low_battery(struct ne_governor *g)
{
	uint32_t reserve = g->budget.reserve_permille, charge = g->supply.charge_permille;

	if (!g->supply.on_battery || !reserve)
		g->low_battery = false;
	else if (charge <= reserve)
		g->low_battery = true;
	else if (charge > reserve + NE_GOV_HYSTERESIS_PERMILLE)
		g->low_battery = false;
}

void ne_governor_init(struct ne_governor *g, int64_t now_us)
{
	*g = (struct ne_governor){.supply_since_us = now_us};
	ne_bucket_init(&g->energy, -1, 0, now_us);
	ne_bucket_init(&g->cpu, -1, 0, now_us);
	ne_predictor_init(&g->predictor);
}

void ne_governor_set_budget(struct ne_governor *g, const struct ne_gov_budget *b, int64_t now_us)
{
	g->budget = *b;
	set_low_battery(g);
	set_rates(g, now_us);
}

void ne_governor_set_supply(struct ne_governor *g, const struct ne_gov_supply *s, int64_t now_us)
{
	if (s->on_battery != g->supply.on_battery)
		g->supply_since_us = now_us;
	g->supply = *s;
	set_low_battery(g);
	set_rates(g, now_us);
}

void ne_governor_account(struct ne_governor *g, double predicted_us, double measured_us,
			 double energy_uj, int64_t now_us)
{
	ne_predictor_update(&g->predictor, predicted_us, measured_us);
	ne_bucket_take(&g->cpu, measured_us, now_us);
	ne_bucket_take(&g->energy, energy_uj, now_us);
}

/* What every level is held against, worked out once for a decision. */
struct limits {
	double time_us; /* for the run itself: deadline and latency budget less backlog */
	double energy_uj, cpu_us;
	double ratio, sigmas;
	uint32_t depth_max, width_max;
	uint32_t
		frugal; /* with a low battery: the only level that energy allows; else UINT32_MAX */
	bool low_battery;
};

static double safe_time(const struct limits *l, double time_us)
{
	return (l->ratio + l->sigmas) * time_us;
}

static bool cap_ok(const struct limits *l, const struct ne_gov_level *v)
{
	return v->depth < l->depth_max && v->width_permille <= l->width_max;
}

static bool time_ok(const struct limits *l, const struct ne_gov_level *v)
{
	return safe_time(l, v->time_us) <= l->time_us;
}

static bool energy_ok(const struct limits *l, const struct ne_gov_level *v, uint32_t i)
{
	return l->low_battery ? i == l->frugal : l->ratio * v->energy_uj <= l->energy_uj;
}

static bool cpu_ok(const struct limits *l, const struct ne_gov_level *v)
{
	return l->ratio * v->time_us <= l->cpu_us;
}

/* Less energy, then less time. */
static bool cheaper(const struct ne_gov_level *a, const struct ne_gov_level *b)
{
	return a->energy_uj != b->energy_uj ? a->energy_uj < b->energy_uj : a->time_us < b->time_us;
}

static bool better(const struct ne_gov_level *a, const struct ne_gov_level *b)
{
	return a->accuracy != b->accuracy ? a->accuracy > b->accuracy : cheaper(a, b);
}

static bool faster(const struct ne_gov_level *a, const struct ne_gov_level *b)
{
	return a->time_us != b->time_us ? a->time_us < b->time_us : better(a, b);
}

static void keep(uint32_t *best, const struct ne_gov_level *v, uint32_t i,
		 bool (*before)(const struct ne_gov_level *, const struct ne_gov_level *))
{
	if (*best == UINT32_MAX || before(&v[i], &v[*best]))
		*best = i;
}

static struct limits make_limits(struct ne_governor *g, const struct ne_gov_level *v, uint32_t n,
				 const struct ne_gov_request *req, int64_t now_us)
{
	const struct ne_gov_budget *b = &g->budget;
	struct limits l = {
		.time_us = INFINITY,
		.energy_uj = ne_bucket_available(&g->energy, now_us),
		.cpu_us = ne_bucket_available(&g->cpu, now_us),
		.ratio = g->predictor.ratio,
		.sigmas = NE_GOV_SIGMAS * sqrt(g->predictor.variance),
		.depth_max = b->depth_max ? b->depth_max : UINT32_MAX,
		.width_max = b->width_max_permille ? b->width_max_permille : UINT32_MAX,
		.frugal = UINT32_MAX,
		.low_battery = g->low_battery,
	};

	if (req->left_us != NE_GOV_NO_DEADLINE)
		l.time_us = (double)req->left_us;
	if (b->latency_us)
		l.time_us = fmin(l.time_us, (double)b->latency_us - (double)req->waited_us);
	l.time_us -= (double)req->backlog_us;
	for (uint32_t i = 0; i < n; i++)
		if (v[i].eligible)
			keep(&l.frugal, v, i, cheaper);
	return l;
}

/* The constraint that keeps away the least of the levels that are better than @chosen. */
static enum ne_reason find_reason(const struct limits *l, const struct ne_gov_level *v, uint32_t n,
				  uint32_t chosen)
{
	uint32_t next = UINT32_MAX;

	for (uint32_t i = 0; i < n; i++)
		if (v[i].eligible && v[i].accuracy > v[chosen].accuracy &&
		    (next == UINT32_MAX || v[i].accuracy < v[next].accuracy))
			next = i;
	if (next == UINT32_MAX)
		return NE_REASON_FULL;
	if (!time_ok(l, &v[next]))
		return NE_REASON_TIME;
	if (!cap_ok(l, &v[next]))
		return NE_REASON_CAP;
	return energy_ok(l, &v[next], next) ? NE_REASON_CPU : NE_REASON_ENERGY;
}

void ne_governor_decide(struct ne_governor *g, const struct ne_gov_level *v, uint32_t n,
			const struct ne_gov_request *req, int64_t now_us, struct ne_decision *ret)
{
	struct limits l;
	/* The best that fits all; the cheapest in time that keeps the floor; the cheapest in time;
	 * the fastest under the caps; the fastest of all. */
	uint32_t fits = UINT32_MAX, floor_kept = UINT32_MAX, in_time = UINT32_MAX;
	uint32_t capped = UINT32_MAX, any = UINT32_MAX, chosen;
	bool floor_ok;

	set_rates(g, now_us); /* the power that makes a battery last changes as time passes */
	l = make_limits(g, v, n, req, now_us);
	for (uint32_t i = 0; i < n; i++) {
		if (!v[i].eligible)
			continue;
		keep(&any, v, i, faster);
		if (!cap_ok(&l, &v[i]))
			continue;
		keep(&capped, v, i, faster);
		if (!time_ok(&l, &v[i]))
			continue;
		keep(&in_time, v, i, cheaper);
		if (v[i].accuracy >= req->min_accuracy)
			keep(&floor_kept, v, i, cheaper);
		if (energy_ok(&l, &v[i], i) && cpu_ok(&l, &v[i]))
			keep(&fits, v, i, better);
	}

	*ret = (struct ne_decision){0};
	if (any == UINT32_MAX) { /* a model with no eligible level is refused at load */
		ret->error = -EINVAL;
		return;
	}
	floor_ok = fits != UINT32_MAX && v[fits].accuracy >= req->min_accuracy;
	if (floor_ok || (fits != UINT32_MAX && floor_kept == UINT32_MAX)) {
		chosen = fits;
		ret->degraded = !floor_ok;
	} else if (req->min_accuracy > 0 && floor_kept != UINT32_MAX) {
		chosen = floor_kept; /* the floor wins over energy and CPU */
	} else if (in_time != UINT32_MAX) {
		chosen = in_time;
		ret->degraded = true;
	} else {
		chosen = capped != UINT32_MAX ? capped : any;
		ret->degraded = true;
		if (req->strict && !time_ok(&l, &v[chosen]))
			ret->error = -ETIME;
	}
	ret->level = chosen;
	ret->predicted_us = l.ratio * v[chosen].time_us;
	ret->reason = find_reason(&l, v, n, chosen);
	if (ret->reason == NE_REASON_FULL && ret->degraded)
		ret->reason = time_ok(&l, &v[chosen]) ? NE_REASON_ENERGY : NE_REASON_TIME;
}

bool ne_governor_go_on(struct ne_governor *g, double next_us, int64_t left_us, int64_t now_us,
		       enum ne_reason *reason)
{
	double sigmas = NE_GOV_SIGMAS * sqrt(g->predictor.variance);

	if (left_us != NE_GOV_NO_DEADLINE &&
	    (g->predictor.ratio + sigmas) * next_us > (double)left_us) {
		*reason = NE_REASON_TIME;
		return false;
	}
	if (ne_bucket_available(&g->energy, now_us) < 0) {
		*reason = NE_REASON_ENERGY;
		return false;
	}
	if (ne_bucket_available(&g->cpu, now_us) < 0) {
		*reason = NE_REASON_CPU;
		return false;
	}
	return true;
}
