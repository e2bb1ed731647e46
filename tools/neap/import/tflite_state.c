/* SPDX-License-Identifier: MIT */
/*
 * Resource variables: what a streaming model keeps from run to run. A variable is known by its name.
 * The first READ_VARIABLE of a run makes the state's tensor, which holds what the run before left;
 * after an ASSIGN_VARIABLE the variable is the tensor that was assigned, and what it is after the
 * last operator is what the next run reads. CALL_ONCE names a subgraph that assigns constants: the
 * first values.
 */
#include "tools/neap/import/tflite_internal.h"

#include <stdlib.h>
#include <string.h>

enum { HANDLE_CONTAINER, HANDLE_NAME };
enum { CALL_SUBGRAPH };
enum { SUBGRAPH_OPERATORS = 3 };

static int find_variable(struct tflite *t, const struct tflite_node *n, const char *container,
			 const char *name)
{
	struct tflite_variable *p;

	for (uint32_t i = 0; i < t->n_variable; i++)
		if (!strcmp(t->variable[i].name, name) &&
		    !strcmp(t->variable[i].container, container))
			return (int)i;
	if (t->n_variable == NE_MAX_STATES)
		return tflite_fail(t, n, E2BIG, "more than %u variables", NE_MAX_STATES);
	p = realloc(t->variable, (t->n_variable + 1) * sizeof(*p));
	if (!p)
		return tflite_fail(t, n, ENOMEM, "no memory");
	t->variable = p;
	p += t->n_variable;
	*p = (struct tflite_variable){.in = -1, .now = -1};
	strcpy(p->name, name);
	strcpy(p->container, container);
	return (int)t->n_variable++;
}

int tflite_var_handle(struct tflite *t, const struct tflite_node *n)
{
	char container[TFLITE_NAME_MAX], name[TFLITE_NAME_MAX];
	struct tflite_tensor *y = tflite_out(t, n, 0);
	int i;

	fb_string(&n->opt, HANDLE_CONTAINER, container, sizeof(container));
	fb_string(&n->opt, HANDLE_NAME, name, sizeof(name));
	if (!y || y->resource)
		return tflite_fail(t, n, EINVAL, "its output is missing, or written twice");
	i = find_variable(t, n, container, name);
	if (i < 0)
		return i;
	y->resource = (uint32_t)i + 1;
	return 0;
}

static struct tflite_variable *variable(struct tflite *t, const struct tflite_node *n, int *ret)
{
	const struct tflite_tensor *x = tflite_in(t, n, 0);

	if (!x || !x->resource) {
		*ret = tflite_fail(t, n, EINVAL, "input 0 is no variable that VAR_HANDLE made");
		return NULL;
	}
	return &t->variable[x->resource - 1];
}

/* The tensor that holds what the run before left, as @y is declared. */
static int make_state(struct tflite *t, const struct tflite_node *n, struct tflite_variable *v,
		      const struct tflite_tensor *y)
{
	struct ne_shape shape = tflite_shape(y);
	struct ne_quant q = tflite_quant(y);
	int id;

	if (!y->shaped)
		return tflite_fail(t, n, EOPNOTSUPP, "a variable whose shape is open");
	if (y->type != TFLITE_F32 && !tflite_is_s16(y) && !(q.scale > 0))
		return tflite_fail(t, n, EOPNOTSUPP,
				   "a variable of type %d; float32, and int8, uint8 and int16 with "
				   "one scale, are supported",
				   (int)y->type);
	id = ne_graph_add_tensor(t->g, v->name[0] ? v->name : y->name, q.scale > 0 ? NE_S8 : NE_F32,
				 &shape);
	if (id < 0)
		return tflite_fail(t, n, -id, "its tensor cannot be added");
	t->g->tensor[id].quant = q;
	v->in = v->now = id;
	return 0;
}

int tflite_read_variable(struct tflite *t, const struct tflite_node *n)
{
	struct tflite_tensor *y = tflite_out(t, n, 0);
	int r = 0;
	struct tflite_variable *v = variable(t, n, &r);

	if (!v)
		return r;
	if (!y)
		return tflite_fail(t, n, EINVAL, "output 0 is missing");
	if (v->now < 0)
		NE_RETURN_IF(make_state(t, n, v, y));
	return tflite_set_out(t, n, 0, (int)v->now);
}

int tflite_assign_variable(struct tflite *t, const struct tflite_node *n)
{
	int r = 0, id = tflite_in_id(t, n, 1);
	struct tflite_variable *v = variable(t, n, &r);

	if (!v || id < 0)
		return v ? id : r;
	v->now = id;
	return 0;
}

/* ---- first values ---- */

