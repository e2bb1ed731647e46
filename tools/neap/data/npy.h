/* SPDX-License-Identifier: MIT */
/*
 * NumPy's .npy files: one array. Versions 1 to 3, little-endian, C order.
 */
#ifndef NEAP_TOOL_NPY_H
#define NEAP_TOOL_NPY_H

#include "tools/neap/data/data.h"

#define NPY_MAX_RANK (NE_MAX_RANK + 1) /* a batch of the largest tensors */

struct npy {
	char kind;     /* 'f' float, 'i' signed, 'u' unsigned, 'b' bool */
	uint32_t size; /* bytes of an element: 1, 2, 4 or 8 */
	uint32_t rank; /* 0 = a single value */
	size_t dim[NPY_MAX_RANK];
	size_t elements, bytes;
	void *data; /* the array, owned by the struct */
	void *file; /* what data points into */
};

/* Reads @path (also .gz and .xz). What is no little-endian array of numbers in C order is refused
 * with the reason and what to do in NumPy. */
int npy_load(const char *path, struct npy *ret, struct ne_error *err);
/* The same for bytes in memory; @file is taken over on success. @path serves error texts. */
int npy_parse(const char *path, void *file, size_t bytes, struct npy *ret, struct ne_error *err);
void npy_done(struct npy *a);

/* The engine's name for the type; 0 where it has none (f64, u16, ...). */
enum ne_dtype npy_dtype(const struct npy *a);
/* "f32", "u16": for messages. */
const char *npy_type_name(const struct npy *a);
/* Element @i of an integer array; u64 values over INT64_MAX give INT64_MAX. */
int64_t npy_integer(const struct npy *a, size_t i);

/* Writes an array (version 1) by data_write_file(). */
int npy_save(const char *path, enum ne_dtype type, uint32_t rank, const size_t *dim,
	     const void *data, struct ne_error *err);

#endif
