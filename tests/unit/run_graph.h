/* SPDX-License-Identifier: MIT */
/* For tests of graphs: small graphs built in a line a node, and their outputs on random inputs. */
#ifndef TEST_RUN_GRAPH_H
#define TEST_RUN_GRAPH_H

#include "engine/model/model.h"

/* Builders; each returns the id of its output tensor and fails the test where it cannot. Shapes
 * are inferred; constants are random by a fixed seed. */
struct ne_shape shape_of(uint32_t rank, const int32_t *dim);
#define SHAPE(...) \
	shape_of(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t), (int32_t[]){__VA_ARGS__})

uint32_t b_input(struct ne_graph *g, struct ne_shape s);
uint32_t b_const(struct ne_graph *g, struct ne_shape s, float lo, float hi);
uint32_t b_node(struct ne_graph *g, enum ne_op op, const struct ne_attr *attr, uint32_t n_in,
		const uint32_t *in);
#define B_NODE(g, op, attr, ...)                                                  \
	b_node(g, op, attr, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), \
	       (uint32_t[]){__VA_ARGS__})
uint32_t b_conv(struct ne_graph *g, uint32_t x, int32_t oc, int32_t k, int32_t stride, int32_t pad);
uint32_t b_dense(struct ne_graph *g, uint32_t x, int32_t o);
uint32_t b_reshape(struct ne_graph *g, uint32_t x, struct ne_shape s);
uint32_t b_transpose(struct ne_graph *g, uint32_t x, const int32_t *perm);
uint32_t b_batchnorm(struct ne_graph *g, uint32_t x);
void b_exit(struct ne_graph *g, uint32_t t);

/* A model of a copy of @g with its default level; checked. */
struct ne_model *model_of_graph(const struct ne_graph *g);

/* Runs the last level of @m on inputs drawn from @seed (f32 in -2..2); output 0, freed with
 * free(). */
float *run_random(const struct ne_model *m, unsigned seed, size_t *ret_n);
/* The same on the bytes of input 0. */
float *run_on(const struct ne_model *m, const void *in, size_t *ret_n);

/* Fails the test where an element differs by more than @tolerance times the largest magnitude. */
void assert_close(const float *a, const float *b, size_t n, float tolerance);

/* Where the reference data are: NEAP_DATA, or beside the repository. NULL: they are absent. */
const char *data_path(const char *file);

#endif
