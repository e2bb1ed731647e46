/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution, f32: four vectors of channels at a time, then one, the last in part.
 * Before including it a kernel's file defines
 *
 *   dw_vec, DW_LANES, DW_OP(name)          type, width, intrinsic of that width
 *   dw_load(p, n), dw_store(p, v, n)       n elements, 1..DW_LANES
 *   dw_fma(a, b, c)                        a * b + c
 */
static inline __attribute__((always_inline)) void dw_channels(const struct ne_dw_f32 *a, uint32_t c,
							      const int nv, const uint32_t n)
{
	const dw_vec lo = DW_OP(set1_ps)(a->lo), hi = DW_OP(set1_ps)(a->hi);

	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;
		const float *w = a->w + c;
		float *y = a->y + p * a->y_stride + c;
		dw_vec acc[4];

		for (int v = 0; v < nv; v++)
			acc[v] = DW_OP(setzero_ps)();
		for (uint32_t t = 0; t < a->taps; t++, w += a->w_tap_stride) {
			const float *x = ne_tap_f32(a->x, ind[t], a->pad) + c;

			for (int v = 0; v < nv; v++)
				acc[v] = dw_fma(dw_load(x + v * DW_LANES, n),
						dw_load(w + v * DW_LANES, n), acc[v]);
		}
		for (int v = 0; v < nv; v++) {
			acc[v] = dw_fma(dw_load(a->scale + c + v * DW_LANES, n), acc[v],
					dw_load(a->bias + c + v * DW_LANES, n));
			acc[v] = DW_OP(min_ps)(DW_OP(max_ps)(acc[v], lo), hi);
			dw_store(y + v * DW_LANES, acc[v], n);
		}
	}
}

static void dw_conv(const struct ne_dw_f32 *a)
{
	uint32_t c = 0;

	for (; a->c - c >= 4 * DW_LANES; c += 4 * DW_LANES)
		dw_channels(a, c, 4, DW_LANES);
	for (; a->c - c >= DW_LANES; c += DW_LANES)
		dw_channels(a, c, 1, DW_LANES);
	if (c < a->c)
		dw_channels(a, c, 1, a->c - c);
}
