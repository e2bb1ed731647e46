/* SPDX-License-Identifier: MIT */
/* ONNX models written in a few lines, for tests of the importer. Included by tests alone. */
#ifndef TEST_ONNX_WRITER_H
#define TEST_ONNX_WRITER_H

#include "tests/unit/run_graph.h"

#include "tools/neap/import/onnx.h"

#include "onnx.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARTS_MAX 32

struct writer {
	Onnx__ModelProto model;
	Onnx__GraphProto graph;
	Onnx__OperatorSetIdProto opset, *opset_list[1];
	Onnx__ValueInfoProto in, out, *in_list[1], *out_list[1];
	Onnx__TypeProto type;
	Onnx__TypeProto__Tensor tensor;
	Onnx__TensorShapeProto shape;
	Onnx__TensorShapeProto__Dimension dim[NE_MAX_RANK], *dim_list[NE_MAX_RANK];
	Onnx__NodeProto node[PARTS_MAX], *node_list[PARTS_MAX];
	Onnx__TensorProto init[PARTS_MAX], *init_list[PARTS_MAX];
	char *names[PARTS_MAX][6], text[PARTS_MAX][128];
	int64_t dims[PARTS_MAX];
	Onnx__AttributeProto attr[PARTS_MAX], *attr_list[PARTS_MAX];
	size_t n_attr;
};

/* One float input "x", one output "y". A dimension of 0 is symbolic. */
static inline void begin(struct writer *w, int opset, uint32_t rank, const int64_t *dim)
{
	memset(w, 0, sizeof(*w));
	onnx__model_proto__init(&w->model);
	onnx__graph_proto__init(&w->graph);
	onnx__operator_set_id_proto__init(&w->opset);
	onnx__value_info_proto__init(&w->in);
	onnx__value_info_proto__init(&w->out);
	onnx__type_proto__init(&w->type);
	onnx__type_proto__tensor__init(&w->tensor);
	onnx__tensor_shape_proto__init(&w->shape);
	w->opset.domain = (char *)"";
	w->opset.has_version = 1;
	w->opset.version = opset;
	w->opset_list[0] = &w->opset;
	w->model.n_opset_import = 1;
	w->model.opset_import = w->opset_list;
	w->model.graph = &w->graph;
	for (uint32_t i = 0; i < rank; i++) {
		onnx__tensor_shape_proto__dimension__init(&w->dim[i]);
		w->dim[i].value_case =
			dim[i] ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
			       : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
		if (dim[i])
			w->dim[i].dim_value = dim[i];
		else
			w->dim[i].dim_param = (char *)"N";
		w->dim_list[i] = &w->dim[i];
	}
	w->shape.n_dim = rank;
	w->shape.dim = w->dim_list;
	w->tensor.has_elem_type = 1;
	w->tensor.elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
	w->tensor.shape = &w->shape;
	w->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	w->type.tensor_type = &w->tensor;
	w->in.name = (char *)"x";
	w->in.type = &w->type;
	w->out.name = (char *)"y";
	w->in_list[0] = &w->in;
	w->out_list[0] = &w->out;
	w->graph.n_input = w->graph.n_output = 1;
	w->graph.input = w->in_list;
	w->graph.output = w->out_list;
	w->graph.node = w->node_list;
	w->graph.initializer = w->init_list;
}

/* A node of up to 5 inputs (separated by spaces; "-" = left out) and one output. */
static inline Onnx__NodeProto *node(struct writer *w, const char *op, const char *in,
				    const char *out)
{
	size_t i = w->graph.n_node++, k = 0;
	Onnx__NodeProto *n = &w->node[i];
	char *save = NULL;

	onnx__node_proto__init(n);
	strncpy(w->text[i], in, sizeof(w->text[i]) - 1);
	for (char *p = strtok_r(w->text[i], " ", &save); p; p = strtok_r(NULL, " ", &save))
		w->names[i][k++] = strcmp(p, "-") ? p : (char *)"";
	w->names[i][5] = (char *)(uintptr_t)out;
	n->op_type = (char *)(uintptr_t)op;
	n->n_input = k;
	n->input = w->names[i];
	n->n_output = 1;
	n->output = &w->names[i][5];
	w->node_list[i] = n;
	return n;
}

