/* SPDX-License-Identifier: MIT */
/*
 * A model: a graph, its width settings with their calibration, its levels, and what people need to
 * know about it. This is the in-memory form of a .neap file (docs/container.md).
 */
#ifndef NE_MODEL_H
#define NE_MODEL_H

#include "engine/model/graph.h"

/* Batch norm folded at one width: y = scale[i] * acc + bias[i], i < n (the active channels). */
struct ne_norm {
	uint32_t n;
	float *scale, *bias; /* f32; stored as f16 or f32 */
};

/* One width setting: how many channels of each group are active, and all that depends on it. */
struct ne_width {
	int32_t *active; /* [n_group + 1]; entry 0 unused; multiple of 8 where the group > 8 */
	struct ne_quant *quant; /* [n_tensor] activation ranges; scale 0 where not quantised */
	struct ne_norm *norm;   /* [n_norm]; attr.norm - 1 indexes it */
};

enum ne_level_flags {
	NE_LEVEL_PARETO = 1 << 0, /* on the measured front: the governor may choose it */
};

/*
 * Levels on the front come first, by rising MACs: level 0 is the cheapest. Points off the front
 * follow: they are only reached by leaving a deeper level early.
 */
struct ne_level {
	uint32_t depth; /* index of the exit */
	uint32_t width; /* index of the width setting */
	uint32_t flags;
	uint64_t macs;    /* multiply-accumulates of one inference */
	float accuracy;   /* 0..1 on the data set that the provenance names; < 0 = not measured */
	float latency_us; /* measured where the file was made (one thread); 0 = not measured */
	float energy_uj;  /* per inference; 0 = not known */
	float control_accuracy; /* the same shape trained alone with equal epochs; < 0 = not measured */
	float f32_accuracy;     /* before quantisation; < 0 = not measured */
};

/* A provenance or preprocessing entry. Keys are lower_snake_case, values UTF-8. */
struct ne_note {
	char *key, *value;
};

struct ne_model {
	struct ne_graph graph;
	uint32_t n_width, n_norm, n_level, n_label, n_note;
	struct ne_width *width;
	struct ne_level *level;
	char **label;
	struct ne_note *note;
	float confidence; /* default threshold of early exits, 0..1; 0 = never leave for confidence */
};

#define NE_MAX_WIDTHS 64u
#define NE_MAX_LEVELS 256u
#define NE_MAX_NORMS  32768u
#define NE_MAX_LABELS 65536u
#define NE_MAX_NOTES  256u

struct ne_model *ne_model_new(void);
void ne_model_free(struct ne_model *m);

/* Sets (replaces) or reads a note; get returns NULL where it is absent. */
int ne_model_set_note(struct ne_model *m, const char *key, const char *value);
const char *ne_model_get_note(const struct ne_model *m, const char *key);

/* Gives a model without widths or levels its single full width, quantised as the tensors say
 * (ne_tensor.quant), and one level per exit. */
int ne_model_add_default_levels(struct ne_model *m, struct ne_error *err);

/* ne_graph_check() plus widths, norms, levels and quantisation. Every loader calls it. */
int ne_model_check(const struct ne_model *m, struct ne_error *err);

/* Multiply-accumulates (convolutions and dense) of one inference at depth and width setting;
 * UINT64_MAX where there is no memory to count them, so that no limit lets the level pass. */
uint64_t ne_model_macs(const struct ne_model *m, uint32_t depth, uint32_t width);
/* Of one node at that width. */
uint64_t ne_model_node_macs(const struct ne_model *m, const struct ne_node *n, uint32_t width);

/* Active channels of a tensor's last axis at a width setting. */
int32_t ne_model_channels(const struct ne_model *m, uint32_t width, uint32_t tensor);

#endif
