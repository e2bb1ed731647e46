/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution, s8, with the dot product of 4 u8 by 4 s8: taps take the place of input
 * channels. Four taps of a vector of channels are interleaved byte by byte, so that one dot product
 * adds four taps of a channel. Included once for each width of vector; the includer defines
 *
 *   DW_NAME, DW_VEC, DW_VECF, DW_BYTES   function, types, channels of a vector
 *   DW_OP(name)                          intrinsic of that width, e.g. _mm256_##name
 *   DW_LOAD(p, n), DW_STORE(p, v, n)     n channels, 1..DW_BYTES, the rest zero or left alone
 *   DW_DOT(acc, x, w)                    vpdpbusd
 *   DW_XOR(a, b)
 */
#ifndef DW_MAX_TAPS
#define DW_MAX_TAPS 64u /* more go to the C version */

static inline const int8_t *dw_tap(const struct ne_dw_s8 *a, const int32_t *ind, uint32_t t,
				   uint32_t c)
{
	return ne_tap_s8(a->x, ind[t], a->pad) + c;
}
#endif

#define DW_CAT_(a, b) a##_##b
#define DW_CAT(a, b)  DW_CAT_(a, b)
#define DW_QUAD       DW_CAT(DW_NAME, quad)
#define DW_SETUP      DW_CAT(DW_NAME, setup)
#define DW_PIXEL      DW_CAT(DW_NAME, pixel)
#define DW_STATE      DW_CAT(DW_NAME, state)
#define DW_SPREAD     DW_CAT(DW_NAME, spread)

/* What is the same for all pixels, in the order that interleaving brings. */
struct DW_STATE {
	DW_VEC w[DW_MAX_TAPS / 4][4], bias[4], zp, lo;
	DW_VECF mult[4], hi;
};

/* Interleaves four taps: in each 128-bit lane v[k] holds channels 4k to 4k + 3. */
static inline void DW_CAT(DW_NAME, interleave)(DW_VEC v[4], DW_VEC t0, DW_VEC t1, DW_VEC t2,
					       DW_VEC t3)
{
	const DW_VEC a = DW_OP(unpacklo_epi8)(t0, t1), b = DW_OP(unpackhi_epi8)(t0, t1);
	const DW_VEC c = DW_OP(unpacklo_epi8)(t2, t3), d = DW_OP(unpackhi_epi8)(t2, t3);

	v[0] = DW_OP(unpacklo_epi16)(a, c);
	v[1] = DW_OP(unpackhi_epi16)(a, c);
	v[2] = DW_OP(unpacklo_epi16)(b, d);
	v[3] = DW_OP(unpackhi_epi16)(b, d);
}

/* n 32-bit values to the order of the sums. */
static inline void DW_SPREAD(void *v, const void *from, uint32_t n)
{
	uint32_t flat[DW_BYTES] = {0};
	uint32_t(*to)[DW_BYTES / 4] = v;

	memcpy(flat, from, n * sizeof(flat[0]));
	for (int k = 0; k < 4; k++)
		for (int lane = 0; lane < DW_BYTES / 16; lane++)
			memcpy(&to[k][4 * lane], &flat[16 * lane + 4 * k], 16);
}

static void DW_SETUP(struct DW_STATE *s, const struct ne_dw_s8 *a, uint32_t c, uint32_t n)
{
	const DW_VEC zero = {0};

	DW_SPREAD(s->bias, a->bias + c, n);
	DW_SPREAD(s->mult, a->mult + c, n);
	for (uint32_t t = 0; t < a->taps; t += 4) {
		const int8_t *w = a->w + t * a->w_tap_stride + c;
		DW_VEC tap[4] = {zero, zero, zero, zero};

		for (uint32_t j = 0; j < 4 && t + j < a->taps; j++)
			tap[j] = DW_LOAD(w + j * a->w_tap_stride, n);
		DW_CAT(DW_NAME, interleave)(s->w[t / 4], tap[0], tap[1], tap[2], tap[3]);
		for (int k = 0; k < 4; k++) { /* inputs are taken 128 too large */
			const DW_VEC extra = DW_DOT(zero, DW_OP(set1_epi8)(-128), s->w[t / 4][k]);

			s->bias[k] = DW_OP(sub_epi32)(s->bias[k], extra);
		}
	}
	s->zp = DW_OP(set1_epi16)((int16_t)a->zp);
	s->lo = DW_OP(set1_epi8)((int8_t)a->lo);
	s->hi = DW_OP(set1_ps)((float)(a->hi - a->zp));
}

