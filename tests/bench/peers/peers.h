/* SPDX-License-Identifier: MIT */
/*
 * Other run times beside neap on the same model: what each file of this benchmark shares.
 *
 * A case is a model file and its ONNX form. An engine opens a case and then runs it as often as
 * asked, on the same input each time; opening and running are timed by the caller. An engine that
 * cannot run a case says why.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "engine/run/run.h"

struct peer_case {
	const char *name, *precision; /* "keyword", "s8" */
	const char *neap, *onnx;      /* files; onnx written by neap export --channels-first */
	const char *reference;        /* somebody else's ONNX file of the same model, or NULL */
	uint64_t macs;
	struct ne_model *model; /* of the neap file */
	uint32_t level;         /* that neap runs; the others have one level alone */
};

/* One engine at work on one case. */
struct peer_run {
	const struct peer *peer;
	void *state;
	void *in;        /* input 0, where the engine keeps it; NULL: not told */
	const void *out; /* output 0 of the last run */
	size_t out_bytes;
	enum ne_dtype out_type;
};

struct peer {
	const char *name;
	const char *(*version)(void);
	/* @threads share a run; @cpu lowers neap's choice of kernels (NULL: the best) and is of no
	 * meaning to others. @in: values of input 0 in the model file's type and layout. */
	int (*open)(const struct peer_case *c, const char *cpu, unsigned threads, const void *in,
		    struct peer_run *ret, struct ne_error *err);
	void (*run)(struct peer_run *r);
	void (*close)(struct peer_run *r);
};

extern const struct peer peer_neap, peer_onnxruntime, peer_reference, peer_xnnpack, peer_onednn;

/* Where libonnxruntime.so.1 is; called before anything else of the peer. */
void onnxruntime_library(const char *path);

/* The relu or relu6 that alone reads what node @i writes, to be computed with it, or NULL. */
const struct ne_node *peer_relu_after(const struct ne_graph *g, uint32_t i);

/* What stands for input 0 with engines that have channels last: the result of the transposition that
 * the graph begins with, or the input itself. */
uint32_t peer_input(const struct ne_graph *g);

double now_us(void);

/* Multiply-accumulates in units of 1e9 operations (two each) a second at most, on @threads at once:
 * what registers alone allow, the best of several loops. @cpu "avx2" or the best that there is. */
double peak_gops(const char *precision, const char *cpu, unsigned threads);

#endif
