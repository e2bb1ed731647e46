/* SPDX-License-Identifier: MIT */
/*
 * The governor: which level a request runs at. A pure function of its arguments: no I/O, no clock,
 * no allocation. The daemon, the simulator and the tests call the same code.
 *
 * Units: microseconds, microjoules, milliwatts, permille; time as a monotonic count of
 * microseconds that the caller gives.
 */
#ifndef NE_GOVERNOR_H
#define NE_GOVERNOR_H

#include "engine/base.h"

#define NE_GOV_MAX_LEVELS  256u
#define NE_GOV_NO_DEADLINE INT64_MAX

/* Why a level was chosen: the constraint that kept a better one away. */
enum ne_reason {
	NE_REASON_FULL = 0, /* nothing did: the best level */
	NE_REASON_TIME = 1, /* deadline or budget/latency_us */
	NE_REASON_ENERGY = 2,
	NE_REASON_CPU = 3,
	NE_REASON_CAP = 4,        /* depth_max, width_max_permille */
	NE_REASON_CONFIDENCE = 5, /* left early: sure enough */
	NE_REASON_COUNT
};
const char *ne_reason_name(enum ne_reason r);

/* One level of a model, as measured on this machine; the governor's view. Any order. */
struct ne_gov_level {
	float accuracy;          /* 0..1 */
	float time_us;           /* t(l): measured at load */
	float energy_uj;         /* e(l): measured or modelled */
	uint16_t depth;          /* exit index */
	uint16_t width_permille; /* of the largest width setting's channels */
	bool eligible;           /* on the front */
};

/* The files of budget/ (docs/sysfs-abi); 0 = no limit unless said. */
struct ne_gov_budget {
	uint32_t latency_us;
	uint32_t power_mw_mains, power_mw_battery;
	uint32_t cpu_permille;     /* of one CPU */
	uint32_t autonomy_min;     /* minutes that the battery shall last; 0 = not asked */
	uint32_t reserve_permille; /* charge at and below which only the smallest level runs */
	uint32_t depth_max;        /* count of exits allowed */
	uint32_t width_max_permille;
};

struct ne_gov_supply {
	bool on_battery;
	uint32_t charge_permille;
	uint32_t capacity_mwh; /* full; 0 = unknown: autonomy_min has no effect */
};

/* A token bucket: `level` may go below zero (debt) when a request costs more than was foreseen. */
struct ne_bucket {
	double level, capacity;
	double rate; /* units per microsecond; < 0 = no limit */
	int64_t last_us;
};
void ne_bucket_init(struct ne_bucket *b, double rate, double capacity, int64_t now_us);
void ne_bucket_set(struct ne_bucket *b, double rate, double capacity, int64_t now_us);
double ne_bucket_available(struct ne_bucket *b, int64_t now_us); /* refills; INFINITY = no limit */
void ne_bucket_take(struct ne_bucket *b, double amount, int64_t now_us);

/* Running ratio of measured to predicted time, and its variance. */
struct ne_predictor {
	double ratio, variance;
	uint64_t count;
};
void ne_predictor_init(struct ne_predictor *p);
void ne_predictor_update(struct ne_predictor *p, double predicted_us, double measured_us);

/* Everything that lives from request to request; one for the whole daemon. */
struct ne_governor {
	struct ne_gov_budget budget;
	struct ne_gov_supply supply;
	struct ne_bucket energy; /* microjoules */
	struct ne_bucket cpu;    /* microseconds */
	struct ne_predictor predictor;
	bool low_battery; /* at or below reserve, with hysteresis of NE_GOV_HYSTERESIS_PERMILLE */
	int64_t supply_since_us;
};
#define NE_GOV_HYSTERESIS_PERMILLE 20u
#define NE_GOV_SIGMAS              2.0     /* k: predictions are late in about 2 % of the runs */
#define NE_GOV_BURST_US            2000000 /* what a bucket holds: this long at its rate */
#define NE_GOV_RATIO_MIN           0.05 /* a ratio outside is a clock gone wrong, not a slow CPU */
#define NE_GOV_RATIO_MAX           100.0

void ne_governor_init(struct ne_governor *g, int64_t now_us);
void ne_governor_set_budget(struct ne_governor *g, const struct ne_gov_budget *b, int64_t now_us);
void ne_governor_set_supply(struct ne_governor *g, const struct ne_gov_supply *s, int64_t now_us);
/* After a run (or a part of it, where an exit was taken): pays the buckets, teaches the predictor. */
void ne_governor_account(struct ne_governor *g, double predicted_us, double measured_us,
			 double energy_uj, int64_t now_us);

struct ne_gov_request {
	int64_t left_us;    /* until the deadline; NE_GOV_NO_DEADLINE; may be negative */
	int64_t waited_us;  /* since it arrived: already spent of budget/latency_us */
	int64_t backlog_us; /* work promised before it on this worker */
	float min_accuracy; /* 0 = none */
	bool strict;        /* refuse rather than be late */
};

struct ne_decision {
	int error;      /* 0, or -ETIME: strict and nothing fits in time */
	uint32_t level; /* index into the levels given */
	enum ne_reason reason;
	bool degraded; /* nothing fitted: the smallest level all the same, or a floor not kept */
	double predicted_us;
};

/* Greatest expected accuracy that satisfies time, energy, CPU and caps; see docs/governor.md. */
void ne_governor_decide(struct ne_governor *g, const struct ne_gov_level *levels, uint32_t n,
			const struct ne_gov_request *req, int64_t now_us, struct ne_decision *ret);

/* At exit @depth of a run that was decided as @level with @spent_us gone: is there time (and
 * budget) to reach the next exit? False = answer now. @reason is set when false. */
bool ne_governor_go_on(struct ne_governor *g, double next_us, int64_t left_us, int64_t now_us,
		       enum ne_reason *reason);

#endif