/* Attributes belong to the node added last. */
static inline Onnx__AttributeProto *attr(struct writer *w, const char *name)
{
	Onnx__NodeProto *n = &w->node[w->graph.n_node - 1];
	Onnx__AttributeProto *a = &w->attr[w->n_attr];

	onnx__attribute_proto__init(a);
	a->name = (char *)(uintptr_t)name;
	w->attr_list[w->n_attr] = a;
	if (n->n_attribute == 0)
		n->attribute = &w->attr_list[w->n_attr];
	n->n_attribute++;
	w->n_attr++;
	return a;
}

static inline void attr_int(struct writer *w, const char *name, int64_t v)
{
	Onnx__AttributeProto *a = attr(w, name);

	a->has_i = 1;
	a->i = v;
}

static inline void attr_ints(struct writer *w, const char *name, size_t n, int64_t *v)
{
	Onnx__AttributeProto *a = attr(w, name);

	a->n_ints = n;
	a->ints = v;
}

static inline Onnx__TensorProto *init(struct writer *w, const char *name, size_t rank, int64_t *dim)
{
	Onnx__TensorProto *t = &w->init[w->graph.n_initializer];

	onnx__tensor_proto__init(t);
	t->name = (char *)(uintptr_t)name;
	t->n_dims = rank;
	t->dims = dim;
	t->has_data_type = 1;
	t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
	w->init_list[w->graph.n_initializer++] = t;
	return t;
}

static inline void init_floats(struct writer *w, const char *name, size_t n, float *v)
{
	int64_t *dim = &w->dims[w->graph.n_initializer];
	Onnx__TensorProto *t;

	*dim = (int64_t)n;
	t = init(w, name, 1, dim);
	t->n_float_data = n;
	t->float_data = v;
}

static inline void init_ints(struct writer *w, const char *name, size_t n, int64_t *v)
{
	int64_t *dim = &w->dims[w->graph.n_initializer];
	Onnx__TensorProto *t;

	*dim = (int64_t)n;
	t = init(w, name, 1, dim);
	t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
	t->n_int64_data = n;
	t->int64_data = v;
}

static inline uint8_t *bytes_of(const struct writer *w, size_t *ret)
{
	uint8_t *p;

	*ret = onnx__model_proto__get_packed_size(&w->model);
	p = malloc(*ret + 1);
	assert_non_null(p);
	onnx__model_proto__pack(&w->model, p);
	return p;
}

static inline int import_with(const struct writer *w, const struct onnx_options *opt,
			      struct ne_model **ret, struct ne_error *err)
{
	size_t bytes;
	uint8_t *data = bytes_of(w, &bytes);
	int r = onnx_import(data, bytes, opt, ret, err);

	free(data);
	return r;
}

/* The import fails with @code and the reason holds each of @words. */
static inline void refused(const struct writer *w, int code, const char *word, const char *word2)
{
	struct ne_error err = {""};
	struct ne_model *m = NULL;
	int r = import_with(w, NULL, &m, &err);

	if (r != -code || !strstr(err.text, word) || !strstr(err.text, word2))
		fail_msg("%d, not %d: '%s' without '%s' or '%s'", r, -code, err.text, word, word2);
	assert_null(m);
}

/* The model's output on @x. */
static inline float *output_of(const struct writer *w, const float *x, size_t *ret_n)
{
	struct ne_error err = {""};
	struct ne_model *m;
	float *y;

	if (import_with(w, NULL, &m, &err) < 0)
		fail_msg("%s", err.text);
	y = run_on(m, x, ret_n);
	assert_string_equal(m->graph.tensor[m->graph.exit[0].out[0]].name, "y");
	ne_model_free(m);
	return y;
}

static inline void expect(const struct writer *w, const float *x, const float *want, size_t n)
{
	size_t got_n;
	float *y = output_of(w, x, &got_n);

	assert_int_equal(got_n, n);
	assert_close(want, y, n, 1e-6f);
	free(y);
}

#endif
