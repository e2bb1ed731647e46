// SPDX-License-Identifier: MIT
/*
 * The tensors section: one record per constant, in the order of their ids, each with its encoding,
 * its scales and its payload. Decoded data belongs to the graph.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/table.h"
#include "engine/model/container_sections.h"
#include "engine/model/rans.h"

/* Below this many values a table cannot pay. */
#define RANS_LEAST 64u
/* Interleaving is taken where it makes the payload larger by no more than this share. */
#define RANS32_PRICE(bytes) ((bytes) / 128)

static enum ne_dtype encoding_dtype(unsigned encoding)
{
	switch (encoding) {
	case NEAP_ENC_F32:
	case NEAP_ENC_F16:
		return NE_F32;
	case NEAP_ENC_S8:
	case NEAP_ENC_S8_RANS:
	case NEAP_ENC_S8_RANS32:
		return NE_S8;
	case NEAP_ENC_S16:
		return NE_S16;
	case NEAP_ENC_S32:
		return NE_S32;
	case NEAP_ENC_S64:
		return NE_S64;
	case NEAP_ENC_U8:
		return NE_U8;
	case NEAP_ENC_BOOL:
		return NE_BOOL;
	default:
		return (enum ne_dtype)0;
	}
}

static unsigned dtype_encoding(enum ne_dtype t)
{
	switch (t) {
	case NE_F32:
		return NEAP_ENC_F32;
	case NE_S8:
		return NEAP_ENC_S8;
	case NE_S16:
		return NEAP_ENC_S16;
	case NE_S32:
		return NEAP_ENC_S32;
	case NE_S64:
		return NEAP_ENC_S64;
	case NE_U8:
		return NEAP_ENC_U8;
	case NE_BOOL:
		return NEAP_ENC_BOOL;
	default:
		return 0;
	}
}

static size_t payload_align(size_t bytes)
{
	return bytes >= NEAP_PAYLOAD_ALIGN_FROM ? NEAP_FILE_ALIGN : 4;
}

static int f16_read(const struct ne_reader *r, float *dst, const uint8_t *src, size_t n,
		    uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		dst[i] = ne_f16_to_f32((uint16_t)(src[2 * i] | src[2 * i + 1] << 8));
		if (!isfinite(dst[i]))
			return ne_rd_fail(r, EBADMSG, "tensor %u: value %zu is not finite", id, i);
	}
	return 0;
}

static int raw_read(const struct ne_reader *r, struct ne_tensor *t, const uint8_t *src, size_t n,
		    uint32_t id)
{
	memcpy(t->data, src, n * ne_dtype_size(t->dtype));
	for (size_t i = 0; i < n; i++) {
		if (t->dtype == NE_F32 && !isfinite(((const float *)t->data)[i]))
			return ne_rd_fail(r, EBADMSG, "tensor %u: value %zu is not finite", id, i);
		if (t->dtype == NE_BOOL && src[i] > 1)
			return ne_rd_fail(r, EBADMSG, "tensor %u: value %zu is not 0 or 1", id, i);
	}
	return 0;
}

static int scales_read(struct ne_reader *r, struct ne_tensor *t, uint32_t id)
{
	uint32_t n;

	NE_RETURN_IF(ne_rd_count(r, NE_MAX_DIM, 4, &n, "number of scales"));
	if (n == 0)
		return 0;
	if (t->dtype != NE_S8)
		return ne_rd_fail(r, EBADMSG, "tensor %u: scales of a type other than s8", id);
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*t->scale), &t->scale, "scales"));
	t->n_scale = n;
	for (uint32_t i = 0; i < n; i++) {
		NE_RETURN_IF(ne_rd_f32(r, &t->scale[i], "scale"));
		if (t->scale[i] != 0.0f && !(t->scale[i] >= FLT_MIN))
			return ne_rd_fail(r, EBADMSG, "tensor %u: scale %u is negative or denormal",
					  id, i);
	}
	return 0;
}

/* What reading entropy-coded tensors takes from one to the next. */
struct coder {
	struct ne_rans_tables tables;
	struct ne_kernels k;
};

static int coded_read(const struct ne_reader *r, struct coder *c, struct ne_tensor *t,
		      const uint8_t *src, size_t bytes, uint32_t id, unsigned encoding)
{
	const size_t n = ne_shape_elements(&t->shape);
	struct ne_error why;
	int e;

	if (encoding == NEAP_ENC_S8_RANS)
		e = ne_rans_decode(&c->tables, src, bytes, t->data, n, &why);
	else
		e = ne_rans32_decode(&c->tables, c->k.rans32, src, bytes, t->data, n, &why);
	return e < 0 ? ne_rd_fail(r, -e, "tensor %u: %s", id, why.text) : 0;
}