/* Those of int16, which are f32 here. */
static int first_reals(struct tflite *t, const struct tflite_node *n, struct tflite_variable *v,
		       const struct tflite_tensor *x)
{
	struct ne_shape shape = tflite_shape(x);
	float *real;

	NE_RETURN_IF(tflite_reals(t, n, x, &real));
	v->initial = tflite_emit_const(t, n, NE_F32, &shape, real, (struct ne_quant){0});
	return v->initial < 0 ? (int)v->initial : 0;
}

/* The constant's values as the state's first, none where all are real zero. */
static int first_value(struct tflite *t, const struct tflite_node *n, struct tflite_variable *v,
		       const struct tflite_tensor *x)
{
	struct ne_quant q = tflite_quant(x);
	size_t size = tflite_type_bytes(x->type), elements = tflite_elements(x);
	uint8_t zero = q.scale > 0 ? (uint8_t)q.zero : 0, *first;
	struct ne_shape shape = tflite_shape(x);
	bool zeros = true;

	if (x->data && tflite_is_s16(x))
		return first_reals(t, n, v, x);
	if (!x->data || (x->type != TFLITE_F32 && !(q.scale > 0)))
		return tflite_fail(t, n, EOPNOTSUPP,
				   "a first value must be a constant, real or quantised");
	NE_RETURN_IF(tflite_const_alloc(t, n, elements * size, &first));
	for (size_t i = 0; i < elements * size; i++) {
		first[i] = x->type == TFLITE_U8 ? x->data[i] ^ 0x80 : x->data[i];
		zeros = zeros && first[i] == zero;
	}
	if (zeros)
		return tflite_const_drop(t, first, elements * size);
	v->initial = tflite_emit_const(t, n, q.scale > 0 ? NE_S8 : NE_F32, &shape, first, q);
	return v->initial < 0 ? (int)v->initial : 0;
}

static int first_node(struct tflite *t, const struct tflite_node *n, int32_t code)
{
	const struct tflite_tensor *x = tflite_in(t, n, 1);
	int r = 0;
	struct tflite_variable *v;

	if (code == TFLITE_VAR_HANDLE)
		return tflite_var_handle(t, n);
	if (code != TFLITE_ASSIGN_VARIABLE)
		return tflite_fail(t, n, EOPNOTSUPP,
				   "in the subgraph of CALL_ONCE: only variables are set there");
	v = variable(t, n, &r);
	if (!v)
		return r;
	return x ? first_value(t, n, v, x) : tflite_fail(t, n, EINVAL, "input 1 is missing");
}

/* The subgraph's operators, on its own tensors. */
static int first_values(struct tflite *t, const struct fb_table *subgraph)
{
	struct fb_vector v = fb_vector(subgraph, SUBGRAPH_OPERATORS, 4);

	NE_RETURN_IF(fb_failed(&t->fb, t->err));
	if (v.n > NE_MAX_NODES)
		return ne_fail(t->err, E2BIG, "%u operators, at most %u", v.n, NE_MAX_NODES);
	for (uint32_t i = 0; i < v.n; i++) {
		struct fb_table from = fb_vector_table(&v, i);
		struct tflite_node n;
		int32_t code;

		NE_RETURN_IF(tflite_node_read(t, &from, i, &n, &code));
		NE_RETURN_IF(first_node(t, &n, code));
	}
	return 0;
}

int tflite_call_once(struct tflite *t, const struct tflite_node *n)
{
	uint32_t index = fb_u32(&n->opt, CALL_SUBGRAPH, 0), outer_n = t->n_tensor;
	struct tflite_tensor *outer = t->tensor;
	struct fb_table subgraph;
	int r;

	if (index == 0 || index >= t->subgraph.n)
		return tflite_fail(t, n, EBADMSG, "no subgraph %u to call", index);
	subgraph = fb_vector_table(&t->subgraph, index);
	t->tensor = NULL;
	t->n_tensor = 0;
	r = tflite_tensors_read(t, &subgraph);
	if (r >= 0)
		r = first_values(t, &subgraph);
	tflite_tensors_free(t);
	t->tensor = outer;
	t->n_tensor = outer_n;
	return r;
}

/* After the last node: what the next run reads. */
int tflite_add_states(struct tflite *t)
{
	for (uint32_t i = 0; i < t->n_variable; i++) {
		const struct tflite_variable *v = &t->variable[i];

		if (v->in < 0)
			continue;
		if (ne_graph_add_state(t->g, (uint32_t)v->in, (uint32_t)v->now,
				       v->initial > 0 ? (uint32_t)v->initial : NE_NONE) < 0)
			return ne_fail(t->err, ENOMEM, "variable '%.80s': no memory", v->name);
	}
	return 0;
}
