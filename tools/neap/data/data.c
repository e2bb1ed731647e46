// SPDX-License-Identifier: MIT
/* SPECs: which kind of data set, and what all kinds share. A data set owns all that it points to. */
#include "tools/neap/data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/data/source.h"

static const struct data_source *const sources[] = {
	&data_source_idx,
	&data_source_npy,
	&data_source_audio,
	&data_source_fashion,
};

void data_close(struct data_set *d)
{
	if (!d)
		return;
	free(d->x);
	free(d->y);
	free(d->speaker);
	free(d->name);
	if (d->class_name)
		for (uint32_t i = 0; i < d->n_class; i++)
			free(d->class_name[i]);
	free(d->class_name);
	memset(d, 0, sizeof(*d));
}

int data_split_pair(const char *args, const char *usage, char **ret_a, char **ret_b,
		    struct ne_error *err)
{
	const char *comma = strchr(args, ',');
	char *a, *b;

	if (!comma || comma == args || !comma[1])
		return ne_fail(err, EINVAL, "data set '%s': expected %s", args, usage);
	a = strndup(args, (size_t)(comma - args));
	b = strdup(comma + 1);
	if (!a || !b) {
		free(a);
		free(b);
		return ne_fail(err, ENOMEM, "out of memory");
	}
	*ret_a = a;
	*ret_b = b;
	return 0;
}

int data_set_layout(struct data_set *d, struct ne_error *err)
{
	size_t elements = ne_shape_elements(&d->sample);
	size_t size = ne_dtype_size(d->dtype);

	if (!d->n)
		return ne_fail(err, EINVAL, "the data set has no samples");
	if (!elements || !size)
		return ne_fail(err, EINVAL, "the data set's samples have an impossible shape");
	d->sample_bytes = elements * size;
	if (d->n > SIZE_MAX / 2 / d->sample_bytes)
		return ne_fail(err, EFBIG, "the data set is too large");
	return 0;
}

/* Every label in range is what all users of a data set rely on. */
static int check_labels(const struct data_set *d, struct ne_error *err)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->y[i] < 0 || (uint32_t)d->y[i] >= d->n_class)
			return ne_fail(err, EINVAL, "sample %zu has class %d of %u", i, d->y[i],
				       d->n_class);
	return 0;
}

static int unknown_kind(const char *spec, struct ne_error *err)
{
	char list[160] = "";

	for (size_t i = 0; i < NE_ARRAY_SIZE(sources); i++) {
		if (i)
			strncat(list, ", ", sizeof(list) - strlen(list) - 1);
		strncat(list, sources[i]->usage, sizeof(list) - strlen(list) - 1);
	}
	return ne_fail(err, EINVAL, "data set '%.60s': expected one of %s", spec, list);
}

char *data_expand(const char *s)
{
	static const char name[] = "$NEAP_DATA";
	const char *dir = getenv("NEAP_DATA"), *from;
	size_t bytes = 0;
	char *out = NULL;
	FILE *f = open_memstream(&out, &bytes);

	if (!f)
		return NULL;
	if (!dir || !*dir)
		dir = "../shared/data";
	while ((from = strstr(s, name))) {
		fwrite(s, 1, (size_t)(from - s), f);
		fputs(dir, f);
		s = from + strlen(name);
	}
	fputs(s, f);
	if (fclose(f)) {
		free(out);
		return NULL;
	}
	return out;
}

int data_open(const char *spec, struct data_set *ret, struct ne_error *err)
{
	const struct data_source *source = NULL;
	const char *colon = strchr(spec, ':');
	struct data_set d = {.n = 0};
	char *args;
	int rc;

	for (size_t i = 0; colon && i < NE_ARRAY_SIZE(sources); i++)
		if (strlen(sources[i]->kind) == (size_t)(colon - spec) &&
		    !strncmp(sources[i]->kind, spec, (size_t)(colon - spec)))
			source = sources[i];
	if (!source)
		return unknown_kind(spec, err);
	args = data_expand(colon + 1);
	rc = args ? source->open(args, &d, err) : ne_fail(err, ENOMEM, "out of memory");
	free(args);
	if (!rc)
		rc = check_labels(&d, err);
	if (!rc) {
		d.name = strdup(spec);
		if (!d.name)
			rc = ne_fail(err, ENOMEM, "out of memory");
	}
	if (rc < 0) {
		data_close(&d);
		return rc;
	}
	*ret = d;
	return 0;
}