static int payload_read(struct ne_reader *r, struct coder *c, struct ne_tensor *t, uint32_t id,
			unsigned encoding)
{
	size_t n = ne_shape_elements(&t->shape);
	const bool coded = encoding == NEAP_ENC_S8_RANS || encoding == NEAP_ENC_S8_RANS32;
	const uint8_t *src;
	uint64_t bytes;

	NE_RETURN_IF(ne_rd_u64(r, SIZE_MAX, &bytes, "bytes of a payload"));
	if (!coded && bytes != n * (encoding == NEAP_ENC_F16 ? 2 : ne_dtype_size(t->dtype)))
		return ne_rd_fail(r, EBADMSG, "tensor %u: %llu bytes for %zu values of encoding %u",
				  id, (unsigned long long)bytes, n, encoding);
	NE_RETURN_IF(ne_rd_align(r, payload_align((size_t)bytes)));
	NE_RETURN_IF(ne_rd_bytes(r, (size_t)bytes, &src, "payload"));
	/* a coded value takes a bit or more of what is worth coding */
	NE_RETURN_IF(ne_rd_alloc_filled(r, n * ne_dtype_size(t->dtype), 8 * (size_t)bytes, &t->data,
					"constant"));
	t->bytes = n * ne_dtype_size(t->dtype);
	if (encoding == NEAP_ENC_F16)
		return f16_read(r, t->data, src, n, id);
	return coded ? coded_read(r, c, t, src, (size_t)bytes, id, encoding)
		     : raw_read(r, t, src, n, id);
}

static int tensor_read(struct ne_reader *r, struct coder *c, struct ne_tensor *t, uint32_t id)
{
	uint8_t encoding;

	NE_RETURN_IF(ne_rd_u8(r, &encoding, "encoding"));
	if (encoding_dtype(encoding) == 0)
		return ne_rd_fail(r, encoding == 0 ? EBADMSG : EPROTONOSUPPORT,
				  "tensor %u: encoding %u is not known to this version", id,
				  encoding);
	if (encoding_dtype(encoding) != t->dtype)
		return ne_rd_fail(r, EBADMSG, "tensor %u: encoding %u cannot hold %s", id, encoding,
				  ne_dtype_name(t->dtype));
	NE_RETURN_IF(scales_read(r, t, id));
	return payload_read(r, c, t, id, encoding);
}

int ne_section_tensors_read(struct ne_reader *r, struct ne_graph *g, const uint8_t *is_const)
{
	struct coder *c;
	int e = 0;

	NE_RETURN_IF(ne_rd_alloc(r, 1, sizeof(*c), &c, "rANS tables"));
	ne_kernels_init(&c->k, ne_cpu_select(NULL));
	for (uint32_t i = 0; i < g->n_tensor && e == 0; i++)
		if (is_const[i])
			e = tensor_read(r, c, &g->tensor[i], i);
	free(c);
	return e < 0 ? e : ne_rd_end(r);
}

static void payload_write(struct ne_writer *w, const void *p, size_t bytes)
{
	ne_wr_uv(w, bytes);
	ne_wr_align(w, payload_align(bytes));
	ne_wr_bytes(w, p, bytes);
}

static void f16_write(struct ne_writer *w, const float *v, size_t n)
{
	ne_wr_uv(w, 2 * n);
	ne_wr_align(w, payload_align(2 * n));
	for (size_t i = 0; i < n; i++) {
		uint16_t h = ne_f32_to_f16(v[i]);

		ne_wr_bytes(w, &h, 2);
	}
}

/* An entropy-coded form of @t where one is smaller than its values; *ret NULL where none is. Of the
 * interleaved ones the one with the most states that is cheap enough. */
