/* SPDX-License-Identifier: MIT */
/* Building the protobuf messages of an ONNX model. */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IR_VERSION 8 /* ONNX 1.10 to 1.12: the oldest that all readers of opset 13 take */

struct block {
	struct block *next;
	_Alignas(16) unsigned char data[];
};

int x_fail(struct exporter *x, int code, const char *fmt, ...)
{
	char text[sizeof(x->err->text)];
	va_list ap;

	if (x->failed)
		return x->failed;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	x->failed = x->node ? ne_node_fail(x->err, code, x->node, "%s", text)
			    : ne_fail(x->err, code, "%s", text);
	return x->failed;
}

void *x_alloc(struct exporter *x, size_t bytes)
{
	struct block *b = calloc(1, sizeof(*b) + (bytes ? bytes : 1));

	if (!b) {
		x_fail(x, ENOMEM, "out of memory");
		return NULL;
	}
	b->next = x->blocks;
	x->blocks = b;
	return b->data;
}

void x_free_blocks(struct exporter *x)
{
	while (x->blocks) {
		struct block *next = x->blocks->next;

		free(x->blocks);
		x->blocks = next;
	}
}

const char *x_name(struct exporter *x, const char *base, const char *suffix)
{
	char text[320];
	char *name;

	/* '/' and a number: no tensor of the model that keeps its name has such an end by chance */
	snprintf(text, sizeof(text), "%.200s%s/%u", base ? base : "", suffix, x->n_name++);
	name = x_alloc(x, strlen(text) + 1);
	if (name)
		memcpy(name, text, strlen(text) + 1);
	return name;
}

/* Makes room for one more pointer in an array that lives in blocks. */
static void *grow(struct exporter *x, void *array, size_t n, size_t *capacity)
{
	size_t more = *capacity ? 2 * *capacity : 64;
	void *bigger;

	if (n < *capacity)
		return array;
	bigger = x_alloc(x, more * sizeof(void *));
	if (!bigger)
		return NULL;
	if (n)
		memcpy(bigger, array, n * sizeof(void *));
	*capacity = more;
	return bigger;
}

int x_node_outputs(struct exporter *x, const char *op, uint32_t n_out, const char **out,
		   uint32_t n_in, const char *const *in)
{
	Onnx__NodeProto *n = x_alloc(x, sizeof(*n)), **list;
	char **names = x_alloc(x, (n_in + n_out) * sizeof(*names));

	for (uint32_t k = 0; k < n_out; k++)
		if (!out[k])
			out[k] = x_name(x, x->g->tensor[x->y].name, "");
	list = grow(x, x->graph.node, x->graph.n_node, &x->cap_node);
	if (x->failed || !n || !names || !list)
		return x->failed;
	for (uint32_t i = 0; i < n_in; i++)
		if (!in[i])
			return x_fail(x, EINVAL, "input %u of an ONNX node was not written", i);
	x->graph.node = list;
	onnx__node_proto__init(n);
	memcpy(names, in, n_in * sizeof(*names));
	memcpy(names + n_in, out, n_out * sizeof(*names));
	n->op_type = (char *)(uintptr_t)op;
	n->n_input = n_in;
	n->input = names;
	n->n_output = n_out;
	n->output = names + n_in;
	list[x->graph.n_node++] = n;
	return 0;
}

const char *x_node(struct exporter *x, const char *op, const char *out, uint32_t n_in,
		   const char *const *in)
{
	return x_node_outputs(x, op, 1, &out, n_in, in) < 0 ? NULL : out;
}

static int onnx_type(enum ne_dtype t)
{
	switch (t) {
	case NE_F32:
		return ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
	case NE_S8:
		return ONNX__TENSOR_PROTO__DATA_TYPE__INT8;
	case NE_U8:
		return ONNX__TENSOR_PROTO__DATA_TYPE__UINT8;
	case NE_S16:
		return ONNX__TENSOR_PROTO__DATA_TYPE__INT16;
	case NE_S32:
		return ONNX__TENSOR_PROTO__DATA_TYPE__INT32;
	case NE_S64:
		return ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
	case NE_BOOL:
		return ONNX__TENSOR_PROTO__DATA_TYPE__BOOL;
	default:
		return ONNX__TENSOR_PROTO__DATA_TYPE__UNDEFINED;
	}
}

