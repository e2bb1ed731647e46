/* SPDX-License-Identifier: MIT */
/*
 * A recipe: everything that decides what `neap train` makes, read from an INI file. Every key is
 * documented in docs/recipe.md; an unknown key or a value out of range is refused with its line.
 */
#ifndef NEAP_TRAIN_RECIPE_H
#define NEAP_TRAIN_RECIPE_H

#include "engine/base.h"
#include "engine/model/graph.h"

#define RECIPE_MAX_BLOCKS 64u
#define RECIPE_MAX_WIDTHS 8u
#define RECIPE_MAX_LABELS 1000u
#define RECIPE_MAX_BYTES  ((size_t)1 << 20)

enum block_kind {
	BLOCK_CONV,      /* convolution, batch norm, ReLU */
	BLOCK_RESIDUAL,  /* two 3x3 convolutions with a shortcut around them */
	BLOCK_SEPARABLE, /* depthwise, then pointwise convolution */
	BLOCK_MAXPOOL,
	BLOCK_EXIT, /* a head: pooled to a grid, then one dense layer over it */
};

struct recipe_block {
	enum block_kind kind;
	int32_t channels;  /* of its output at full width; unused by pools and exits */
	int32_t kernel[2]; /* height, width */
	int32_t stride[2]; /* height, width */
	int32_t grid;      /* exits: cells a side that the head sees; 1 = global pool */
	bool valid;        /* no padding */
};

struct recipe_data {
	char *train, *test;           /* SPECs, variables expanded */
	char *train_text, *test_text; /* as written: what goes into the model */
	size_t validation;            /* samples of the training set held out to choose levels */
	char *licence, *attribution;
	uint32_t n_label;
	char **label; /* [n_label]; none: the data set's own names */
};

struct recipe_network {
	enum ne_dtype type;        /* of the input */
	struct ne_shape input;     /* with the batch axis of 1 */
	struct ne_quant normalise; /* real = (q - zero) * scale */
	bool has_mel;
	struct ne_mel mel;
	char *import; /* an ONNX file instead of blocks, or NULL */
	uint32_t n_block;
	struct recipe_block block[RECIPE_MAX_BLOCKS];
};

struct recipe_train {
	uint32_t epochs, batch, seed, random_widths;
	float rate, momentum, weight_decay, warmup;
	bool nesterov;
	float smoothing, temperature, label_share, exit_weight, ema;
};

struct recipe_augment {
	bool flip;
	int32_t shift; /* pixels */
	int32_t erase; /* side of the erased square, pixels */
	float erase_p;
	float mixup; /* share of batches' samples mixed with another */
	float time_shift_ms, gain_db, noise_p, noise_db, speed;
	int32_t mask_frames, mask_bins;
	char *noise_class; /* clips of this class are mixed into others; NULL = none */
};

struct recipe {
	char *path, *text;
	struct recipe_data data;
	struct recipe_network net;
	uint32_t n_width;
	float width[RECIPE_MAX_WIDTHS]; /* falling, the first is 1 */
	struct recipe_train train;
	struct recipe_augment augment;
	size_t recalibrate; /* training samples for batch norm statistics */
	size_t calibrate;   /* training samples for activation ranges */
	float percentile;
	float min_accuracy; /* levels below it are left out; 0..1 */
	uint32_t max_levels;
	float control_margin; /* accuracy that a level may lose to its control; 0: no matter */
	bool by_probability;  /* the front by the mean probability of the right class */
	float confidence;
	bool control;
};

int recipe_load(const char *path, struct recipe *ret, struct ne_error *err);
/* @text is copied; @path is only for messages and provenance. */
int recipe_parse(const char *path, const char *text, struct recipe *ret, struct ne_error *err);
void recipe_done(struct recipe *r);

#endif
