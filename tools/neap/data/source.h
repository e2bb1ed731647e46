/* SPDX-License-Identifier: MIT */
/*
 * What the kinds of data set share. A kind is one file with a `struct data_source` and a line in
 * the table of data.c.
 */
#ifndef NEAP_TOOL_DATA_SOURCE_H
#define NEAP_TOOL_DATA_SOURCE_H

#include "tools/neap/data/data.h"

struct data_source {
	const char *kind;  /* before the colon */
	const char *usage; /* the whole SPEC, for error texts */
	/* Fills all of @ret but the name. @args is what follows the colon. On failure what was
	 * filled is freed by the caller with data_close(). */
	int (*open)(const char *args, struct data_set *ret, struct ne_error *err);
};

extern const struct data_source data_source_idx, data_source_npy, data_source_audio,
	data_source_fashion;

#define DATA_MAX_CLASSES 65536 /* as NE_MAX_LABELS */

/* Splits "A,B" into two allocated strings. @usage is told on failure. */
int data_split_pair(const char *args, const char *usage, char **ret_a, char **ret_b,
		    struct ne_error *err);

/* Sets sample_bytes from the shape and type; refuses empty sets and overflow. */
int data_set_layout(struct data_set *d, struct ne_error *err);

/* Reads idx images and labels; shared by idx and fashion-mnist. */
int data_open_idx(const char *images, const char *labels, struct data_set *ret,
		  struct ne_error *err);

#endif
