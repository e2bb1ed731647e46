/* SPDX-License-Identifier: MIT */
/*
 * What a program is made of. Internal to the engine (engine/plan makes it, engine/run runs it).
 *
 * A plan is a flat array of steps for one level. A step is a function and its prepared arguments;
 * the addresses of activations are only known when it runs and are found by reference: a base (the
 * arena, an input of the caller, or none for constants) and an offset. Nothing here changes once
 * the program is built, so any number of threads may run it.
 *
 * Ownership: steps' arguments, tables and packed weights live in the program's pool and die with
 * it; plans own their arrays.
 */
#ifndef NE_PLAN_H
#define NE_PLAN_H

#include "engine/kernels/table.h"
#include "engine/plan/pool.h"
#include "engine/plan/tune.h"
#include "engine/run/run.h"

enum ne_base {
	NE_BASE_CONST, /* base 0: the offset is the address */
	NE_BASE_ARENA,
	NE_BASE_STATE, /* what the run before kept; only read */
	NE_BASE_NEXT,  /* what the next run will read; only written */
	NE_BASE_IN,    /* and NE_BASE_IN + i: the caller's input i */
	NE_BASES = NE_BASE_IN + NE_MAX_IO
};

struct ne_ref {
	uint32_t base;
	size_t offset; /* bytes */
};

/* What a running thread has: the run's base addresses, scratch of its own. */
struct ne_frame {
	const uintptr_t *base; /* [NE_BASES] */
	void *scratch;         /* ne_program.scratch_bytes */
};

static inline void *ne_at(const struct ne_frame *f, struct ne_ref r)
{
	return (void *)(f->base[r.base] + r.offset);
}

/*
 * A step covers `units` of work (pixels, rows, elements) that can be shared out in pieces of at
 * least `grain`; units of one step never depend on each other.
 */
struct ne_step {
	void (*run)(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n);
	const void *args;
	uint32_t units, grain;
	uint64_t cost;   /* of the whole step, about one per multiply-accumulate or byte moved */
	uint32_t tensor; /* what it wrote, for the observer; NE_NONE = an intermediate */
};

struct ne_segment {
	uint32_t first, n; /* steps */
};

/* Where a tensor is, for observers and outputs. */
struct ne_place {
	uint32_t tensor, root; /* root: the tensor whose memory it shares (reshape), or itself */
	struct ne_ref ref;
	size_t elements;
};

/* A state that the level keeps up. */
struct ne_carry {
	uint32_t state;
	struct ne_ref from;
	size_t to, bytes; /* where it goes in the next bank; 0 bytes: a step writes it there */
};

struct ne_plan {
	uint32_t depth, n_step, n_place;
	struct ne_step *step;
	struct ne_segment trunk[NE_MAX_EXITS]; /* [0..depth] */
	struct ne_segment head[NE_MAX_EXITS];  /* [0..depth - 1] */
	struct ne_ref *out;                    /* [(depth + 1) * n_out] */
	struct ne_place *place;                /* of every activation of this level */
	struct ne_carry *carry;
	uint32_t n_carry;
	int32_t *state_zero; /* [n_state] real zero in the state's values */
	size_t arena_bytes;
};

/* A state's place in a bank, at full width. */
struct ne_state_slot {
	size_t offset, bytes, size; /* of an element */
	const void *initial;        /* NULL: zero */
};

struct ne_program {
	struct ne_kernels k;
	struct ne_pool pool;
	uint32_t n_in, n_out, n_level;
	struct ne_io *in, *out;
	uint32_t *in_tensor;  /* graph's ids of the inputs */
	size_t *stage_offset; /* [n_in] where a misaligned input is copied to */
	size_t stage_bytes;
	struct ne_level *level;
	struct ne_plan *plan;        /* [n_level] */
	struct ne_state_slot *state; /* [n_state] */
	uint32_t n_state;
	size_t state_bytes;                /* of a bank */
	size_t scratch_bytes, arena_bytes; /* the largest over all levels */
};

/* Limits on what a model that passed every check may still ask for. */
#define NE_MAX_ARENA_BYTES ((size_t)1 << 30)
#define NE_MAX_STATE_BYTES ((size_t)1 << 28)
#define NE_MAX_INDIRECTION ((size_t)1 << 26) /* entries of one table: windows times taps */
#define NE_MAX_PLAN_STEPS  (1u << 20)        /* levels times nodes */

/* ---- building ---- */

/* Weights packed once, shared by all levels. */
struct ne_packed {
	const void *w; /* NULL: not packed yet */
	size_t tap_stride, block_stride, group_stride;
	const struct ne_conv_quads *quads; /* instead of w, where conv_quads_s8 is the best */
	const int16_t *winograd;           /* instead of w, for conv_winograd_s8 */
	/* They are known not to be the best; or levels need prefixes of them that will not do. */
	bool no_quads, no_winograd;
};

/*
 * Copies of weights for levels that cut a layer's input: a prefix of the channels leaves gaps between
 * the taps of a window, which costs such a level up to a fifth of its time; and quads lie across the
 * inputs, so that no prefix of theirs will do. (Of winograd's any prefix that the kernel takes will, so
 * that such levels need no copy.) A copy has the first ic of the input channels and as
 * many output channels as any level uses with them. Those are made that save most for their bytes, as
 * long as all of them together take at most NE_OWN_BYTES or an NE_OWN_SHARE'th of the weights of all
 * layers, whichever is more. What a window's gaps cost does not depend on how many inputs lie between
 * them, so that a copy saves by the byte what its layer has of pixels, divided by ic.
 */
