/* SPDX-License-Identifier: MIT */
/*
 * Building, copying and freeing graphs.
 *
 * A graph owns all that it points to. The arrays hold exactly n entries, whoever made them (a
 * reader allocates them at once, the builders one by one), so every addition reallocates.
 */
#include "engine/model/graph.h"
#include "engine/op/op.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
	[NE_F32] = {"f32", 4}, [NE_F16] = {"f16", 2},   [NE_S8] = {"s8", 1},
	[NE_U8] = {"u8", 1},   [NE_S16] = {"s16", 2},   [NE_S32] = {"s32", 4},
	[NE_S64] = {"s64", 8}, [NE_BOOL] = {"bool", 1},
};

size_t ne_dtype_size(enum ne_dtype t)
{
	return (unsigned)t < NE_ARRAY_SIZE(dtypes) ? dtypes[t].size : 0;
}

const char *ne_dtype_name(enum ne_dtype t)
{
	return ne_dtype_size(t) ? dtypes[t].name : "unknown";
}

const char *ne_op_name(enum ne_op op)
{
	const struct ne_op_info *info = ne_op_info(op);

	return info ? info->name : "unknown";
}

size_t ne_shape_elements(const struct ne_shape *s)
{
	size_t n = 1;

	if (s->rank > NE_MAX_RANK)
		return 0;
	for (uint32_t i = 0; i < s->rank; i++) {
		if (s->dim[i] < 1 || s->dim[i] > NE_MAX_DIM)
			return 0;
		/* both factors are at most 2^28 and 2^24: no overflow of 64 bits */
		if ((uint64_t)n * (uint64_t)s->dim[i] > NE_MAX_ELEMENTS)
			return 0;
		n *= (size_t)s->dim[i];
	}
	return n;
}

void ne_graph_init(struct ne_graph *g)
{
	memset(g, 0, sizeof(*g));
}

static void tensor_done(struct ne_tensor *t)
{
	free(t->name);
	ne_free_pages(t->data);
	free(t->scale);
}

static void node_done(struct ne_node *n)
{
	free(n->name);
	free(n->in);
	free(n->out);
}

void ne_graph_done(struct ne_graph *g)
{
	for (uint32_t i = 0; g->tensor && i < g->n_tensor; i++)
		tensor_done(&g->tensor[i]);
	for (uint32_t i = 0; g->node && i < g->n_node; i++)
		node_done(&g->node[i]);
	for (uint32_t i = 0; g->exit && i < g->n_exit; i++)
		free(g->exit[i].out);
	free(g->tensor);
	free(g->node);
	free(g->in);
	free(g->exit);
	free(g->state);
	free(g->group_channels);
	memset(g, 0, sizeof(*g));
}

/* Makes room for one entry more than @n; the array is unchanged on failure. */
static int grow(void *array, size_t n, size_t size)
{
	void **a = array;
	void *p = realloc(*a, (n + 1) * size);

	if (!p)
		return -ENOMEM;
	*a = p;
	memset((char *)p + n * size, 0, size);
	return 0;
}

static void *copy_of(const void *src, size_t bytes)
{
	void *p = malloc(bytes ? bytes : 1);

	if (p && bytes)
		memcpy(p, src, bytes);
	return p;
}

int ne_graph_add_tensor(struct ne_graph *g, const char *name, enum ne_dtype t,
			const struct ne_shape *shape)
{
	char *copy;

	if (!ne_dtype_size(t) || !ne_shape_elements(shape))
		return -EINVAL;
	if (g->n_tensor >= NE_MAX_TENSORS)
		return -E2BIG;
	NE_RETURN_IF(grow(&g->tensor, g->n_tensor, sizeof(*g->tensor)));
	copy = strdup(name ? name : "");
	if (!copy)
		return -ENOMEM;
	g->tensor[g->n_tensor] = (struct ne_tensor){.name = copy, .dtype = t, .shape = *shape};
	return (int)g->n_tensor++;
}

int ne_graph_add_const(struct ne_graph *g, const char *name, enum ne_dtype t,
		       const struct ne_shape *shape, void *data)
{
	int id = data ? ne_graph_add_tensor(g, name, t, shape) : -EINVAL;

	if (id < 0) {
		free(data);
		return id;
	}
	g->tensor[id].data = data;
	g->tensor[id].bytes = ne_shape_elements(shape) * ne_dtype_size(t);
	return id;
}

/* What a node has where the caller gives no attributes: a 1x1 window, one group, nothing fused. */
static const struct ne_attr default_attr = {
	.window = {.kh = 1, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1},
	.groups = 1,
};

int ne_graph_add_node(struct ne_graph *g, enum ne_op op, const char *name, uint32_t n_in,
		      const uint32_t *in, uint32_t n_out, const uint32_t *out,
		      const struct ne_attr *attr)
{
	struct ne_node n = {.op = op, .n_in = n_in, .n_out = n_out};

	if (!ne_op_info(op) || n_in > NE_MAX_IO || n_out > NE_MAX_IO || !n_out)
		return -EINVAL;
	for (uint32_t i = 0; i < n_in; i++)
		if (in[i] >= g->n_tensor && in[i] != NE_NONE)
			return -EINVAL;
	for (uint32_t i = 0; i < n_out; i++)
		if (out[i] >= g->n_tensor)
			return -EINVAL;
	if (g->n_node >= NE_MAX_NODES)
		return -E2BIG;
	NE_RETURN_IF(grow(&g->node, g->n_node, sizeof(*g->node)));
	n.attr = attr ? *attr : default_attr;
	n.name = strdup(name ? name : "");
	n.in = copy_of(in, n_in * sizeof(*in));
	n.out = copy_of(out, n_out * sizeof(*out));
	if (!n.name || !n.in || !n.out) {
		node_done(&n);
		return -ENOMEM;
	}
	g->node[g->n_node] = n;
	return (int)g->n_node++;
}