/* Adds @count taps from @t. Missing ones repeat the first: their weights are zero. */
static inline __attribute__((always_inline)) void DW_QUAD(DW_VEC acc[4], const struct DW_STATE *s,
							  const struct ne_dw_s8 *a,
							  const int32_t *ind, uint32_t t,
							  uint32_t c, uint32_t n, const int count)
{
	const DW_VEC sign = DW_OP(set1_epi8)(-128);
	const DW_VEC x0 = DW_XOR(DW_LOAD(dw_tap(a, ind, t, c), n), sign);
	const DW_VEC x1 = count > 1 ? DW_XOR(DW_LOAD(dw_tap(a, ind, t + 1, c), n), sign) : x0;
	const DW_VEC x2 = count > 2 ? DW_XOR(DW_LOAD(dw_tap(a, ind, t + 2, c), n), sign) : x0;
	const DW_VEC x3 = count > 3 ? DW_XOR(DW_LOAD(dw_tap(a, ind, t + 3, c), n), sign) : x0;
	DW_VEC v[4];

	DW_CAT(DW_NAME, interleave)(v, x0, x1, x2, x3);
	for (int k = 0; k < 4; k++)
		acc[k] = DW_DOT(acc[k], v[k], s->w[t / 4][k]);
}

static inline __attribute__((always_inline)) void DW_PIXEL(const struct DW_STATE *s,
							   const struct ne_dw_s8 *a,
							   const int32_t *ind, uint32_t c,
							   uint32_t n, int8_t *y)
{
	DW_VEC acc[4] = {s->bias[0], s->bias[1], s->bias[2], s->bias[3]};
	uint32_t t = 0;

	for (; t + 4 <= a->taps; t += 4)
		DW_QUAD(acc, s, a, ind, t, c, n, 4);
	if (a->taps - t == 1)
		DW_QUAD(acc, s, a, ind, t, c, n, 1);
	else if (a->taps - t == 2)
		DW_QUAD(acc, s, a, ind, t, c, n, 2);
	else if (a->taps - t == 3)
		DW_QUAD(acc, s, a, ind, t, c, n, 3);
	/* Saturation keeps what is below s32 lowest: no lower clamp in float is needed. */
	for (int k = 0; k < 4; k++)
		acc[k] = DW_OP(cvtps_epi32)(DW_OP(min_ps)(
			DW_OP(mul_ps)(DW_OP(cvtepi32_ps)(acc[k]), s->mult[k]), s->hi));
	acc[0] = DW_OP(adds_epi16)(DW_OP(packs_epi32)(acc[0], acc[1]), s->zp);
	acc[2] = DW_OP(adds_epi16)(DW_OP(packs_epi32)(acc[2], acc[3]), s->zp);
	DW_STORE(y, DW_OP(max_epi8)(DW_OP(packs_epi16)(acc[0], acc[2]), s->lo), n);
}

static void DW_NAME(const struct ne_dw_s8 *a, uint32_t c, uint32_t n)
{
	struct DW_STATE s;

	DW_SETUP(&s, a, c, n);
	for (uint32_t p = 0; p < a->n_pix; p++)
		DW_PIXEL(&s, a, a->ind + (size_t)p * a->taps, c, n, a->y + p * a->y_stride + c);
}

#undef DW_QUAD
#undef DW_SETUP
#undef DW_PIXEL
#undef DW_STATE
#undef DW_SPREAD
#undef DW_CAT
#undef DW_CAT_
#undef DW_NAME
#undef DW_VEC
#undef DW_VECF
#undef DW_BYTES
#undef DW_OP
#undef DW_LOAD
#undef DW_STORE
#undef DW_DOT
#undef DW_XOR
