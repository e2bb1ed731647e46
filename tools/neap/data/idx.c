// SPDX-License-Identifier: MIT
/*
 * idx files, the format of MNIST: two zero bytes, a type, a rank, big-endian u32 dimensions, then
 * the values. Only u8 occurs in the data sets that people have. Fashion-MNIST comes in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/data/source.h"

#define IDX_U8       0x08
#define IDX_MAX_RANK 4u /* N, H, W, C */

struct idx {
	uint8_t *file; /* whole file, owned */
	const uint8_t *value;
	uint32_t rank;
	size_t dim[IDX_MAX_RANK];
	size_t bytes;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int parse_idx(const char *path, struct idx *f, size_t size, struct ne_error *err)
{
	const uint8_t *p = f->file;
	size_t left;

	if (size < 4 || p[0] || p[1])
		return ne_fail(err, EBADMSG, "%s: not an idx file (no magic number)", path);
	if (p[2] != IDX_U8)
		return ne_fail(err, EINVAL, "%s: idx type 0x%02x, expected 0x08 (u8)", path, p[2]);
	f->rank = p[3];
	if (f->rank < 1 || f->rank > IDX_MAX_RANK)
		return ne_fail(err, EBADMSG, "%s: idx rank %u, expected 1 to %u", path, f->rank,
			       IDX_MAX_RANK);
	if (size < 4 + 4 * (size_t)f->rank)
		return ne_fail(err, EBADMSG, "%s: idx header truncated", path);
	left = size - 4 - 4 * (size_t)f->rank;
	f->bytes = 1;
	for (uint32_t i = 0; i < f->rank; i++) {
		f->dim[i] = be32(p + 4 + 4 * i);
		if (!f->dim[i])
			return ne_fail(err, EBADMSG, "%s: idx dimension %u is 0", path, i);
		if (f->bytes > left / f->dim[i])
			return ne_fail(err, EBADMSG,
				       "%s: idx header claims more values than the %zu bytes that "
				       "follow",
				       path, left);
		f->bytes *= f->dim[i];
	}
	if (f->bytes != left)
		return ne_fail(err, EBADMSG, "%s: %zu bytes after the %zu values of the header",
			       path, left - f->bytes, f->bytes);
	f->value = p + 4 + 4 * f->rank;
	return 0;
}

static int read_idx(const char *path, struct idx *f, struct ne_error *err)
{
	void *data;
	size_t size;

	NE_RETURN_IF(data_read_file(path, DATA_FILE_LIMIT, &data, &size, err));
	f->file = data;
	return parse_idx(path, f, size, err);
}

static int idx_to_set(const char *images, const char *labels, const struct idx *x,
		      const struct idx *y, struct data_set *ret, struct ne_error *err)
{
	if (x->rank < 2)
		return ne_fail(err, EINVAL, "%s: images have rank %u, expected 2 to %u", images,
			       x->rank, IDX_MAX_RANK);
	if (y->rank != 1)
		return ne_fail(err, EINVAL, "%s: labels have rank %u, expected 1", labels, y->rank);
	if (x->dim[0] != y->dim[0])
		return ne_fail(err, EINVAL, "%s has %zu images, %s has %zu labels", images,
			       x->dim[0], labels, y->dim[0]);
	ret->n = x->dim[0];
	ret->dtype = NE_U8;
	ret->sample.rank = x->rank - 1;
	for (uint32_t i = 1; i < x->rank; i++) {
		if (x->dim[i] > NE_MAX_DIM)
			return ne_fail(err, EFBIG, "%s: dimension %zu is over the limit of %d",
				       images, x->dim[i], NE_MAX_DIM);
		ret->sample.dim[i - 1] = (int32_t)x->dim[i];
	}
	if (x->rank == 3) {
		ret->sample.rank = 3;
		ret->sample.dim[2] = 1;
	}
	NE_RETURN_IF(data_set_layout(ret, err));
	ret->x = malloc(x->bytes);
	ret->y = calloc(ret->n, sizeof(*ret->y));
	if (!ret->x || !ret->y)
		return ne_fail(err, ENOMEM, "out of memory for %zu images", ret->n);
	memcpy(ret->x, x->value, x->bytes);
	for (size_t i = 0; i < ret->n; i++) {
		ret->y[i] = y->value[i];
		ret->n_class = NE_MAX(ret->n_class, y->value[i] + 1u);
	}
	return 0;
}

int data_open_idx(const char *images, const char *labels, struct data_set *ret,
		  struct ne_error *err)
{
	struct idx x = {.rank = 0}, y = {.rank = 0};
	int rc;

	rc = read_idx(labels, &y, err);
	if (!rc)
		rc = read_idx(images, &x, err);
	if (!rc)
		rc = idx_to_set(images, labels, &x, &y, ret, err);
	free(x.file);
	free(y.file);
	return rc;
}

static int open_idx(const char *args, struct data_set *ret, struct ne_error *err)
{
	char *images, *labels;
	int rc;

	NE_RETURN_IF(data_split_pair(args, data_source_idx.usage, &images, &labels, err));
	rc = data_open_idx(images, labels, ret, err);
	free(images);
	free(labels);
	return rc;
}

const struct data_source data_source_idx = {
	.kind = "idx",
	.usage = "idx:IMAGES,LABELS",
	.open = open_idx,
};
