/* SPDX-License-Identifier: MIT */
/* Convolution and dense, s8, NEON with dot product: 8 output channels a block, 4 input channels a
 * step, 4 steps for each vector of inputs. */
#include "engine/kernels/arm/store_s8.h"

typedef struct ne_conv_s8 tile_args;
typedef int8_t tile_in;
typedef int8_t tile_w;
typedef int8_t tile_x;
typedef int32x4_t tile_vec;
#define TILE_LANES  4
#define TILE_VPB    2
#define TILE_NR     8u
#define TILE_KR     4u
#define TILE_MAX_NB 2u
#define TILE_MAX_MR 8
#define TILE_MR(nb) ((nb) == 2 ? 5u : 8u)
#define TILE_LIST   TILES_8(1) TILES_5(2)

static inline void tile_gather(int8_t *d, const int8_t *s, uint32_t n)
{
	static const int8_t zero[4];
	const uint32_t rest = -n & 3;

	for (; n >= 16; n -= 16, s += 16, d += 16)
		vst1q_s8(d, vld1q_s8(s));
	for (; n >= 4; n -= 4, s += 4, d += 4)
		memcpy(d, s, 4);
	for (; n; n--)
		*d++ = *s++;
	memcpy(d, zero, rest);
}

static inline int32x4_t tile_load_x(const int8_t *x)
{
	int32_t v;

	memcpy(&v, x, sizeof(v));
	return vdupq_n_s32(v);
}

static inline int32x4_t tile_load_w(const int8_t *w)
{
	return vreinterpretq_s32_s8(vld1q_s8(w));
}

static inline int32x4_t tile_dot(int32x4_t acc, int32x4_t x, int32x4_t w)
{
	return vdotq_s32(acc, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x));
}

/* Four steps: a lane of each pixel's vector of 16 inputs at a time. */
#define TILE_WIDE 4
#define STEP(g)                                                                            \
	do {                                                                               \
		int32x4_t *set = acc + (g) % ways * mr * nv;                               \
		int8x16_t wv[4];                                                           \
                                                                                           \
		TILE_UNROLL                                                                \
		for (int v = 0; v < nv; v++)                                               \
			wv[v] = vld1q_s8(w + v / 2 * block_stride + v % 2 * 16 + (g)*32);  \
		TILE_UNROLL                                                                \
		for (int i = 0; i < mr; i++) {                                             \
			TILE_UNROLL                                                        \
			for (int v = 0; v < nv; v++)                                       \
				set[i * nv + v] =                                          \
					vdotq_laneq_s32(set[i * nv + v], wv[v], xv[i], g); \
		}                                                                          \
	} while (0)
#define tile_wide(acc, x, w, block_stride, mr, nb, ways)      \
	do {                                                  \
		const int nv = (nb)*2;                        \
		int8x16_t xv[8];                              \
                                                              \
		TILE_UNROLL                                   \
		for (int i = 0; i < (mr); i++)                \
			xv[i] = vld1q_s8((x) + i * TILE_ROW); \
		STEP(0);                                      \
		STEP(1);                                      \
		STEP(2);                                      \
		STEP(3);                                      \
	} while (0)

#include "engine/kernels/conv_tile.h"

void ne_conv_s8_dotprod(const struct ne_conv_s8 *a)
{
	tile_conv(a);
}
