/* SPDX-License-Identifier: MIT */
/*
 * Entropy coding of s8 tensors: range asymmetric numeral systems (J. Duda, arXiv:1311.2540) with one
 * static table a tensor. The bytes are specified in docs/container.md.
 */
#ifndef NE_RANS_H
#define NE_RANS_H

#include <neap/model.h>

#include "engine/base.h"

/* Frequencies by symbol + 128; they sum to NEAP_RANS_SUM. */
struct ne_rans_table {
	uint16_t freq[256];
};

/* Own tables of earlier tensors of the file, in the order of their appearance. */
struct ne_rans_tables {
	uint32_t n;
	struct ne_rans_table table[NEAP_RANS_KEPT];
};

/* Decodes exactly @n values from exactly @bytes at @data. -EBADMSG with a reason; -ENOMEM. */
int ne_rans_decode(struct ne_rans_tables *known, const uint8_t *data, size_t bytes, int8_t *dst,
		   size_t n, struct ne_error *err);

/* The same of the interleaved form, with the kernel @rounds (engine/kernels/table.h). */
struct ne_rans32;
int ne_rans32_decode(struct ne_rans_tables *known, void (*rounds)(struct ne_rans32 *),
		     const uint8_t *data, size_t bytes, int8_t *dst, size_t n,
		     struct ne_error *err);

/*
 * Encodes @n >= 1 values with an own table or one of the @known, whichever gives fewer bytes. *ret is
 * freed with free(). @known is unchanged: ne_rans_keep() adds what a caller decides to write.
 */
int ne_rans_encode(const struct ne_rans_tables *known, const int8_t *src, size_t n, uint8_t **ret,
		   size_t *ret_bytes);

/* The same values interleaved, @lanes states (one of the two numbers of neap/model.h), under the table
 * of their @coded form; *ret is freed with free(). */
int ne_rans32_encode(const struct ne_rans_tables *known, uint32_t lanes, const uint8_t *coded,
		     size_t coded_bytes, const int8_t *src, size_t n, uint8_t **ret,
		     size_t *ret_bytes);

/* Adds the own table of an encoded tensor, if it has one and there is room. */
void ne_rans_keep(struct ne_rans_tables *known, const uint8_t *data, size_t bytes);

/* Parses the table at the start of @data; returns its bytes, or -EBADMSG. */
long ne_rans_table_parse(const uint8_t *data, size_t bytes, struct ne_rans_table *ret,
			 struct ne_error *err);

/* The table that @data begins with or refers to, an own one remembered; *ret_bytes: what says so. */
int ne_rans_table_take(struct ne_rans_tables *known, const uint8_t *data, size_t bytes,
		       struct ne_rans_table *ret, size_t *ret_bytes, struct ne_error *err);

/* Bits of the sum that the interleaved form's frequencies of @t have, and those by symbol + 128. */
unsigned ne_rans32_frequencies(const struct ne_rans_table *t, uint16_t freq[256]);

/* What a table consists of, before it becomes frequencies. */
struct ne_rans_shape {
	uint32_t n;            /* symbols in the alphabet */
	uint8_t symbol[256];   /* + 128, ascending */
	unsigned spacing_log2; /* of knots: 0..3 */
	bool has_zero_q;       /* symbol 0 has a weight of its own */
	uint8_t zero_q;
	uint8_t knot
		[257]; /* log weights, 0..NEAP_RANS_Q_MAX; (n - 1 + spacing - 1) / spacing + 1 */
};
uint32_t ne_rans_knots(const struct ne_rans_shape *s);
/* Log weight of the alphabet's i-th symbol between its knots, in 1/32 octaves. */
uint32_t ne_rans_log_weight(const struct ne_rans_shape *s, uint32_t i);
/* 2^(l / 32) in units of 2^-10. */
uint32_t ne_rans_weight(uint32_t l);
void ne_rans_frequencies(const struct ne_rans_shape *s, struct ne_rans_table *ret);

#endif