#define NE_OWN_BYTES ((size_t)256 << 10)
#define NE_OWN_SHARE 8u
struct ne_own {
	uint32_t node, ic, oc, pixels;
	size_t bytes; /* packed */
	struct ne_packed packed;
};

/* Items with lifetimes (positions, both ends included) get offsets; returns the arena's size. */
struct ne_arena_item {
	size_t bytes, offset;
	uint32_t first, last;
};
int ne_arena_plan(struct ne_arena_item *items, uint32_t n, size_t *ret_bytes);

/* One level being built. */
struct ne_lower {
	const struct ne_model *m;
	const struct ne_graph *g;
	const struct ne_width *width;
	const struct ne_kernels *k;
	struct ne_pool *pool;
	struct ne_packed *packed; /* [n_node] */
	struct ne_own *own;       /* [n_own], by node and input channels */
	uint32_t n_own;
	size_t own_left; /* bytes that copies may still take where quads need more than their share */
	struct ne_error *err;
	const struct ne_state_slot *state; /* [n_state] */
	const struct ne_shape *shape;      /* [n_tensor] at this level */
	const struct ne_ref *ref;          /* [n_tensor] */
	struct ne_step *step;
	uint32_t n_step, step_capacity;
	size_t scratch_bytes;
	struct ne_tune tune; /* of the program */

	/* of the node at hand: where a relu or the like is fused, its output and what it does */
	uint32_t y;
	int32_t act;
	/* f32 alone: negative values times this (0 = as they are), then no less than floor */
	float slope, floor;
	/* of a s8 convolution: the addition of its result (y, kept nowhere) that is fused, or
	 * n = NULL */
	struct ne_fused_add {
		const struct ne_node *n;
		uint32_t y; /* as above, of the sum */
		int32_t act;
	} add;
};

/* Sets own, n_own and own_left, and no_quads of packed; own is freed with free(). */
int ne_own_choose(struct ne_lower *lw);
/* The copy for @ic input channels of @n, or NULL where it has none. */
struct ne_own *ne_own_of(const struct ne_lower *lw, const struct ne_node *n, uint32_t ic);

int ne_plan_build(struct ne_lower *lw, const struct ne_level *level, struct ne_plan *ret);
void ne_plan_done(struct ne_plan *p);

/* ---- for the operators' lower() ---- */

/* Appends a step that writes @tensor (or NE_NONE); @args is copied to the program. */
int ne_lower_step(struct ne_lower *lw,
		  void (*run)(const struct ne_step *, const struct ne_frame *, uint32_t, uint32_t),
		  const void *args, size_t args_bytes, size_t units, uint32_t grain, uint64_t cost,
		  uint32_t tensor);
/* A table shared with every step that has an equal one. NULL without memory. */
const void *ne_lower_table(struct ne_lower *lw, const void *data, size_t bytes);
void ne_lower_scratch(struct ne_lower *lw, size_t bytes);
int ne_lower_no_memory(struct ne_lower *lw, const struct ne_node *n);

/* How a tensor's s8 (or u8, s16) values stand for real ones at this level. */
struct ne_quant ne_lower_quant(const struct ne_lower *lw, uint32_t tensor);
bool ne_quant_equal(struct ne_quant a, struct ne_quant b);

/* The factors and limits of the s8 addition @n to tensor @y with activation @act. */
void ne_lower_add_s8(const struct ne_lower *lw, const struct ne_node *n, uint32_t y, int32_t act,
		     struct ne_add_s8 *ret);

/* Limits of the activation @act in f32, and in s8 of quantisation @q. */
void ne_act_limits_f32(int32_t act, float *lo, float *hi);
void ne_act_limits_s8(int32_t act, struct ne_quant q, int32_t *lo, int32_t *hi);

/* Divide in f32, round half to even, add the zero point, clamp: the rule of every quantised value. */
int8_t ne_quantise_real(double real, struct ne_quant q, int32_t lo, int32_t hi);

/* y = table[x]: @n bytes from @x to @y. */
int ne_lower_lut(struct ne_lower *lw, struct ne_ref x, struct ne_ref y, size_t n,
		 const int8_t table[256], uint32_t tensor);
/* A table from one s8 quantisation to another. */
void ne_rescale_table(int8_t table[256], struct ne_quant from, struct ne_quant to);

/* Windows over an image as an indirection table (kernels/table.h), shared where equal. */
struct ne_windows {
	struct ne_image_size {
		int32_t h, w, c; /* of the input; c: elements from pixel to pixel */
	} x;
	int32_t oh, ow;
	struct ne_window win;
};
int ne_lower_windows(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
		     const int32_t **ret_ind);
/* The table of @n rows @stride elements apart, one tap each. */
int ne_lower_rows(struct ne_lower *lw, const struct ne_node *n, size_t rows, size_t stride,
		  const int32_t **ret_ind);

/* Scale and bias per output channel, padded with zeros to @padded; see channels.c. */
struct ne_channels_s8 {
	const int32_t *bias;
	const float *mult;
};
/* @sum and @magnitude: per channel, sum of the active weights and of their absolute values. */
int ne_lower_channels_s8(struct ne_lower *lw, const struct ne_node *n, uint32_t oc,
			 const int64_t *sum, const int64_t *magnitude, int32_t shift,
			 uint32_t group_oc, uint32_t group_padded, struct ne_channels_s8 *ret);
struct ne_channels_f32 {
	const float *scale, *bias;
	bool unscaled; /* every scale is 1 */
};
int ne_lower_channels_f32(struct ne_lower *lw, const struct ne_node *n, uint32_t oc,
			  uint32_t group_oc, uint32_t group_padded, struct ne_channels_f32 *ret);

#endif
