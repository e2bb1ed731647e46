/* SPDX-License-Identifier: MIT */
/* Levels as people see them: which one, how wide, as JSON, as a table. */
#ifndef NEAP_TOOL_LEVELS_H
#define NEAP_TOOL_LEVELS_H

#include <cjson/cJSON.h>

#include "engine/run/run.h"

#define LEVELS_ALL UINT32_MAX

/* Active channels over all groups as a share of the largest width setting's, to 1/1000; 1 where the
 * model has no groups. */
double level_width(const struct ne_model *m, uint32_t width);

/* The level of greatest accuracy (of greatest MACs where none was measured) on the front. */
uint32_t level_best(const struct ne_model *m);

/* "all" (LEVELS_ALL), "auto" (level_best()) or a number, as far as allowed. */
int level_parse(const struct ne_model *m, const char *text, bool all, bool best, uint32_t *ret,
		struct ne_error *err);

/* What eval and bench know of a level. */
struct level_row {
	uint32_t level;
	double accuracy; /* < 0 = not measured */
	double p50_us, p99_us;
	uint64_t runs;
};

/* The object of one level; docs/json.md tells its keys. NULL: out of memory. */
cJSON *level_json(const struct ne_model *m, const struct ne_program *p,
		  const struct level_row *row);

/* Rows as a JSON array or as a table on standard output. */
int levels_print_json(const struct ne_model *m, const struct ne_program *p,
		      const struct level_row *row, uint32_t n);
void levels_print_table(const struct ne_model *m, const struct ne_program *p,
			const struct level_row *row, uint32_t n);

/* A number with at most @decimals digits after the point, as people write it; null where it is not
 * finite or @v is below 0 and @null_below_zero. */
cJSON *json_number(double v, int decimals);
cJSON *json_measured(double v, int decimals); /* null where v < 0 */

/* Prints and frees @json; -ENOMEM where it is NULL. */
int json_print(cJSON *json);

#endif
