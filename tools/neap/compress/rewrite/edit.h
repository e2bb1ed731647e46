/* SPDX-License-Identifier: MIT */
/*
 * Editing a graph in one pass: who writes a tensor and how often it is read, kept up to date by
 * the functions below. Nodes may be added in any order; the driver compacts (sorts and drops what
 * nothing needs) after each pass. Adding a node moves the node array: hold indices, not pointers.
 */
#ifndef NEAP_REWRITE_EDIT_H
#define NEAP_REWRITE_EDIT_H

#include "engine/model/graph.h"

struct edit {
	struct ne_graph *g;
	uint32_t cap;       /* entries allocated below */
	uint32_t *producer; /* [n_tensor] index of the node that writes it, or NE_NONE */
	uint32_t *uses;     /* [n_tensor] reads by nodes, exits and states */
	struct ne_error *err;
};

int edit_init(struct edit *e, struct ne_graph *g, struct ne_error *err);
void edit_done(struct edit *e);

/* Index of the node of operator @op that writes @t, or NE_NONE. */
uint32_t edit_writer(const struct edit *e, uint32_t t, enum ne_op op);
bool edit_is_const(const struct edit *e, uint32_t t);
bool edit_is_exit(const struct edit *e, uint32_t t);
bool edit_is_input(const struct edit *e, uint32_t t);

/* Each returns an id or a negative errno. @data is taken over. A new tensor has the type and the
 * quantisation of the one that it is named after; a new constant is f32. */
int edit_add_tensor(struct edit *e, uint32_t named_after, const struct ne_shape *shape);
int edit_add_const(struct edit *e, uint32_t named_after, const struct ne_shape *shape, float *data);
/* A constant like @t, of its type, shape and scales, with other values. */
int edit_copy_const(struct edit *e, uint32_t t, void *data);
/* Adds a node that writes @out, which loses its former writer. */
int edit_add_node(struct edit *e, enum ne_op op, uint32_t in, uint32_t out,
		  const struct ne_attr *attr);

void edit_set_input(struct edit *e, uint32_t node, uint32_t k, uint32_t t);
void edit_set_output(struct edit *e, uint32_t node, uint32_t t);
/* Replaces (or adds) input @k of a node that has at least @k inputs. */
int edit_put_input(struct edit *e, uint32_t node, uint32_t k, uint32_t t);

/* Everybody who read @from reads @to. False, and nothing done, where an exit would then be a graph
 * input, a constant or another exit's tensor. An exit's name stays. */
bool edit_replace(struct edit *e, uint32_t from, uint32_t to);

/* Convolution, depthwise or dense. */
bool edit_has_weights(enum ne_op op);
/* One input, element by element, shape kept. */
bool edit_is_unary(enum ne_op op);
/* Of one type, and integers of one quantisation. */
bool edit_same_values(const struct edit *e, uint32_t a, uint32_t b);
bool edit_same_shape(const struct ne_shape *a, const struct ne_shape *b);

/* y = s[oc] * y + b[oc] folded into the weights and bias of node @node (no activation, no norm);
 * either may be NULL. */
int edit_scale_weights(struct edit *e, uint32_t node, const float *s, const float *b);

#endif
