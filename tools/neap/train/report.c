// SPDX-License-Identifier: MIT
/* The report of `neap train`. Owns nothing beyond a call. */
#include "tools/neap/train/report.h"
#include "tools/neap/levels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void percent(float v, char text[16])
{
	if (v < 0.0f)
		strcpy(text, "-");
	else
		snprintf(text, 16, "%.2f %%", 100.0 * (double)v);
}

void report_print(const struct ne_model *m, size_t bytes)
{
	printf("level  depth  width       MACs       f32        s8   control    p50 us\n");
	for (uint32_t i = 0; i < m->n_level; i++) {
		const struct ne_level *l = &m->level[i];
		char f32[16], s8[16], control[16];

		percent(l->f32_accuracy, f32);
		percent(l->accuracy, s8);
		percent(l->control_accuracy, control);
		printf("%4u%c  %5u  %5.3f  %9" PRIu64 "  %8s  %8s  %8s  %8.1f\n", i,
		       l->flags & NE_LEVEL_PARETO ? ' ' : '*', l->depth, level_width(m, l->width),
		       l->macs, f32, s8, control, (double)l->latency_us);
	}
	printf("* off the front: reached only by leaving a deeper level early\n");
	printf("whole file: %zu bytes; control: the same shape trained alone, f32\n", bytes);
}

static bool add_levels(const struct ne_model *m, cJSON *array)
{
	for (uint32_t i = 0; array && i < m->n_level; i++) {
		const struct ne_level *l = &m->level[i];
		cJSON *o = cJSON_CreateObject();

		if (!o || !cJSON_AddItemToArray(array, o))
			return false;
		if (!cJSON_AddNumberToObject(o, "level", i) ||
		    !cJSON_AddNumberToObject(o, "depth", l->depth) ||
		    !cJSON_AddItemToObject(o, "width", json_number(level_width(m, l->width), 3)) ||
		    !cJSON_AddBoolToObject(o, "pareto", l->flags & NE_LEVEL_PARETO) ||
		    !cJSON_AddNumberToObject(o, "macs", (double)l->macs) ||
		    !cJSON_AddItemToObject(o, "f32_accuracy",
					   json_measured((double)l->f32_accuracy, 4)) ||
		    !cJSON_AddItemToObject(o, "s8_accuracy",
					   json_measured((double)l->accuracy, 4)) ||
		    !cJSON_AddItemToObject(o, "control_accuracy",
					   json_measured((double)l->control_accuracy, 4)) ||
		    !cJSON_AddItemToObject(o, "p50_us", json_number((double)l->latency_us, 1)))
			return false;
	}
	return array != NULL;
}

static cJSON *report_json(const struct ne_model *m, size_t bytes)
{
	static const char *const keys[] = {"tool",         "source",        "recipe_xxh3",
					   "train_data",   "accuracy_data", "train_samples",
					   "test_samples", "epochs",        "seed"};
	cJSON *o = cJSON_CreateObject();
	bool ok = o && cJSON_AddNumberToObject(o, "bytes", (double)bytes);

	for (size_t i = 0; ok && i < NE_ARRAY_SIZE(keys); i++) {
		const char *v = ne_model_get_note(m, keys[i]);

		ok = !v || cJSON_AddStringToObject(o, keys[i], v);
	}
	if (ok && add_levels(m, cJSON_AddArrayToObject(o, "levels")))
		return o;
	cJSON_Delete(o);
	return NULL;
}

static int replace(const char *path, const char *text)
{
	char *temp = NULL;
	FILE *f;
	int fd, rc = 0;

	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkstemp(temp);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
	} else if (fprintf(f, "%s\n", text) < 0 || fflush(f) || fchmod(fd, 0644) || fsync(fd)) {
		rc = -errno;
	}
	if (f && fclose(f) && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	if (rc < 0 && fd >= 0)
		unlink(temp);
	free(temp);
	return rc;
}

int report_write(const char *path, const struct ne_model *m, size_t bytes, struct ne_error *err)
{
	cJSON *o = report_json(m, bytes);
	char *text = o ? cJSON_Print(o) : NULL;
	int rc = text ? replace(path, text) : -ENOMEM;

	free(text);
	cJSON_Delete(o);
	return rc < 0 ? ne_fail(err, -rc, "%s: cannot write the report: %s", path, strerror(-rc))
		      : 0;
}
