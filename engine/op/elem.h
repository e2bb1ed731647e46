/* SPDX-License-Identifier: MIT */
/*
 * Elements of any type, for the operators that take every one: runs of a tensor are widened to f32
 * or to s64, worked on, and narrowed. Quantised values are the real values that they stand for.
 */
#ifndef NE_ELEM_H
#define NE_ELEM_H

#include "engine/model/model.h"

struct ne_lower;

#define NE_CHUNK 256u /* elements that an operator widens at a time, on its stack */

struct ne_elem {
	enum ne_dtype type;
	struct ne_quant q; /* scale 0: the values are what they say */
};

struct ne_elem ne_elem_of(const struct ne_lower *lw, uint32_t tensor);
/* f32, or quantised: worked on in f32; else in s64. */
bool ne_elem_is_real(const struct ne_elem *e);

static inline bool ne_dtype_is_integer(enum ne_dtype t)
{
	return t == NE_S8 || t == NE_U8 || t == NE_S16 || t == NE_S32 || t == NE_S64;
}

/* @n elements from @src on. To f32, quantised ones as (q - zero) * scale. */
void ne_elem_load_f32(float *dst, const void *src, size_t n, const struct ne_elem *e);
void ne_elem_load_s64(int64_t *dst, const void *src, size_t n, const struct ne_elem *e);
/* To quantised: round half to even, clamp. To integers: truncate, clamp, NaN is 0. */
void ne_elem_store_f32(void *dst, const float *src, size_t n, const struct ne_elem *e);
/* To integers modulo their width, to bool: not 0, to f32: rounded. */
void ne_elem_store_s64(void *dst, const int64_t *src, size_t n, const struct ne_elem *e);

/* Real value @v as one element of tensor type @e at @dst (at most 8 bytes). */
void ne_elem_constant(void *dst, double v, const struct ne_elem *e);

#endif
