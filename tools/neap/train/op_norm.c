/* SPDX-License-Identifier: MIT */
/* Batch norm, activations, sums and the loss: one pass over memory each. Owns nothing. */
#include "tools/neap/train/ops.h"
#include "engine/model/graph.h"

#include <math.h>
#include <string.h>

/* Rows summed in f32 before they are added in double: keeps the statistics exact enough. */
#define BLOCK_ROWS   128u
#define MAX_CHANNELS 256

/* Channels beyond MAX_CHANNELS are worked on in slices, so that sums live on the stack. */
struct slice {
	int32_t from, count;
};

static bool next_slice(struct slice *s, int32_t c)
{
	s->from += s->count;
	s->count = NE_MIN(c - s->from, MAX_CHANNELS);
	return s->count > 0;
}

TRAIN_CLONES
static void sum_rows(size_t rows, int32_t c, int32_t stride, const float *restrict x,
		     float *restrict sum, float *restrict sq)
{
	for (size_t r = 0; r < rows; r++, x += stride) {
		for (int32_t i = 0; i < c; i++) {
			sum[i] += x[i];
			sq[i] += x[i] * x[i];
		}
	}
}

static void stats_slice(size_t rows, int32_t c, struct slice s, const float *x, float *mean,
			float *var)
{
	double sum[MAX_CHANNELS] = {0}, sq[MAX_CHANNELS] = {0};

	x += s.from;
	for (size_t r = 0; r < rows; r += BLOCK_ROWS) {
		float bs[MAX_CHANNELS] = {0}, bq[MAX_CHANNELS] = {0};

		sum_rows(NE_MIN((size_t)BLOCK_ROWS, rows - r), s.count, c, x + r * (size_t)c, bs,
			 bq);
		for (int32_t i = 0; i < s.count; i++) {
			sum[i] += (double)bs[i];
			sq[i] += (double)bq[i];
		}
	}
	for (int32_t i = 0; i < s.count; i++) {
		double m = sum[i] / (double)rows, v = sq[i] / (double)rows - m * m;

		mean[s.from + i] = (float)m;
		var[s.from + i] = (float)(v > 0.0 ? v : 0.0);
	}
}

void op_norm_stats(size_t rows, int32_t c, const float *x, float eps, float *mean, float *var,
		   float *inv)
{
	struct slice s = {0, 0};

	while (next_slice(&s, c))
		stats_slice(rows, c, s, x, mean, var);
	for (int32_t i = 0; i < c; i++)
		inv[i] = 1.0f / sqrtf(var[i] + eps);
}

TRAIN_CLONES
static void affine_rows(size_t rows, int32_t c, int32_t stride, const float *restrict x,
			const float *restrict a, const float *restrict b, float lo, float hi,
			float *restrict y)
{
	for (size_t r = 0; r < rows; r++, x += stride, y += stride) {
		for (int32_t i = 0; i < c; i++) {
			float v = x[i] * a[i] + b[i];

			v = v < lo ? lo : v;
			y[i] = v > hi ? hi : v;
		}
	}
}

static float act_lo(int act)
{
	return act == NE_ACT_NONE ? -INFINITY : 0.0f;
}

static float act_hi(int act)
{
	return act == NE_ACT_RELU6 ? 6.0f : INFINITY;
}

void op_norm_apply(size_t rows, int32_t c, const float *x, const float *gamma, const float *beta,
		   const float *mean, const float *inv, int act, float *y)
{
	struct slice s = {0, 0};

	while (next_slice(&s, c)) {
		float a[MAX_CHANNELS], b[MAX_CHANNELS];

		for (int32_t i = 0; i < s.count; i++) {
			int32_t j = s.from + i;

			a[i] = gamma[j] * inv[j];
			b[i] = beta[j] - mean[j] * a[i];
		}
		affine_rows(rows, s.count, c, x + s.from, a, b, act_lo(act), act_hi(act),
			    y + s.from);
	}
}

TRAIN_CLONES
static void sum_gradients(size_t rows, int32_t c, int32_t stride, const float *restrict x,
			  const float *restrict y, float lo, float hi, float *restrict dy,
			  float *restrict sum, float *restrict dot)
{
	for (size_t r = 0; r < rows; r++, x += stride, y += stride, dy += stride) {
		for (int32_t i = 0; i < c; i++) {
			float g = ((y[i] > lo) & (y[i] < hi)) ? dy[i] : 0.0f;

			dy[i] = g;
			sum[i] += g;
			dot[i] += g * x[i];
		}
	}
}

/* dx = beta * dx + a * dy + b * x + k */
TRAIN_CLONES
static void gradient_rows(size_t rows, int32_t c, int32_t stride, const float *restrict x,
			  const float *restrict dy, const float *restrict a,
			  const float *restrict b, const float *restrict k, float beta,
			  float *restrict dx)
{
	for (size_t r = 0; r < rows; r++, x += stride, dy += stride, dx += stride) {
		if (beta == 0.0f) {
			for (int32_t i = 0; i < c; i++)
				dx[i] = a[i] * dy[i] + b[i] * x[i] + k[i];
		} else {
			for (int32_t i = 0; i < c; i++)
				dx[i] += a[i] * dy[i] + b[i] * x[i] + k[i];
		}
	}
}