#define ATTRS_MAX 8u

static Onnx__AttributeProto *attribute(struct exporter *x, const char *name, int type)
{
	Onnx__AttributeProto *a = x_alloc(x, sizeof(*a));
	Onnx__NodeProto *n;

	if (!a || x->failed || !x->graph.n_node)
		return NULL;
	n = x->graph.node[x->graph.n_node - 1];
	if (!n->attribute)
		n->attribute = x_alloc(x, ATTRS_MAX * sizeof(*n->attribute));
	if (!n->attribute || n->n_attribute == ATTRS_MAX)
		return NULL;
	onnx__attribute_proto__init(a);
	a->name = (char *)(uintptr_t)name;
	a->has_type = 1;
	a->type = (Onnx__AttributeProto__AttributeType)type;
	n->attribute[n->n_attribute++] = a;
	return a;
}

void x_attr_int(struct exporter *x, const char *name, int64_t v)
{
	Onnx__AttributeProto *a = attribute(x, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);

	if (!a)
		return;
	a->has_i = 1;
	a->i = v;
}

void x_attr_float(struct exporter *x, const char *name, float v)
{
	Onnx__AttributeProto *a = attribute(x, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);

	if (!a)
		return;
	a->has_f = 1;
	a->f = v;
}

void x_attr_ints(struct exporter *x, const char *name, uint32_t n, const int64_t *v)
{
	Onnx__AttributeProto *a = attribute(x, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
	int64_t *copy = x_alloc(x, n * sizeof(*copy));

	if (!a || !copy)
		return;
	memcpy(copy, v, n * sizeof(*copy));
	a->n_ints = n;
	a->ints = copy;
}

void x_attr_floats(struct exporter *x, const char *name, uint32_t n, const float *v)
{
	Onnx__AttributeProto *a = attribute(x, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS);
	float *copy = x_alloc(x, n * sizeof(*copy));

	if (!a || !copy)
		return;
	memcpy(copy, v, n * sizeof(*copy));
	a->n_floats = n;
	a->floats = copy;
}

static ProtobufCBinaryData text_of(const char *s)
{
	return (ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)s};
}

void x_attr_text(struct exporter *x, const char *name, const char *v)
{
	Onnx__AttributeProto *a = attribute(x, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);

	if (!a)
		return;
	a->has_s = 1;
	a->s = text_of(v);
}

void x_attr_texts(struct exporter *x, const char *name, uint32_t n, const char *const *v)
{
	Onnx__AttributeProto *a =
		attribute(x, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS);
	ProtobufCBinaryData *list = x_alloc(x, n * sizeof(*list));

	if (!a || !list)
		return;
	for (uint32_t i = 0; i < n; i++)
		list[i] = text_of(v[i]);
	a->n_strings = n;
	a->strings = list;
}

void x_attr_type(struct exporter *x, const char *name, enum ne_dtype t)
{
	x_attr_int(x, name, onnx_type(t));
}

bool x_needs_opset(struct exporter *x, int opset)
{
	if (x->opset >= opset)
		return true;
	x->opset_wanted = NE_MAX(x->opset_wanted, opset);
	x_fail(x, EAGAIN, "it is in ONNX from opset %d on", opset);
	return false;
}

const char *x_init(struct exporter *x, const char *base, enum ne_dtype type, uint32_t rank,
		   const int64_t *dim, const void *data)
{
	Onnx__TensorProto *t = x_alloc(x, sizeof(*t)), **list;
	const char *name = x_name(x, base, "");
	int64_t *dims = x_alloc(x, (rank + 1) * sizeof(*dims));
	size_t bytes = ne_dtype_size(type);
	void *copy;

	for (uint32_t i = 0; i < rank; i++)
		bytes *= (size_t)dim[i];
	copy = x_alloc(x, bytes);
	list = grow(x, x->graph.initializer, x->graph.n_initializer, &x->cap_init);
	if (!t || !name || !dims || !copy || !list)
		return NULL;
	x->graph.initializer = list;
	memcpy(copy, data, bytes);
	if (rank)
		memcpy(dims, dim, rank * sizeof(*dims));
	onnx__tensor_proto__init(t);
	t->name = (char *)(uintptr_t)name;
	t->n_dims = rank;
	t->dims = dims;
	t->has_data_type = 1;
	t->data_type = onnx_type(type);
	t->has_raw_data = 1;
	t->raw_data.data = copy;
	t->raw_data.len = bytes;
	list[x->graph.n_initializer++] = t;
	return name;
}

