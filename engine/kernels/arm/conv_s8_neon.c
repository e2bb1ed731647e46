/* SPDX-License-Identifier: MIT */
/* Convolution and dense, s8, NEON: 8 output channels a block, one input channel a step, 8 steps for
 * each vector of inputs. Both sides are widened to s16 for smlal, which is exact. */
#include "engine/kernels/arm/store_s8.h"

typedef struct ne_conv_s8 tile_args;
typedef int8_t tile_in;
typedef int8_t tile_w;
typedef int16_t tile_x;
typedef int32x4_t tile_vec;
#define TILE_LANES  4
#define TILE_VPB    2
#define TILE_NR     8u
#define TILE_KR     1u
#define TILE_MAX_NB 2u
#define TILE_MAX_MR 8
#define TILE_MR(nb) ((nb) == 2 ? 5u : 8u)
#define TILE_LIST   TILES_8(1) TILES_5(2)

static inline void tile_gather(int16_t *d, const int8_t *s, uint32_t n)
{
	for (; n >= 8; n -= 8, s += 8, d += 8)
		vst1q_s16(d, vmovl_s8(vld1_s8(s)));
	for (; n; n--)
		*d++ = *s++;
}

static inline int32x4_t tile_load_x(const int16_t *x)
{
	return vdupq_n_s32(*x);
}

static inline int32x4_t tile_load_w(const int8_t *w)
{
	uint32_t v;

	memcpy(&v, w, sizeof(v));
	return vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(v))));
}

static inline int32x4_t tile_dot(int32x4_t acc, int32x4_t x, int32x4_t w)
{
	return vmlaq_s32(acc, x, w);
}

/* Eight steps: a lane of each pixel's vector of 8 inputs at a time. */
#define TILE_WIDE 8
#define STEP(g)                                                                               \
	do {                                                                                  \
		int32x4_t *set = acc + (g) % ways * mr * nv;                                  \
                                                                                              \
		TILE_UNROLL                                                                   \
		for (int b = 0; b < nv / 2; b++) {                                            \
			const int16x8_t wv = vmovl_s8(vld1_s8(w + b * block_stride + (g)*8)); \
                                                                                              \
			TILE_UNROLL                                                           \
			for (int i = 0; i < mr; i++) {                                        \
				int32x4_t *s = set + i * nv + b * 2;                          \
                                                                                              \
				s[0] = vmlal_laneq_s16(s[0], vget_low_s16(wv), xv[i], g);     \
				s[1] = vmlal_high_laneq_s16(s[1], wv, xv[i], g);              \
			}                                                                     \
		}                                                                             \
	} while (0)
#define tile_wide(acc, x, w, block_stride, mr, nb, ways)       \
	do {                                                   \
		const int nv = (nb)*2;                         \
		int16x8_t xv[8];                               \
                                                               \
		TILE_UNROLL                                    \
		for (int i = 0; i < (mr); i++)                 \
			xv[i] = vld1q_s16((x) + i * TILE_ROW); \
		STEP(0);                                       \
		STEP(1);                                       \
		STEP(2);                                       \
		STEP(3);                                       \
		STEP(4);                                       \
		STEP(5);                                       \
		STEP(6);                                       \
		STEP(7);                                       \
	} while (0)

#include "engine/kernels/conv_tile.h"

void ne_conv_s8_neon(const struct ne_conv_s8 *a)
{
	tile_conv(a);
}
