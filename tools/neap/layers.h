/* SPDX-License-Identifier: MIT */
/* How long each operator of a level takes: neap bench --layers. */
#ifndef NEAP_TOOL_LAYERS_H
#define NEAP_TOOL_LAYERS_H

#include "tools/neap/timing.h"

struct layer_timing {
	uint32_t tensor; /* of the graph, that the operator wrote */
	double p50_us;
};

/* Times the steps of opt->level, one level, on pseudo-random input. Freed with free(). */
int time_layers(const struct ne_program *p, const struct timing_options *opt,
		struct layer_timing **ret, uint32_t *ret_n, struct ne_error *err);

/* A table, or a JSON array, on standard output. */
void layers_print_table(const struct ne_model *m, uint32_t level, const struct layer_timing *t,
			uint32_t n);
int layers_print_json(const struct ne_model *m, uint32_t level, const struct layer_timing *t,
		      uint32_t n);

#endif