const char *x_init_float(struct exporter *x, const char *base, float v)
{
	return x_init(x, base, NE_F32, 0, NULL, &v);
}

const char *x_init_ints(struct exporter *x, const char *base, uint32_t n, const int64_t *v)
{
	int64_t dim = n;

	return x_init(x, base, NE_S64, 1, &dim, v);
}

/* A declared input or output and all that it points to. */
struct declaration {
	Onnx__ValueInfoProto info;
	Onnx__TypeProto type;
	Onnx__TypeProto__Tensor tensor;
	Onnx__TensorShapeProto shape;
	Onnx__TensorShapeProto__Dimension dim[NE_MAX_RANK], *dims[NE_MAX_RANK];
};

int x_declare(struct exporter *x, const char *name, enum ne_dtype type, const struct ne_shape *s,
	      const struct layout *l, bool output)
{
	Onnx__ValueInfoProto ***list = output ? &x->graph.output : &x->graph.input;
	size_t *n = output ? &x->graph.n_output : &x->graph.n_input;
	struct declaration *d = x_alloc(x, sizeof(*d));

	if (!*list) /* states are both */
		*list = x_alloc(x, (NE_MAX_IO + x->g->n_state) * sizeof(**list));
	if (!d || !*list || !name)
		return x_fail(x, ENOMEM, "out of memory");
	onnx__value_info_proto__init(&d->info);
	onnx__type_proto__init(&d->type);
	onnx__type_proto__tensor__init(&d->tensor);
	onnx__tensor_shape_proto__init(&d->shape);
	for (uint32_t i = 0; i < s->rank; i++) {
		onnx__tensor_shape_proto__dimension__init(&d->dim[i]);
		d->dim[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		d->dim[i].dim_value = s->dim[l->perm[i]];
		d->dims[i] = &d->dim[i];
	}
	d->shape.n_dim = s->rank;
	d->shape.dim = d->dims;
	d->tensor.has_elem_type = 1;
	d->tensor.elem_type = onnx_type(type);
	d->tensor.shape = &d->shape;
	d->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	d->type.tensor_type = &d->tensor;
	d->info.name = (char *)(uintptr_t)name;
	d->info.type = &d->type;
	(*list)[(*n)++] = &d->info;
	return 0;
}

int x_note(struct exporter *x, const char *key, const char *value)
{
	Onnx__StringStringEntryProto *e = x_alloc(x, sizeof(*e)), **list;

	list = grow(x, x->note, x->n_note, &x->cap_note);
	if (!e || !list)
		return x->failed;
	x->note = list;
	onnx__string_string_entry_proto__init(e);
	e->key = (char *)(uintptr_t)key;
	e->value = (char *)(uintptr_t)value;
	list[x->n_note++] = e;
	return 0;
}

int x_pack(struct exporter *x, const char *name, void **ret, size_t *ret_bytes)
{
	Onnx__ModelProto m;
	Onnx__OperatorSetIdProto opset, *opsets = &opset;
	size_t bytes;
	void *data;

	onnx__model_proto__init(&m);
	onnx__operator_set_id_proto__init(&opset);
	opset.domain = (char *)"";
	opset.has_version = 1;
	opset.version = x->opset;
	m.has_ir_version = 1;
	m.ir_version = x->opset > 18 ? IR_VERSION + 1 : IR_VERSION;
	m.producer_name = (char *)"neap";
	m.producer_version = (char *)NEAP_VERSION;
	m.n_opset_import = 1;
	m.opset_import = &opsets;
	m.n_metadata_props = x->n_note;
	m.metadata_props = x->note;
	m.graph = &x->graph;
	x->graph.name = (char *)(uintptr_t)name;
	bytes = onnx__model_proto__get_packed_size(&m);
	data = malloc(bytes ? bytes : 1);
	if (!data)
		return x_fail(x, ENOMEM, "out of memory");
	*ret_bytes = onnx__model_proto__pack(&m, data);
	*ret = data;
	return 0;
}