int ne_graph_add_input(struct ne_graph *g, uint32_t tensor)
{
	if (tensor >= g->n_tensor)
		return -EINVAL;
	if (g->n_in >= NE_MAX_IO)
		return -E2BIG;
	NE_RETURN_IF(grow(&g->in, g->n_in, sizeof(*g->in)));
	g->in[g->n_in] = tensor;
	return (int)g->n_in++;
}

int ne_graph_add_exit(struct ne_graph *g, uint32_t n_out, const uint32_t *out)
{
	uint32_t *copy;

	if (!n_out || n_out > NE_MAX_IO)
		return -EINVAL;
	for (uint32_t i = 0; i < n_out; i++)
		if (out[i] >= g->n_tensor)
			return -EINVAL;
	if (g->n_exit >= NE_MAX_EXITS)
		return -E2BIG;
	NE_RETURN_IF(grow(&g->exit, g->n_exit, sizeof(*g->exit)));
	copy = copy_of(out, n_out * sizeof(*out));
	if (!copy)
		return -ENOMEM;
	g->exit[g->n_exit] = (struct ne_exit){.n_out = n_out, .out = copy};
	return (int)g->n_exit++;
}

int ne_graph_add_state(struct ne_graph *g, uint32_t in, uint32_t out, uint32_t initial)
{
	if (in >= g->n_tensor || out >= g->n_tensor ||
	    (initial >= g->n_tensor && initial != NE_NONE))
		return -EINVAL;
	if (g->n_state >= NE_MAX_STATES)
		return -E2BIG;
	NE_RETURN_IF(grow(&g->state, g->n_state, sizeof(*g->state)));
	g->state[g->n_state] = (struct ne_graph_state){in, out, initial};
	return (int)g->n_state++;
}

int ne_graph_add_group(struct ne_graph *g, int32_t channels)
{
	if (channels < 1 || channels > NE_MAX_DIM)
		return -EINVAL;
	if (g->n_group >= NE_MAX_GROUPS)
		return -E2BIG;
	/* entry 0 is there, unused, from the first group on */
	if (!g->group_channels)
		NE_RETURN_IF(grow(&g->group_channels, 0, sizeof(*g->group_channels)));
	NE_RETURN_IF(grow(&g->group_channels, g->n_group + 1, sizeof(*g->group_channels)));
	g->group_channels[++g->n_group] = channels;
	return (int)g->n_group;
}

static int tensor_copy(struct ne_tensor *dst, const struct ne_tensor *src)
{
	*dst = *src;
	dst->data = NULL;
	dst->scale = NULL;
	dst->name = strdup(src->name ? src->name : "");
	if (!dst->name)
		return -ENOMEM;
	if (src->data) {
		dst->data = copy_of(src->data, src->bytes);
		if (!dst->data)
			return -ENOMEM;
	}
	if (src->scale) {
		dst->scale = copy_of(src->scale, src->n_scale * sizeof(*src->scale));
		if (!dst->scale)
			return -ENOMEM;
	}
	return 0;
}

static int node_copy(struct ne_node *dst, const struct ne_node *src)
{
	*dst = *src;
	dst->name = strdup(src->name ? src->name : "");
	dst->in = copy_of(src->in, src->n_in * sizeof(*src->in));
	dst->out = copy_of(src->out, src->n_out * sizeof(*src->out));
	return dst->name && dst->in && dst->out ? 0 : -ENOMEM;
}

int ne_graph_copy(struct ne_graph *dst, const struct ne_graph *src)
{
	struct ne_graph g = *src;

	g.tensor = calloc(g.n_tensor + 1u, sizeof(*g.tensor));
	g.node = calloc(g.n_node + 1u, sizeof(*g.node));
	g.exit = calloc(g.n_exit + 1u, sizeof(*g.exit));
	g.in = copy_of(src->in, src->n_in * sizeof(*src->in));
	g.state = copy_of(src->state, src->n_state * sizeof(*src->state));
	g.group_channels = calloc(g.n_group + 1u, sizeof(*g.group_channels));
	if (!g.tensor || !g.node || !g.exit || !g.in || !g.state || !g.group_channels)
		goto no_memory;
	for (uint32_t i = 0; i < g.n_tensor; i++)
		if (tensor_copy(&g.tensor[i], &src->tensor[i]) < 0)
			goto no_memory;
	for (uint32_t i = 0; i < g.n_node; i++)
		if (node_copy(&g.node[i], &src->node[i]) < 0)
			goto no_memory;
	for (uint32_t i = 0; i < g.n_exit; i++) {
		g.exit[i].n_out = src->exit[i].n_out;
		g.exit[i].out = copy_of(src->exit[i].out, g.exit[i].n_out * sizeof(uint32_t));
		if (!g.exit[i].out)
			goto no_memory;
	}
	for (uint32_t i = 1; i <= g.n_group; i++)
		g.group_channels[i] = src->group_channels[i];
	*dst = g;
	return 0;

no_memory:
	ne_graph_done(&g);
	return -ENOMEM;
}
