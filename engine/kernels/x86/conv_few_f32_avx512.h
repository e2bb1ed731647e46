/* SPDX-License-Identifier: MIT */
/*
 * Convolution along lines of pixels, f32, AVX-512, to at most 8 output channels, which would fill
 * but half a vector: a step takes two inputs, and lane 2 o + i sums up what input i gives to output
 * channel o. Two inputs are one broadcast of eight bytes; their weights are put together once for
 * all pixels of a tile. First layers are like this. Included after conv_lines_f32.h.
 */
#define FEW_OC 8u
#define FEW_MR 16

/* Two inputs that lie side by side, in all pairs of lanes. */
static inline __m512 few_load(const float *p)
{
	return _mm512_castsi512_ps(_mm512_set1_epi64((int64_t)load_8(p)));
}

/* Their weights. */
static inline __m512 few_weights(const float *w)
{
	const __m512i index =
		_mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);

	return _mm512_permutex2var_ps(_mm512_load_ps(w), index, _mm512_load_ps(w + LANES));
}

/* @steps inputs that lie side by side, at least two, and so do their weights. */
TILE_INLINE void few_steps(__m512 *acc, const float *from, size_t xs, const float *w,
			   uint32_t steps, const int mr)
{
	const float *x[FEW_MR / 3 + 1];
	__m512 wv;

	TILE_UNROLL
	for (int i = 0; i < (mr + 2) / 3; i++)
		x[i] = from + (size_t)(3 * i) * xs;
	for (; steps >= 2; steps -= 2) {
		wv = few_weights(w);
		TILE_UNROLL
		for (int i = 0; i < mr; i++)
			acc[i] = vec_fma(few_load(x[i / 3] + i % 3 * xs), wv, acc[i]);
		TILE_UNROLL
		for (int i = 0; i < (mr + 2) / 3; i++)
			x[i] += 2;
		w += 2 * LANES;
	}
	if (!steps)
		return;
	/* the last one, beside the one before, whose lanes stay as they are */
	wv = few_weights(w - LANES);
	TILE_UNROLL
	for (int i = 0; i < mr; i++)
		acc[i] = _mm512_mask3_fmadd_ps(few_load(x[i / 3] + i % 3 * xs - 1), wv, acc[i],
					       0xaaaa);
}

/* Sums of pairs of lanes, scale and bias, slope and limits of two pixels: 8 channels of each. */
TILE_INLINE __m512 few_finish(const struct ne_conv_lines_f32 *a, __m512 p, __m512 q)
{
	const __m512i even =
		_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
	const __m512 bias = _mm512_broadcast_f32x8(_mm256_load_ps(a->bias));
	__m512 v = _mm512_add_ps(_mm512_permutex2var_ps(p, even, q),
				 _mm512_permutex2var_ps(p, odd, q));

	if (a->scale)
		v = vec_fma(v, _mm512_broadcast_f32x8(_mm256_load_ps(a->scale)), bias);
	else
		v = _mm512_add_ps(v, bias);
	if (a->slope > 0)
		v = _mm512_max_ps(v, _mm512_mul_ps(v, vec_set1(&a->slope)));
	return _mm512_min_ps(_mm512_max_ps(v, vec_set1(&a->lo)), vec_set1(&a->hi));
}

TILE_INLINE void few_tile(const struct ne_conv_lines_f32 *a, const struct lines_runs *runs,
			  const float *x, size_t xs, float *y, size_t ys, const int mr)
{
	const uint32_t mask = 0xffu >> (FEW_OC - a->oc);
	const bool dense = a->oc == FEW_OC && ys == FEW_OC;
	__m512 acc[FEW_MR];

	TILE_UNROLL
	for (int i = 0; i < mr; i++)
		acc[i] = vec_zero();
	for (uint32_t r = 0; r < runs->n; r++)
		few_steps(acc, x + runs->x[r], xs, a->w + runs->w[r], runs->steps, mr);
	TILE_UNROLL
	for (int i = 0; i < mr; i += 2, y += 2 * ys) {
		const bool both = i + 1 < mr;
		const __m512 v = few_finish(a, acc[i], acc[both ? i + 1 : i]);

		if (dense && both) {
			_mm512_storeu_ps(y, v);
			continue;
		}
		_mm512_mask_storeu_ps(y, (__mmask16)mask, v);
		if (both)
			_mm512_mask_storeu_ps(y + ys - FEW_OC, (__mmask16)(mask << FEW_OC), v);
	}
}

typedef void few_tile_fn(const struct ne_conv_lines_f32 *a, const struct lines_runs *runs,
			 const float *x, size_t xs, float *y, size_t ys);

#define TILE(mr, unused)                                                                          \
	TILE_NO_SPILL TILE_PLAIN static void few_##mr(                                            \
		const struct ne_conv_lines_f32 *a, const struct lines_runs *runs, const float *x, \
		size_t xs, float *y, size_t ys)                                                   \
	{                                                                                         \
		few_tile(a, runs, x, xs, y, ys, mr);                                              \
	}
TILES_16(1)
#undef TILE
#define TILE(mr, unused) [(mr)-1] = few_##mr,
static few_tile_fn *const few_table[FEW_MR] = {TILES_16(1)};
#undef TILE

static void few_line(const void *args, const struct line_f32 *l)
{
	const struct ne_conv_lines_f32 *a = args;
	struct lines_runs runs;
	const float *x = l->x;
	float *y = l->y;
	uint32_t n = l->n;

	lines_find_runs(a, l, &runs);
	for (uint32_t t = (n + FEW_MR - 1) / FEW_MR; t; t--) {
		const uint32_t mr = (n + t - 1) / t;

		few_table[mr - 1](a, &runs, x, l->x_step, y, l->y_step);
		x += mr * l->x_step;
		y += mr * l->y_step;
		n -= mr;
	}
}

/* Every line's runs have two inputs at least: a line has whole taps. */
static bool few_takes(const struct ne_conv_lines_f32 *a)
{
	return a->oc <= FEW_OC && a->ic > 1;
}

static void few_conv(const struct ne_conv_lines_f32 *a)
{
	lines_run(&a->im, a->ic, a->x, a->y, a->y_stride, a->first, a->n, few_line, a);
}