static int coded_form(const struct ne_rans_tables *tables, const struct ne_tensor *t, uint8_t **ret,
		      size_t *ret_bytes, unsigned *encoding)
{
	static const uint32_t lanes[] = {NEAP_RANS32_STATES, NEAP_RANS32_STATES_FEW};
	const size_t n = ne_shape_elements(&t->shape);
	uint8_t *form[NE_ARRAY_SIZE(lanes) + 1] = {0}; /* the plain one first */
	size_t bytes[NE_ARRAY_SIZE(lanes) + 1] = {0}, best = 0;
	int e = ne_rans_encode(tables, t->data, n, &form[0], &bytes[0]);

	for (size_t i = 0; e == 0 && best == 0 && i < NE_ARRAY_SIZE(lanes); i++) {
		/* a state more takes 32 bits and holds less than 16 of the values' */
		if (2 * (lanes[i] - 1) > RANS32_PRICE(bytes[0]))
			continue;
		e = ne_rans32_encode(tables, lanes[i], form[0], bytes[0], t->data, n, &form[i + 1],
				     &bytes[i + 1]);
		if (e == 0 && bytes[i + 1] <= bytes[0] + RANS32_PRICE(bytes[0]))
			best = i + 1;
	}
	if (e == 0 && bytes[best] < n) {
		*encoding = best ? NEAP_ENC_S8_RANS32 : NEAP_ENC_S8_RANS;
		*ret_bytes = bytes[best];
		*ret = form[best];
		form[best] = NULL;
	}
	for (size_t i = 0; i < NE_ARRAY_SIZE(form); i++)
		free(form[i]);
	return e;
}

static int tensor_write(struct ne_writer *w, struct ne_rans_tables *tables,
			const struct ne_tensor *t, unsigned flags)
{
	size_t n = ne_shape_elements(&t->shape), coded_bytes = 0;
	unsigned encoding = dtype_encoding(t->dtype);
	uint8_t *coded = NULL;

	if (t->dtype == NE_F32 && ne_packs_as_f16(t->data, n, flags))
		encoding = NEAP_ENC_F16;
	if (t->dtype == NE_S8 && flags & NE_PACK_RANS && n >= RANS_LEAST)
		NE_RETURN_IF(coded_form(tables, t, &coded, &coded_bytes, &encoding));
	ne_wr_u8(w, (uint8_t)encoding);
	ne_wr_uv(w, t->n_scale);
	/* a denormal scale, of a channel that is dead, is stored as zero */
	for (uint32_t i = 0; i < t->n_scale; i++)
		ne_wr_f32(w, t->scale[i] < FLT_MIN ? 0.0f : t->scale[i]);
	if (encoding == NEAP_ENC_F16) {
		f16_write(w, t->data, n);
	} else if (coded) {
		payload_write(w, coded, coded_bytes);
		ne_rans_keep(tables, coded, coded_bytes);
	} else {
		payload_write(w, t->data, n * ne_dtype_size(t->dtype));
	}
	free(coded);
	return 0;
}

/* What the reader would refuse must not be written. */
static int tensor_check(const struct ne_tensor *t, uint32_t id, struct ne_error *err)
{
	size_t n = ne_shape_elements(&t->shape);

	if (dtype_encoding(t->dtype) == 0)
		return ne_fail(err, EINVAL, "tensor %u (%s): constants of type %s are not stored",
			       id, t->name ? t->name : "", ne_dtype_name(t->dtype));
	if (t->bytes != n * ne_dtype_size(t->dtype))
		return ne_fail(err, EINVAL, "tensor %u (%s): %zu bytes for %zu values", id,
			       t->name ? t->name : "", t->bytes, n);
	if (t->n_scale && t->dtype != NE_S8)
		return ne_fail(err, EINVAL, "tensor %u (%s): scales of a type other than s8", id,
			       t->name ? t->name : "");
	for (uint32_t i = 0; i < t->n_scale; i++)
		if (!isfinite(t->scale[i]) || t->scale[i] < 0.0f)
			return ne_fail(err, EINVAL, "tensor %u (%s): scale %u is not a number >= 0",
				       id, t->name ? t->name : "", i);
	for (size_t i = 0; i < n; i++) {
		if (t->dtype == NE_F32 && !isfinite(((const float *)t->data)[i]))
			return ne_fail(err, EINVAL, "tensor %u (%s): value %zu is not finite", id,
				       t->name ? t->name : "", i);
		if (t->dtype == NE_BOOL && ((const uint8_t *)t->data)[i] > 1)
			return ne_fail(err, EINVAL, "tensor %u (%s): value %zu is not 0 or 1", id,
				       t->name ? t->name : "", i);
	}
	return 0;
}

int ne_section_tensors_write(struct ne_writer *w, const struct ne_graph *g, unsigned flags,
			     struct ne_error *err)
{
	struct ne_rans_tables *tables = calloc(1, sizeof(*tables));
	int e = tables ? 0 : ne_fail(err, ENOMEM, "no memory");

	for (uint32_t i = 0; i < g->n_tensor && e == 0; i++) {
		if (!g->tensor[i].data)
			continue;
		e = tensor_check(&g->tensor[i], i, err);
		if (e == 0 && tensor_write(w, tables, &g->tensor[i], flags) < 0)
			e = ne_fail(err, ENOMEM, "no memory");
	}
	free(tables);
	return e;
}
