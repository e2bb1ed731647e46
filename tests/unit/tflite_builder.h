/* SPDX-License-Identifier: MIT */
/*
 * Makes TFLite files for tests: a writer of flatbuffers that puts what refers to something before
 * it, and on it a description of a model as plain arrays.
 */
#ifndef NEAP_TEST_TFLITE_BUILDER_H
#define NEAP_TEST_TFLITE_BUILDER_H

#include <stddef.h>
#include <stdint.h>

/* ---- flatbuffers ---- */

struct fbw {
	uint8_t *data; /* owned */
	size_t n;
};

/* Starts a file with @identifier; the root table, of @fields fields, is returned. */
size_t fbw_begin(struct fbw *b, const char *identifier, uint32_t fields);
void fbw_free(struct fbw *b);
/* Sets field @i of @table. */
void fbw_u8(struct fbw *b, size_t table, uint32_t i, uint8_t v);
void fbw_u32(struct fbw *b, size_t table, uint32_t i, uint32_t v);
void fbw_f32(struct fbw *b, size_t table, uint32_t i, float v);
/* Field @i of @table becomes a table of @fields fields, which is returned. */
size_t fbw_table(struct fbw *b, size_t table, uint32_t i, uint32_t fields);
/* Field @i becomes a vector of @n elements of @size bytes, copied from @v (zeros where NULL); its
 * first element's place is returned. */
size_t fbw_vector(struct fbw *b, size_t table, uint32_t i, const void *v, size_t n, size_t size);
void fbw_string(struct fbw *b, size_t table, uint32_t i, const char *text);
/* Element @k of the vector of references whose first stands at @first becomes a table. */
size_t fbw_element(struct fbw *b, size_t first, uint32_t k, uint32_t fields);

/* ---- TFLite ---- */

#define TB_MAX 24

struct tb_tensor {
	const char *name;
	int type; /* TensorType */
	int rank;
	int32_t dim[6];
	const void *data; /* constants */
	size_t bytes;
	int n_scale;
	const float *scale; /* NULL: one, scale0 */
	float scale0;
	int64_t zero; /* of all scales */
	int axis;
};

/* A field of an operator's options: @size 1 or 4 bytes, the value's bits. */
struct tb_option {
	uint8_t field, size;
	int32_t value;
	const char *text; /* a string in place of a number */
};

struct tb_op {
	int code;
	int n_in, n_out;
	int32_t in[TB_MAX], out[TB_MAX];
	int n_option;
	struct tb_option option[8];
};

struct tb_subgraph {
	int n_tensor, n_op, n_in, n_out;
	const struct tb_tensor *tensor;
	const struct tb_op *op;
	int32_t in[TB_MAX], out[TB_MAX];
};

/* The file, freed by fbw_free(). */
struct fbw tb_build(const struct tb_subgraph *subgraph, int n_subgraph);

#define TB_SIZE(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* A model that has most of what a file may hold: int8, a constant with a scale per channel, a
 * convolution, a reshape, a fully connected layer, a softmax. For damage and fuzzing. */
struct fbw tb_sample(void);
/* uint8 throughout, with weights that have a zero point. */
struct fbw tb_sample_u8(void);
/* int16 input, transposed convolution, interpolation, SVDF with its state. */
struct fbw tb_sample_audio(void);

#endif
