/* SPDX-License-Identifier: MIT */
/*
 * Labelled data sets for training, calibration and evaluation.
 *
 * SPEC is one of
 *   idx:IMAGES,LABELS      MNIST's format, u8; [N,H,W] becomes samples of [H,W,1]
 *   npy:X.npy,Y.npy        X [N,...] of f32, u8, s8 or s16; Y [N] of any integer type
 *   audio:TAR_OR_DIR,CSV   files read by libsndfile to s16 mono 16 kHz, one second (zero-padded or
 *                          cut); CSV columns by header: file, class, speaker (others ignored)
 *   fashion-mnist:train, fashion-mnist:test   Debian's dataset-fashion-mnist
 * Paths may end in .xz or .gz. An audio SPEC may end in ",split=train" or ",split=test": speakers
 * are split by a hash, about 1 in 5 to test, so no speaker is in both. Clips without a speaker
 * (empty or "-") are split by their file names.
 *
 * Classes of audio are numbered by name, with "silence" and "unknown" last: for the twelve keywords
 * of Speech Commands this is the order of MLPerf Tiny.
 */
#ifndef NEAP_TOOL_DATA_H
#define NEAP_TOOL_DATA_H

#include "engine/base.h"
#include "engine/model/graph.h"

struct data_set {
	size_t n;               /* samples */
	enum ne_dtype dtype;    /* of a sample's values: NE_U8, NE_S8, NE_S16 or NE_F32 */
	struct ne_shape sample; /* without the batch axis, e.g. rank 3 [28,28,1], rank 1 [16000] */
	size_t sample_bytes;
	void *x;    /* [n][sample] */
	int32_t *y; /* [n] class, 0 <= y < n_class */
	uint32_t n_class;
	char **class_name;  /* [n_class], or NULL */
	int32_t *speaker;   /* [n], dense ids from 0, -1 = the clip has none; or NULL */
	uint32_t n_speaker; /* distinct speakers; 0 where speaker is NULL */
	char *name;         /* the SPEC, for provenance */
};

/* "$NEAP_DATA" in a SPEC or path stands for that variable, by default ../shared/data, so that what a
 * file tells of its data names no machine. Freed with free(); NULL without memory. */
char *data_expand(const char *s);

/* The name of the set is @spec as given, its paths are data_expand()ed.
 * Errors: -EINVAL a SPEC or a content that does not fit; -EBADMSG a damaged file; -ENOENT and
 * others of open(2); -EFBIG over a limit; -ENOTSUP a library was absent when neap was built. */
int data_open(const char *spec, struct data_set *ret, struct ne_error *err);
void data_close(struct data_set *d);

static inline const void *data_sample(const struct data_set *d, size_t i)
{
	return (const char *)d->x + i * d->sample_bytes;
}

/* The largest file, after decompression, that data_open() reads. */
#define DATA_FILE_LIMIT ((size_t)2 << 30)

/* A whole file, decompressed where its name ends in .xz or .gz; freed with free(). The limit is in
 * bytes after decompression. */
int data_read_file(const char *path, size_t limit, void **ret, size_t *ret_bytes,
		   struct ne_error *err);

/* Writes @path by a temporary file in the same folder and rename: never half a file. What is there
 * and is no regular file (a pipe, /dev/stdout) is written directly. */
int data_write_file(const char *path, const void *data, size_t bytes, struct ne_error *err);

#endif
