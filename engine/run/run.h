/* SPDX-License-Identifier: MIT */
/*
 * Running a model.
 *
 *   ne_program   a model made ready for this CPU: weights packed once for all levels, one plan a
 *                level (shapes, arena offsets, kernel pointers). Immutable once built: any number
 *                of threads may run it at the same time.
 *   ne_context   what one run at a time needs: an arena large enough for every level.
 *   ne_state     what a model that keeps values from run to run keeps of one stream of inputs.
 *
 * ne_run() allocates nothing, opens nothing and takes no lock. Choosing another level is an index.
 */
#ifndef NE_RUN_H
#define NE_RUN_H

#include "engine/model/model.h"

struct ne_program;
struct ne_context;
struct ne_state;

struct ne_program_options {
	/* "c", "sse41", "avx2", "avxvnni", "avx512vnni", "amx", "neon", "dotprod" lower the choice; NULL =
	 * NEAP_CPU from the environment, else the best that this CPU has. */
	const char *cpu;
};

/* Builds the plans of all levels. @m may be freed afterwards: nothing of it is kept. */
int ne_program_new(const struct ne_model *m, const struct ne_program_options *opt,
		   struct ne_program **ret, struct ne_error *err);
void ne_program_free(struct ne_program *p);

/* One input or output, at full precision of the file: bytes = elements * size of dtype. */
struct ne_io {
	const char *name;
	enum ne_dtype dtype;
	struct ne_shape shape;
	struct ne_quant quant; /* scale 0 where the values are real or raw */
	size_t bytes;
};

uint32_t ne_program_inputs(const struct ne_program *p);
uint32_t ne_program_outputs(const struct ne_program *p);
const struct ne_io *ne_program_input(const struct ne_program *p, uint32_t i);
const struct ne_io *ne_program_output(const struct ne_program *p, uint32_t i);
uint32_t ne_program_levels(const struct ne_program *p); /* all, also those off the front */
const struct ne_level *ne_program_level(const struct ne_program *p, uint32_t level);
/* The level that (depth, width) of @level gives when left at @depth; -ENOENT if not in the file. */
int ne_program_level_at(const struct ne_program *p, uint32_t level, uint32_t depth);
size_t ne_program_packed_bytes(const struct ne_program *p);
size_t ne_program_arena_bytes(const struct ne_program *p, uint32_t level);
/* Values kept from run to run (struct ne_graph_state): how many, and the bytes of one ne_state. */
uint32_t ne_program_states(const struct ne_program *p);
size_t ne_program_state_bytes(const struct ne_program *p);
const char *ne_program_cpu(const struct ne_program *p); /* instruction set in use */

/* @threads >= 1: how many threads share one run; 1 creates none. */
int ne_context_new(const struct ne_program *p, uint32_t threads, struct ne_context **ret);
void ne_context_free(struct ne_context *c);

/*
 * One stream's state. A context has one of its own; with ne_context_set_state() later runs in it go
 * on with another stream's (@s is the caller's and must live that long; NULL = the context's own).
 * A state is for one run at a time, and for the program that it was made for; a new one, or one that
 * was reset, starts from the model's first values.
 */
int ne_state_new(const struct ne_program *p, struct ne_state **ret);
void ne_state_free(struct ne_state *s);
void ne_state_reset(struct ne_state *s);
void ne_context_set_state(struct ne_context *c, struct ne_state *s);
struct ne_state *ne_context_state(struct ne_context *c); /* the one that runs use now, or NULL */
/* Frees the context's own, for contexts that only run other streams: without one set -EINVAL. */
void ne_context_drop_state(struct ne_context *c);
/* Resets it, where there is one: the next run begins a stream. */
void ne_context_reset(struct ne_context *c);

/* What the caller wants when the run passes an exit before the level's own. */
enum ne_exit_choice {
	NE_EXIT_CONTINUE, /* go on, do not compute this head */
	NE_EXIT_LOOK,     /* compute this head, then call seen() */
	NE_EXIT_STOP,     /* compute this head and answer from it */
};

struct ne_hooks {
	void *user;
	/* The trunk up to exit @depth is done. */
	enum ne_exit_choice (*pass)(void *user, uint32_t depth);
	/* After NE_EXIT_LOOK: @top is the largest value of f32 output 0 (a probability). True = stop. */
	bool (*seen)(void *user, uint32_t depth, float top);
};

struct ne_result {
	uint32_t depth; /* exit that answered */
	float top;      /* largest value of output 0 where it is f32, else 0 */
	uint32_t top_index;
};

/*
 * For calibration: called after every step with the graph tensor that it wrote and its values
 * (active channels only, n elements of the tensor's dtype). Fused tensors are not seen.
 */
struct ne_observer {
	void *user;
	void (*tensor)(void *user, uint32_t tensor, const void *data, size_t n);
	/* For profiling: after every step with what it wrote, or NE_NONE where more steps of the
	 * same operator follow. May be NULL, like tensor. */
	void (*step)(void *user, uint32_t tensor);
};
/* The observer of later runs in @c; NULL = none. With one, every head passed is computed. */
void ne_context_observe(struct ne_context *c, const struct ne_observer *o);

/*
 * Runs @level once. @in and @out: one pointer per input and output, any alignment, at least
 * ne_io.bytes long and not overlapping; input bytes may change meanwhile (garbage in, garbage out,
 * never a bad access). @hooks may be NULL. -EINVAL for a level out of range, or a state of
 * another program.
 *
 * Where the program has states the run goes on to the level's own exit, whatever the hooks would say
 * (they are not asked), and a stream stays with its network: -ESTALE for a level of another width
 * setting than the runs before, and for one that needs values which the levels of the runs before did
 * not keep up (a deeper exit). ne_state_reset() starts anew. A run that fails leaves the state as it
 * was.
 */
int ne_run(const struct ne_program *p, struct ne_context *c, uint32_t level, const void *const *in,
	   void *const *out, const struct ne_hooks *hooks, struct ne_result *ret);

#endif
