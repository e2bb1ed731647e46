/* SPDX-License-Identifier: MIT */
/*
 * What nesting costs: each level of a nested model beside a model that has that shape alone, which
 * is the level exported to ONNX and imported again. Both give the same answers; they take turns.
 */
#include "tests/bench/peers/measure.h"

#include "engine/model/container.h"
#include "tools/neap/export/onnx_export.h"
#include "tools/neap/import/onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int alone(const struct ne_model *m, uint32_t level, struct ne_model **ret,
		 struct ne_error *err)
{
	struct onnx_export_options opt = {.level = level};
	size_t bytes;
	void *data;
	int r;

	NE_RETURN_IF(onnx_export(m, &opt, &data, &bytes, err));
	r = onnx_import(data, bytes, NULL, ret, err);
	free(data);
	return r;
}

static cJSON *bench_level(const char *file, const struct ne_model *m, uint32_t level,
			  uint32_t samples, struct ne_error *err)
{
	struct peer_case c[2] = {{.model = (struct ne_model *)(uintptr_t)m, .level = level}, {0}};
	void *in = random_input_of(m, level + 1);
	cJSON *row = NULL;
	struct lane l[2];

	if (!in || alone(m, level, &c[1].model, err) < 0)
		goto out;
	lane_open(&l[0], &peer_neap, &c[0], NULL, 1, in);
	lane_open(&l[1], &peer_neap, &c[1], NULL, 1, in);
	measure(l, 2, samples);
	if (l[0].why[0] || l[1].why[0]) {
		ne_fail(err, EIO, "%s%s", l[0].why, l[1].why);
	} else {
		bool same = l[0].run.out_bytes == l[1].run.out_bytes &&
			    memcmp(l[0].run.out, l[1].run.out, l[0].run.out_bytes) == 0;

		printf("  level %-2u %10llu MACs %9.2f us, alone %9.2f us, ratio %.3f%s\n", level,
		       (unsigned long long)m->level[level].macs, l[0].median_us, l[1].median_us,
		       l[0].median_us / l[1].median_us, same ? "" : ", answers differ");
		row = cJSON_CreateObject();
		cJSON_AddStringToObject(row, "model", file);
		cJSON_AddNumberToObject(row, "level", level);
		cJSON_AddNumberToObject(row, "nested_us", l[0].median_us);
		cJSON_AddNumberToObject(row, "alone_us", l[1].median_us);
		cJSON_AddNumberToObject(row, "ratio", l[0].median_us / l[1].median_us);
	}
	lane_close(&l[0]);
	lane_close(&l[1]);
out:
	ne_model_free(c[1].model);
	free(in);
	return row;
}

cJSON *bench_nested(const char *file, uint32_t samples)
{
	struct ne_error err = {""};
	cJSON *rows = cJSON_CreateArray();
	struct ne_model *m = NULL;

	printf("Nested levels of %s beside the same shape alone, one thread, medians\n", file);
	if (ne_container_load(file, NULL, &m, &err) < 0) {
		printf("  left out: %s\n", err.text);
		return rows;
	}
	for (uint32_t i = 0; i < m->n_level; i++) {
		cJSON *row = bench_level(file, m, i, samples, &err);

		if (row)
			cJSON_AddItemToArray(rows, row);
		else
			printf("  level %u left out: %s\n", i, err.text);
	}
	ne_model_free(m);
	return rows;
}
