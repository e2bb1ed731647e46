// SPDX-License-Identifier: MIT
/* Levels as people see them. */
#include "tools/neap/levels.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double active_channels(const struct ne_model *m, uint32_t width)
{
	double sum = 0;

	for (uint32_t g = 1; g <= m->graph.n_group; g++)
		sum += m->width[width].active[g];
	return sum;
}

double level_width(const struct ne_model *m, uint32_t width)
{
	double most = 0;

	for (uint32_t w = 0; w < m->n_width; w++)
		most = fmax(most, active_channels(m, w));
	if (most <= 0 || width >= m->n_width)
		return 1;
	return round(1000 * active_channels(m, width) / most) / 1000;
}

uint32_t level_best(const struct ne_model *m)
{
	uint32_t best = 0;

	for (uint32_t l = 1; l < m->n_level; l++) {
		const struct ne_level *a = &m->level[l], *b = &m->level[best];
		bool front_a = a->flags & NE_LEVEL_PARETO, front_b = b->flags & NE_LEVEL_PARETO;

		if (front_a != front_b) {
			if (front_a)
				best = l;
		} else if (a->accuracy >= 0 || b->accuracy >= 0) {
			if (a->accuracy > b->accuracy)
				best = l;
		} else if (a->macs > b->macs) {
			best = l;
		}
	}
	return best;
}

int level_parse(const struct ne_model *m, const char *text, bool all, bool best, uint32_t *ret,
		struct ne_error *err)
{
	unsigned long v;
	char *end;

	if (all && !strcmp(text, "all")) {
		*ret = LEVELS_ALL;
		return 0;
	}
	if (best && !strcmp(text, "auto")) {
		*ret = level_best(m);
		return 0;
	}
	v = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || v >= m->n_level)
		return ne_fail(err, EINVAL, "level '%.20s': expected %s0 to %u", text,
			       all    ? "all or a number from "
			       : best ? "auto or a number from "
				      : "",
			       m->n_level - 1);
	*ret = (uint32_t)v;
	return 0;
}

cJSON *json_number(double v, int decimals)
{
	double unit = pow(10, decimals);

	return isfinite(v) ? cJSON_CreateNumber(round(v * unit) / unit) : cJSON_CreateNull();
}

cJSON *json_measured(double v, int decimals)
{
	return v < 0 ? cJSON_CreateNull() : json_number(v, decimals);
}

int json_print(cJSON *json)
{
	char *text = json ? cJSON_Print(json) : NULL;

	cJSON_Delete(json);
	if (!text)
		return -ENOMEM;
	puts(text);
	cJSON_free(text);
	return 0;
}

cJSON *level_json(const struct ne_model *m, const struct ne_program *p, const struct level_row *row)
{
	const struct ne_level *l = &m->level[row->level];
	cJSON *o = cJSON_CreateObject();
	bool ok;

	ok = cJSON_AddNumberToObject(o, "level", row->level) &&
	     cJSON_AddNumberToObject(o, "depth", l->depth) &&
	     cJSON_AddNumberToObject(o, "width", level_width(m, l->width)) &&
	     cJSON_AddBoolToObject(o, "pareto", l->flags & NE_LEVEL_PARETO) &&
	     cJSON_AddNumberToObject(o, "macs", (double)l->macs) &&
	     cJSON_AddItemToObject(o, "accuracy", json_measured(row->accuracy, 6)) &&
	     cJSON_AddItemToObject(o, "p50_us", json_number(row->p50_us, 3)) &&
	     cJSON_AddItemToObject(o, "p99_us", json_number(row->p99_us, 3)) &&
	     cJSON_AddNumberToObject(o, "runs", (double)row->runs) &&
	     cJSON_AddNumberToObject(o, "arena_bytes",
				     (double)ne_program_arena_bytes(p, row->level)) &&
	     cJSON_AddStringToObject(o, "kernel", ne_program_cpu(p));
	if (ok)
		return o;
	cJSON_Delete(o);
	return NULL;
}

int levels_print_json(const struct ne_model *m, const struct ne_program *p,
		      const struct level_row *row, uint32_t n)
{
	cJSON *array = cJSON_CreateArray();

	for (uint32_t i = 0; array && i < n; i++) {
		cJSON *o = level_json(m, p, &row[i]);

		if (!o || !cJSON_AddItemToArray(array, o)) {
			cJSON_Delete(o);
			cJSON_Delete(array);
			array = NULL;
		}
	}
	return json_print(array);
}

void levels_print_table(const struct ne_model *m, const struct ne_program *p,
			const struct level_row *row, uint32_t n)
{
	printf("level  depth  width        MACs  accuracy    p50 us    p99 us   arena bytes\n");
	for (uint32_t i = 0; i < n; i++) {
		const struct ne_level *l = &m->level[row[i].level];
		char accuracy[16] = "-";

		if (row[i].accuracy >= 0)
			snprintf(accuracy, sizeof(accuracy), "%.2f %%", 100 * row[i].accuracy);
		printf("%4u%c  %5u  %5.3f  %10" PRIu64 "  %8s  %8.1f  %8.1f  %12zu\n", row[i].level,
		       l->flags & NE_LEVEL_PARETO ? ' ' : '*', l->depth, level_width(m, l->width),
		       l->macs, accuracy, row[i].p50_us, row[i].p99_us,
		       ne_program_arena_bytes(p, row[i].level));
	}
	for (uint32_t i = 0; i < n; i++)
		if (!(m->level[row[i].level].flags & NE_LEVEL_PARETO)) {
			printf("* off the front: reached only by leaving a deeper level early\n");
			break;
		}
	printf("kernels: %s\n", ne_program_cpu(p));
}
