/* SPDX-License-Identifier: MIT */
/*
 * SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: how files write convolutions with dilation. The image is cut
 * into a batch of images, each of the pixels that are a block apart; a convolution of those is one of
 * the whole image with dilation, and that is what it becomes: the tensors in between are kept as whole
 * images.
 */
#include "tools/neap/import/tflite_internal.h"

#define BLOCK_MAX 4096

/* Blocks of height and width and what goes around them; the lists are constants. */
static int read_blocks(struct tflite *t, const struct tflite_node *n, int64_t block[2],
		       int64_t around[4])
{
	int count = tflite_in_ints(t, n, 1, block, 2), edges = tflite_in_ints(t, n, 2, around, 4);

	if (count < 0 || edges < 0)
		return count < 0 ? count : edges;
	if (count != 2 || edges != 4)
		return tflite_fail(t, n, EOPNOTSUPP, "blocks other than of height and width");
	for (int i = 0; i < 2; i++)
		if (block[i] < 1 || block[i] > BLOCK_MAX)
			return tflite_fail(t, n, EINVAL, "blocks of %lld", (long long)block[i]);
	for (int i = 0; i < 4; i++)
		if (around[i] < 0 || around[i] > NE_MAX_DIM)
			return tflite_fail(t, n, EINVAL, "a border of %lld", (long long)around[i]);
	return 0;
}

struct ne_shape tflite_shape_in_blocks(const struct ne_shape *image, const int32_t block[2])
{
	struct ne_shape s = *image;

	s.dim[0] *= block[0] * block[1];
	s.dim[1] /= block[0];
	s.dim[2] /= block[1];
	return s;
}

int tflite_space_to_batch_nd(struct tflite *t, const struct tflite_node *n)
{
	struct tflite_tensor *y = tflite_out(t, n, 0);
	struct ne_attr attr = {.groups = 1};
	int64_t block[2] = {0}, around[4] = {0};
	int id = tflite_in_id(t, n, 0);
	uint32_t in = (uint32_t)id;

	if (id < 0)
		return id;
	if (!y || tflite_shape_of(t, id)->rank != 4 || tflite_shape_of(t, id)->dim[0] != 1)
		return tflite_fail(t, n, EOPNOTSUPP, "an input other than one image");
	NE_RETURN_IF(read_blocks(t, n, block, around));
	for (int i = 0; i < 2; i++) {
		attr.pad[1 + i] = (int32_t)around[2 * i];
		attr.pad[4 + 1 + i] = (int32_t)around[2 * i + 1];
	}
	if (around[0] || around[1] || around[2] || around[3])
		id = tflite_emit_like(t, n, NE_OP_PAD, &attr, 1, &in);
	if (id < 0)
		return id;
	for (int i = 0; i < 2; i++) {
		if (tflite_shape_of(t, id)->dim[1 + i] % block[i])
			return tflite_fail(t, n, EINVAL, "blocks of %lld do not fit %d",
					   (long long)block[i], tflite_shape_of(t, id)->dim[1 + i]);
		y->block[i] = (int32_t)block[i];
	}
	return tflite_set_out(t, n, 0, id);
}

int tflite_window_of_blocks(struct tflite *t, const struct tflite_node *n, struct ne_window *w)
{
	const struct tflite_tensor *x = tflite_in(t, n, 0);
	struct tflite_tensor *y = tflite_out(t, n, 0);

	if (!x || !y || !x->block[0])
		return 0;
	if (w->sh != 1 || w->sw != 1 || w->dh != 1 || w->dw != 1)
		return tflite_fail(t, n, EOPNOTSUPP, "strides or dilations of an image in blocks");
	if (w->kh > NE_MAX_DIM / x->block[0] || w->kw > NE_MAX_DIM / x->block[1])
		return tflite_fail(t, n, E2BIG, "a window of %d by %d", w->kh, w->kw);
	w->dh = x->block[0];
	w->dw = x->block[1];
	w->pad_top *= x->block[0];
	w->pad_bottom *= x->block[0];
	w->pad_left *= x->block[1];
	w->pad_right *= x->block[1];
	y->block[0] = x->block[0];
	y->block[1] = x->block[1];
	return 0;
}

int tflite_batch_to_space_nd(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *x = tflite_in(t, n, 0);
	struct ne_attr attr = {.groups = 1};
	int64_t block[2] = {0}, around[4] = {0};
	int id = tflite_in_id(t, n, 0);
	uint32_t in = (uint32_t)id;
	struct ne_shape s;

	if (id < 0)
		return id;
	NE_RETURN_IF(read_blocks(t, n, block, around));
	if (x->block[0] != block[0] || x->block[1] != block[1])
		return tflite_fail(t, n, EOPNOTSUPP,
				   "an input that no SPACE_TO_BATCH_ND cut into the same blocks");
	s = *tflite_shape_of(t, id);
	for (uint32_t i = 0; i < 4; i++) {
		bool cut = i == 1 || i == 2;
		int64_t before = cut ? around[2 * i - 2] : 0, after = cut ? around[2 * i - 1] : 0;

		if (before + after >= s.dim[i])
			return tflite_fail(t, n, EINVAL, "nothing is left of axis %u", i);
		attr.slice.begin[i] = (int32_t)before;
		attr.slice.size[i] = (int32_t)(s.dim[i] - before - after);
		attr.slice.step[i] = 1;
	}
	if (around[0] || around[1] || around[2] || around[3])
		id = tflite_emit_like(t, n, NE_OP_SLICE, &attr, 1, &in);
	return tflite_set_out(t, n, 0, id);
}