void op_norm_backward(size_t rows, int32_t c, const float *x, const float *gamma, const float *mean,
		      const float *inv, int act, const float *y, float *dy, float *dx, float beta,
		      float *dgamma, float *dbeta, float *sums)
{
	struct slice s = {0, 0};

	while (next_slice(&s, c)) {
		float *a = sums, *b = sums + c, *k = sums + 2 * (size_t)c;
		double sum[MAX_CHANNELS] = {0}, dot[MAX_CHANNELS] = {0};

		for (size_t r = 0; r < rows; r += BLOCK_ROWS) {
			float bs[MAX_CHANNELS] = {0}, bd[MAX_CHANNELS] = {0};
			size_t at = r * (size_t)c + (size_t)s.from;

			sum_gradients(NE_MIN((size_t)BLOCK_ROWS, rows - r), s.count, c, x + at,
				      y + at, act_lo(act), act_hi(act), dy + at, bs, bd);
			for (int32_t i = 0; i < s.count; i++) {
				sum[i] += (double)bs[i];
				dot[i] += (double)bd[i];
			}
		}
		for (int32_t i = 0; i < s.count; i++) {
			int32_t j = s.from + i;
			/* of dy * xhat, from the sum of dy * x */
			double hat = (dot[i] - (double)mean[j] * sum[i]) * (double)inv[j];
			double scale = (double)gamma[j] * (double)inv[j], m = (double)rows;

			dgamma[j] += (float)hat;
			dbeta[j] += (float)sum[i];
			a[i] = (float)scale;
			b[i] = (float)(-scale * (double)inv[j] * hat / m);
			k[i] = (float)(-scale * (sum[i] - (double)mean[j] * (double)inv[j] * hat) /
				       m);
		}
		gradient_rows(rows, s.count, c, x + s.from, dy + s.from, a, b, k, beta,
			      dx + s.from);
	}
}

void op_bias_forward(size_t rows, int32_t c, const float *bias, float *y)
{
	for (size_t r = 0; r < rows; r++, y += c)
		for (int32_t i = 0; i < c; i++)
			y[i] += bias[i];
}

void op_bias_backward(size_t rows, int32_t c, const float *dy, float *dbias)
{
	for (size_t r = 0; r < rows; r++, dy += c)
		for (int32_t i = 0; i < c; i++)
			dbias[i] += dy[i];
}

TRAIN_CLONES
void op_act_forward(int act, size_t count, float *y)
{
	float hi = act_hi(act);

	if (act == NE_ACT_NONE)
		return;
	for (size_t i = 0; i < count; i++) {
		float v = y[i] < 0.0f ? 0.0f : y[i];

		y[i] = v > hi ? hi : v;
	}
}

TRAIN_CLONES
void op_act_backward(int act, size_t count, const float *y, float *dy)
{
	float hi = act_hi(act);

	if (act == NE_ACT_NONE)
		return;
	for (size_t i = 0; i < count; i++)
		dy[i] = ((y[i] > 0.0f) & (y[i] < hi)) ? dy[i] : 0.0f;
}

TRAIN_CLONES
void op_add_forward(size_t count, const float *a, const float *b, int act, float *y)
{
	float lo = act_lo(act), hi = act_hi(act);

	for (size_t i = 0; i < count; i++) {
		float v = a[i] + b[i];

		v = v < lo ? lo : v;
		y[i] = v > hi ? hi : v;
	}
}

TRAIN_CLONES
void op_accumulate(size_t count, const float *x, float beta, float *y)
{
	if (beta == 0.0f) {
		memcpy(y, x, count * sizeof(*y));
		return;
	}
	for (size_t i = 0; i < count; i++)
		y[i] = beta * y[i] + x[i];
}

void op_softmax(int32_t n, int32_t c, const float *logits, float temperature, float *p)
{
	for (int32_t r = 0; r < n; r++, logits += c, p += c) {
		float top = logits[0], sum = 0.0f;

		for (int32_t i = 1; i < c; i++)
			top = NE_MAX(top, logits[i]);
		for (int32_t i = 0; i < c; i++) {
			p[i] = expf((logits[i] - top) / temperature);
			sum += p[i];
		}
		for (int32_t i = 0; i < c; i++)
			p[i] /= sum;
	}
}

float op_cross_entropy(int32_t n, int32_t c, const float *logits, const float *target,
		       float temperature, float weight, float *dlogits)
{
	/* d/dlogits is (p - target) / T; T^2 keeps gradients of one size for every temperature. */
	float scale = weight * temperature / (float)n;
	double loss = 0.0;

	op_softmax(n, c, logits, temperature, dlogits);
	for (size_t i = 0; i < (size_t)n * (size_t)c; i++) {
		loss -= (double)target[i] * log((double)NE_MAX(dlogits[i], 1e-12f));
		dlogits[i] = (dlogits[i] - target[i]) * scale;
	}
	return (float)(loss / n);
}
