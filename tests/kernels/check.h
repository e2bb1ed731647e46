/* SPDX-License-Identifier: MIT */
/*
 * The kernel checker: what its files share.
 *
 * Each test draws random shapes, strides and values, works out the result straight from the words
 * of engine/kernels/table.h, runs the kernel, and compares the whole of the output's memory.
 * Buffers lie between pages that cannot be touched, flush with one of them.
 *
 * Ownership: buffers are slots that live as long as the program; check_reset() hands them out anew.
 */
#ifndef CHECK_H
#define CHECK_H

#include "engine/kernels/table.h"

struct check {
	const struct ne_kernels *k; /* the table under test */
	uint64_t rng;
	bool bench;    /* buffers lie amid their slots: guard pages slow masked accesses down */
	char why[512]; /* what differed, set by a test that fails */
};

struct check_test {
	const char *name;
	size_t slot;                  /* offset of the kernel's pointer in struct ne_kernels */
	bool (*run)(struct check *c); /* one random case */
	void (*bench)(struct check *c);
	unsigned cases; /* random cases of a run */
};

extern const struct check_test check_conv_s8, check_conv_f32, check_dw_s8, check_dw_f32,
	check_maxpool_s8, check_maxpool_f32, check_avgpool_s8, check_avgpool_f32, check_add_s8,
	check_add_f32, check_mul_f32, check_clamp_f32, check_hardswish_f32, check_lut_s8,
	check_quantise_s8, check_dequantise_s8, check_mel_f32, check_conv_image_s8,
	check_dw_image_s8, check_interleave_8, check_conv_lines_f32, check_dw_lines_f32,
	check_dense_s8, check_sums_s8, check_rans32, check_conv_quads_s8, check_dw_square_s8,
	check_conv_winograd_s8;

/* Tests names and tables of instruction sets; prints its lines and adds to the counts. */
void check_cpu(unsigned *passed, unsigned *failed);

/* Random numbers: equal seeds give equal numbers everywhere. */
uint64_t check_random(struct check *c);
uint32_t check_range(struct check *c, uint32_t lo, uint32_t hi); /* lo..hi, both included */
bool check_one_in(struct check *c, uint32_t n);
float check_float(struct check *c, float lo, float hi);

/* Values for s8 tensors: even over all of s8, or all at one or the other end. */
void check_fill_s8(struct check *c, int8_t *p, size_t n);
void check_fill_f32(struct check *c, float *p, size_t n, float max);

/* A channel or pixel count that meets the edges of tiles: small, near multiples of 8, or up to
 * @most. */
uint32_t check_count(struct check *c, uint32_t most);

/* All buffers may be handed out anew. */
void check_reset(void);
/* @bytes flush with the page behind or, by chance, with the one before. @align of the type. */
void *check_input(struct check *c, size_t bytes, size_t align);
/* Two buffers alike, filled with the same noise: *ret for the kernel, *ret_want for the model. */
void check_output(struct check *c, size_t bytes, size_t align, void *ret, void *ret_want);
/* False, with the reason in c->why, where any byte of the last pair differs, gaps and margins
 * included. @stride (elements of @size bytes) only serves the message. */
bool check_same(struct check *c, size_t size, size_t stride, const char *shape);
/* Every value of @got within @bound[i] of @want; then those are made equal for check_same(). */
bool check_near(struct check *c, float *got, const float *want, const double *bound, size_t n,
		const char *shape);

/* The requantisation as table.h words it, in long arithmetic. */
int8_t check_requantise(float product, int32_t zp, int32_t lo, int32_t hi);
/* Draws zp and lo <= hi, often at the ends. */
void check_draw_output(struct check *c, int32_t *zp, int32_t *lo, int32_t *hi);
/* Factors that bring sums of about @size into s8; now and then huge, tiny, negative or zero. */
void check_draw_mult(struct check *c, float *mult, size_t n, double size);
/* Offsets of taps into @pixels rows of @stride; padding, where allowed, is -1. At least one tap of
 * a pixel is none. */
void check_draw_ind(struct check *c, int32_t *ind, uint32_t n_pix, uint32_t taps, uint32_t pixels,
		    uint32_t stride, bool padding);

/* Times call(arg) and prints ns and, where @macs > 0, MAC/ns, else bytes or elements per ns. */
void check_time(struct check *c, const char *label, double work, const char *unit,
		void (*call)(const void *arg), const void *arg);

#endif
