// SPDX-License-Identifier: MIT
/* From a data set's samples to a model's input bytes. A feeder borrows the data set. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/evaluate.h"

struct sample_feeder {
	const struct data_set *d;
	enum ne_dtype to;
	struct ne_quant quant; /* of the input; scale 0 = raw or real */
	float scale, offset;   /* integers to real */
	size_t elements, bytes;
	bool transpose; /* [pixels][channels] to [channels][pixels] */
	size_t pixels, channels;
};

/* Dimensions other than 1, in order: what decides whether two layouts are the same. */
static uint32_t squeeze(const struct ne_shape *s, int32_t *dim)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->rank; i++)
		if (s->dim[i] != 1)
			dim[n++] = s->dim[i];
	return n;
}

static void describe_shape(const struct ne_shape *s, char *text, size_t size)
{
	size_t n = (size_t)snprintf(text, size, "[");

	for (uint32_t i = 0; i < s->rank && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%d", i ? "," : "", s->dim[i]);
	if (n < size)
		snprintf(text + n, size - n, "]");
}

/* [H,W,C] for [1,C,H,W] or [C,H,W]. Where both readings fit, the plain one counts. */
static bool needs_transpose(const struct ne_shape *sample, const struct ne_shape *input)
{
	int32_t a[NE_MAX_RANK], b[NE_MAX_RANK];
	uint32_t na = squeeze(sample, a), nb = squeeze(input, b);
	const int32_t *chw;

	if (na == nb && !memcmp(a, b, na * sizeof(*a)))
		return false;
	if (sample->rank != 3 || input->rank < 3 || input->rank > 4)
		return false;
	chw = input->dim + (input->rank - 3);
	return chw[0] == sample->dim[2] && chw[1] == sample->dim[0] && chw[2] == sample->dim[1];
}

static int note_number(const struct ne_model *m, const char *key, float fallback, float *ret,
		       struct ne_error *err)
{
	const char *text = ne_model_get_note(m, key);
	char *end;

	*ret = fallback;
	if (!text)
		return 0;
	*ret = strtof(text, &end);
	if (end == text || *end || !isfinite(*ret))
		return ne_fail(err, EINVAL, "the model's note %s is '%.40s', expected a number",
			       key, text);
	return 0;
}

static int check_types(const struct sample_feeder *f, struct ne_error *err)
{
	enum ne_dtype from = f->d->dtype;
	bool quantised = f->quant.scale > 0 && (f->to == NE_S8 || f->to == NE_U8);

	if (from == f->to || quantised || f->to == NE_F32)
		return 0;
	return ne_fail(err, EINVAL, "the model takes %s values, the data set has %s",
		       ne_dtype_name(f->to), ne_dtype_name(from));
}

int sample_feeder_new(const struct ne_model *m, const struct data_set *d,
		      struct sample_feeder **ret, struct ne_error *err)
{
	struct sample_feeder f = {.d = d};
	const struct ne_tensor *t;
	char want[80], have[80];

	if (m->graph.n_in != 1)
		return ne_fail(
			err, EINVAL,
			"the model has %u inputs; a data set feeds exactly one (use neap run "
			"with npy files)",
			m->graph.n_in);
	t = &m->graph.tensor[m->graph.in[0]];
	f.to = t->dtype;
	if (m->n_width)
		f.quant = m->width[m->n_width - 1].quant[m->graph.in[0]];
	f.elements = ne_shape_elements(&t->shape);
	f.bytes = f.elements * ne_dtype_size(t->dtype);
	if (f.elements != ne_shape_elements(&d->sample)) {
		describe_shape(&t->shape, want, sizeof(want));
		describe_shape(&d->sample, have, sizeof(have));
		return ne_fail(err, EINVAL, "the model takes %s, the data set's samples are %s",
			       want, have);
	}
	NE_RETURN_IF(check_types(&f, err));
	NE_RETURN_IF(note_number(m, "input_scale", 1.0f, &f.scale, err));
	NE_RETURN_IF(note_number(m, "input_offset", 0.0f, &f.offset, err));
	f.transpose = needs_transpose(&d->sample, &t->shape);
	if (f.transpose) {
		f.channels = (size_t)d->sample.dim[2];
		f.pixels = f.elements / f.channels;
	}
	*ret = malloc(sizeof(**ret));
	if (!*ret)
		return ne_fail(err, ENOMEM, "out of memory");
	**ret = f;
	return 0;
}

void sample_feeder_free(struct sample_feeder *f)
{
	free(f);
}

size_t sample_feeder_bytes(const struct sample_feeder *f)
{
	return f->bytes;
}

static float real_value(const struct sample_feeder *f, const void *src, size_t i)
{
	switch (f->d->dtype) {
	case NE_U8:
		return (float)((const uint8_t *)src)[i] * f->scale + f->offset;
	case NE_S8:
		return (float)((const int8_t *)src)[i] * f->scale + f->offset;
	case NE_S16:
		return (float)((const int16_t *)src)[i] * f->scale + f->offset;
	default:
		return ((const float *)src)[i];
	}
}

static int quantised(const struct sample_feeder *f, float real)
{
	float lo = f->to == NE_S8 ? -128.0f : 0.0f, hi = f->to == NE_S8 ? 127.0f : 255.0f;
	float q = rintf(real / f->quant.scale) + (float)f->quant.zero;

	return (int)(q >= lo ? NE_MIN(q, hi) : lo); /* NaN gives lo, as in the kernels */
}

/* Value @from of the sample to position @to of the input. */
static void convert(const struct sample_feeder *f, const void *src, size_t from, void *dst,
		    size_t to)
{
	if (f->to == NE_F32)
		((float *)dst)[to] = real_value(f, src, from);
	else if (f->to == NE_S8)
		((int8_t *)dst)[to] = (int8_t)quantised(f, real_value(f, src, from));
	else
		((uint8_t *)dst)[to] = (uint8_t)quantised(f, real_value(f, src, from));
}

void sample_feed(const struct sample_feeder *f, size_t i, void *dst)
{
	const char *src = data_sample(f->d, i);
	size_t size = ne_dtype_size(f->to);
	bool copy = f->to == f->d->dtype;

	if (!f->transpose) {
		if (copy)
			memcpy(dst, src, f->bytes);
		for (size_t k = 0; !copy && k < f->elements; k++)
			convert(f, src, k, dst, k);
		return;
	}
	for (size_t p = 0; p < f->pixels; p++) {
		for (size_t c = 0; c < f->channels; c++) {
			size_t from = p * f->channels + c, to = c * f->pixels + p;

			if (copy)
				memcpy((char *)dst + to * size, src + from * size, size);
			else
				convert(f, src, from, dst, to);
		}
	}
}
