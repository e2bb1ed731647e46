/* SPDX-License-Identifier: MIT */
/* Timing engines side by side, and what they take of memory. */
#ifndef BENCH_PEERS_MEASURE_H
#define BENCH_PEERS_MEASURE_H

#include "tests/bench/peers/peers.h"

#include <cjson/cJSON.h>

/* One engine in a comparison. */
struct lane {
	const struct peer *peer;
	struct peer_run run;
	char why[256]; /* why it is left out; empty: it takes part */
	uint32_t batch, n_sample;
	double *sample; /* us a run */
	double min_us, median_us;
};

void lane_open(struct lane *l, const struct peer *peer, const struct peer_case *c, const char *cpu,
	       unsigned threads, const void *in);
void lane_close(struct lane *l);

/* Takes @samples of each, in turns; sets min_us and median_us. */
void measure(struct lane *l, uint32_t n, uint32_t samples);

/* Pseudo-random values of input 0 in the file's type, freed with free(). */
void *random_input_of(const struct ne_model *m, unsigned seed);

struct footprint {
	long kib;       /* resident growth by opening and running a few times; -1: it cannot run */
	double load_ms; /* the least of several openings, its library already there */
	double first_load_ms; /* of the very first one in the process */
};
/* In a child process, so that nothing is counted that others brought. */
struct footprint footprint_of(const struct peer *peer, const struct peer_case *c);

/* What neap's program and one context hold: arena, scratch, packed weights and tables. */
size_t neap_bytes(const struct ne_model *m);
const char *neap_cpu(const struct peer_run *r);

/* Instruction sets that many machines have as their best, where this one has more; NULL ends them. */
extern const char *const lesser_sets[];
bool has_more_than(const char *cpu);

/* real.c: writes the network of the quantised model @from, on real values, to @to. */
int write_real(const char *from, const char *to, struct ne_error *err);

/* nested.c: adds a row for each level of @file and each instruction set: a model, or a recipe, of
 * which the network is built untrained in f32. -EIO where an answer is not that of the shape alone. */
int bench_nested(const char *file, uint32_t samples, cJSON *rows, struct ne_error *err);

#endif
