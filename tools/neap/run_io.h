/* SPDX-License-Identifier: MIT */
/* npy files for the inputs and outputs of neap run. */
#ifndef NEAP_TOOL_RUN_IO_H
#define NEAP_TOOL_RUN_IO_H

#include "engine/run/run.h"
#include "tools/neap/data/npy.h"
#include "tools/neap/options.h"

/* Arrays and paths by the index of the model's input or output. */
struct run_io {
	struct npy in[NE_MAX_IO]; /* owned */
	const char *in_path[NE_MAX_IO], *out_path[NE_MAX_IO];
	void *out[NE_MAX_IO]; /* [samples][output], owned */
	size_t samples;
	bool batched; /* the inputs have a batch axis, so the outputs get one */
};

/* Loads and checks all inputs, assigned by "NAME=" or else in order, and makes room for the outputs
 * of all samples. On failure too, run_io_done() frees. */
int run_io_open(const struct ne_program *p, const struct option_list *inputs,
		const struct option_list *outputs, struct run_io *ret, struct ne_error *err);
void run_io_done(struct run_io *io);

/* Pointers of sample @i for ne_run(). */
void run_io_sample(const struct ne_program *p, const struct run_io *io, size_t i, const void **in,
		   void **out);

/* Writes the outputs that have a path. */
int run_io_save(const struct ne_program *p, const struct run_io *io, struct ne_error *err);

#endif
