// SPDX-License-Identifier: MIT
/*
 * The graph section: groups, tensors, nodes, inputs and exits; and the states' section. What belongs together is checked when
 * the whole model is there, by ne_graph_check(); here ids and counts are bounded, so that what is read
 * can be walked. The graph owns what is read, half read or whole.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/model/container_sections.h"
#include "engine/op/op.h"

static int groups_read(struct ne_reader *r, struct ne_graph *g)
{
	uint32_t n, c;

	NE_RETURN_IF(ne_rd_count(r, NE_MAX_GROUPS, 1, &n, "number of groups"));
	NE_RETURN_IF(ne_rd_alloc(r, (size_t)n + 1, sizeof(int32_t), &g->group_channels, "groups"));
	g->n_group = n;
	for (uint32_t i = 1; i <= n; i++) {
		NE_RETURN_IF(ne_rd_u32(r, NE_MAX_DIM, &c, "channels of a group"));
		if (c == 0)
			return ne_rd_fail(r, EBADMSG, "group %u has no channels", i);
		g->group_channels[i] = (int32_t)c;
	}
	return 0;
}

static int shape_read(struct ne_reader *r, struct ne_shape *s)
{
	uint32_t v;

	NE_RETURN_IF(ne_rd_u32(r, NE_MAX_RANK, &s->rank, "rank"));
	for (uint32_t i = 0; i < s->rank; i++) {
		NE_RETURN_IF(ne_rd_u32(r, NE_MAX_DIM, &v, "dimension"));
		s->dim[i] = (int32_t)v;
	}
	return 0;
}

static int tensor_read(struct ne_reader *r, struct ne_graph *g, uint32_t id, uint8_t *is_const)
{
	struct ne_tensor *t = &g->tensor[id];
	uint8_t dtype, flags;

	NE_RETURN_IF(ne_rd_string(r, NEAP_MAX_NAME, &t->name, "name of a tensor"));
	NE_RETURN_IF(ne_rd_u8(r, &dtype, "type"));
	if (ne_dtype_size((enum ne_dtype)dtype) == 0 || dtype == NE_F16)
		return ne_rd_fail(r, EBADMSG, "tensor %u: type %u", id, dtype);
	t->dtype = (enum ne_dtype)dtype;
	NE_RETURN_IF(ne_rd_u8(r, &flags, "flags"));
	if (flags & ~NEAP_TENSOR_CONST)
		return ne_rd_fail(r, EBADMSG, "tensor %u: flags 0x%02x", id, flags);
	*is_const = flags & NEAP_TENSOR_CONST;
	NE_RETURN_IF(shape_read(r, &t->shape));
	if (ne_shape_elements(&t->shape) == 0)
		return ne_rd_fail(r, EBADMSG, "tensor %u: shape with a zero or too many elements",
				  id);
	return ne_rd_u32(r, g->n_group, &t->group, "group of a tensor");
}

/* @optional: ids are stored plus one, 0 is NE_NONE. */
static int ids_read(struct ne_reader *r, const struct ne_graph *g, bool optional, uint32_t *ret_n,
		    uint32_t **ret_ids)
{
	uint32_t n, v;
	uint32_t *ids;

	NE_RETURN_IF(ne_rd_count(r, NE_MAX_IO, 1, &n, "number of tensor ids"));
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*ids), &ids, "tensor ids"));
	*ret_ids = ids;
	*ret_n = n;
	for (uint32_t i = 0; i < n; i++) {
		NE_RETURN_IF(ne_rd_u32(r, UINT32_MAX, &v, "tensor id"));
		if (v >= g->n_tensor + optional)
			return ne_rd_fail(r, EBADMSG, "tensor id %u of %u", v - optional,
					  g->n_tensor);
		ids[i] = v - optional;
	}
	return 0;
}

static int s32s_read(struct ne_reader *r, int32_t *v, uint32_t n, const char *what)
{
	for (uint32_t i = 0; i < n; i++)
		NE_RETURN_IF(ne_rd_s32(r, &v[i], what));
	return 0;
}

static int mel_read(struct ne_reader *r, struct ne_mel *m)
{
	int32_t v[6];

	NE_RETURN_IF(s32s_read(r, v, 6, "mel"));
	m->rate_hz = v[0];
	m->frame = v[1];
	m->hop = v[2];
	m->fft = v[3];
	m->bins = v[4];
	m->cepstra = v[5];
	NE_RETURN_IF(ne_rd_f32(r, &m->lo_hz, "mel"));
	NE_RETURN_IF(ne_rd_f32(r, &m->hi_hz, "mel"));
	return ne_rd_f32(r, &m->floor, "mel");
}

static void window_to_array(const struct ne_window *w, int32_t v[10])
{
	const int32_t all[10] = {w->kh, w->kw,      w->sh,       w->sw,         w->dh,
				 w->dw, w->pad_top, w->pad_left, w->pad_bottom, w->pad_right};

	memcpy(v, all, sizeof(all));
}

static int window_read(struct ne_reader *r, struct ne_window *w)
{
	int32_t v[10];

	NE_RETURN_IF(s32s_read(r, v, 10, "window"));
	*w = (struct ne_window){v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9]};
	return 0;
}

static int recurrent_read(struct ne_reader *r, struct ne_recurrent *v)
{
	NE_RETURN_IF(ne_rd_s32(r, &v->direction, "direction"));
	NE_RETURN_IF(ne_rd_s32(r, &v->linear_before_reset, "linear before reset"));
	NE_RETURN_IF(ne_rd_s32(r, &v->input_forget, "input forget"));
	NE_RETURN_IF(ne_rd_f32(r, &v->clip, "clip"));
	for (uint32_t i = 0; i < NE_ARRAY_SIZE(v->act); i++) {
		NE_RETURN_IF(ne_rd_s32(r, &v->act[i].kind, "activation"));
		NE_RETURN_IF(ne_rd_f32(r, &v->act[i].a, "activation's parameter"));
		NE_RETURN_IF(ne_rd_f32(r, &v->act[i].b, "activation's parameter"));
	}
	return 0;
}

static int attr_read(struct ne_reader *r, struct ne_attr *a)
{
	uint32_t mask;

	NE_RETURN_IF(ne_rd_u32(r, NEAP_ATTR_ALL, &mask, "attributes"));
	if (mask & NEAP_ATTR_WINDOW)
		NE_RETURN_IF(window_read(r, &a->window));
	if (mask & NEAP_ATTR_GROUPS)
		NE_RETURN_IF(ne_rd_s32(r, &a->groups, "groups"));
	if (mask & NEAP_ATTR_AXIS)
		NE_RETURN_IF(ne_rd_s32(r, &a->axis, "axis"));
	if (mask & NEAP_ATTR_ACT)
		NE_RETURN_IF(ne_rd_s32(r, &a->act, "activation"));
	if (mask & NEAP_ATTR_COUNT_INCLUDE_PAD)
		NE_RETURN_IF(ne_rd_s32(r, &a->count_include_pad, "count_include_pad"));
	if (mask & NEAP_ATTR_PERM)
		NE_RETURN_IF(s32s_read(r, a->perm, NE_ARRAY_SIZE(a->perm), "perm"));
	if (mask & NEAP_ATTR_PAD)
		NE_RETURN_IF(s32s_read(r, a->pad, NE_ARRAY_SIZE(a->pad), "pad"));
	if (mask & NEAP_ATTR_VALUE)
		NE_RETURN_IF(ne_rd_f32(r, &a->value, "value"));
	if (mask & NEAP_ATTR_MEL)
		NE_RETURN_IF(mel_read(r, &a->mel));
	if (mask & NEAP_ATTR_NORM)
		NE_RETURN_IF(ne_rd_u32(r, NE_MAX_NORMS, &a->norm, "norm"));
	if (mask & NEAP_ATTR_KIND)
		NE_RETURN_IF(ne_rd_s32(r, &a->kind, "kind"));
	if (mask & NEAP_ATTR_AXES)
		NE_RETURN_IF(ne_rd_u32(r, (1u << NE_MAX_RANK) - 1, &a->axes, "axes"));
	if (mask & NEAP_ATTR_VALUE2)
		NE_RETURN_IF(ne_rd_f32(r, &a->value2, "second value"));
	if (mask & NEAP_ATTR_SLICE) {
		NE_RETURN_IF(s32s_read(r, a->slice.begin, NE_MAX_RANK, "begin of a slice"));
		NE_RETURN_IF(s32s_read(r, a->slice.size, NE_MAX_RANK, "size of a slice"));
		NE_RETURN_IF(s32s_read(r, a->slice.step, NE_MAX_RANK, "step of a slice"));
	}
	if (mask & NEAP_ATTR_RECURRENT)
		NE_RETURN_IF(recurrent_read(r, &a->recurrent));
	return 0;
}

static int node_read(struct ne_reader *r, const struct ne_graph *g, struct ne_node *n, uint32_t id)
{
	uint8_t op;

	NE_RETURN_IF(ne_rd_string(r, NEAP_MAX_NAME, &n->name, "name of a node"));
	NE_RETURN_IF(ne_rd_u8(r, &op, "operator"));
	if (op == NE_OP_INVALID)
		return ne_rd_fail(r, EBADMSG, "node %u: operator 0", id);
	if (!ne_op_info((enum ne_op)op))
		return ne_rd_fail(r, EPROTONOSUPPORT, "node %u: unknown operator %u", id, op);
	n->op = (enum ne_op)op;
	NE_RETURN_IF(ids_read(r, g, true, &n->n_in, &n->in));
	NE_RETURN_IF(ids_read(r, g, false, &n->n_out, &n->out));
	return attr_read(r, &n->attr);
}

static int exits_read(struct ne_reader *r, struct ne_graph *g)
{
	uint32_t n;

	NE_RETURN_IF(ne_rd_count(r, NE_MAX_EXITS, 1, &n, "number of exits"));
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*g->exit), &g->exit, "exits"));
	g->n_exit = n;
	for (uint32_t i = 0; i < n; i++)
		NE_RETURN_IF(ids_read(r, g, false, &g->exit[i].n_out, &g->exit[i].out));
	return 0;
}

static int tensor_id_read(struct ne_reader *r, const struct ne_graph *g, uint32_t *ret)
{
	NE_RETURN_IF(ne_rd_u32(r, UINT32_MAX, ret, "tensor id"));
	if (*ret >= g->n_tensor)
		return ne_rd_fail(r, EBADMSG, "tensor id %u of %u", *ret, g->n_tensor);
	return 0;
}

int ne_section_states_read(struct ne_reader *r, struct ne_graph *g)
{
	uint32_t n;

	NE_RETURN_IF(ne_rd_count(r, NE_MAX_STATES, 3, &n, "number of states"));
	if (n == 0)
		return ne_rd_fail(r, EBADMSG, "no states");
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*g->state), &g->state, "states"));
	g->n_state = n;
	for (uint32_t i = 0; i < n; i++) {
		struct ne_graph_state *s = &g->state[i];
		uint32_t v;

		NE_RETURN_IF(tensor_id_read(r, g, &s->in));
		NE_RETURN_IF(tensor_id_read(r, g, &s->out));
		NE_RETURN_IF(ne_rd_u32(r, UINT32_MAX, &v, "first value"));
		if (v > g->n_tensor)
			return ne_rd_fail(r, EBADMSG, "tensor id %u of %u", v - 1, g->n_tensor);
		s->initial = v - 1; /* 0 is NE_NONE */
	}
	return ne_rd_end(r);
}

int ne_section_graph_read(struct ne_reader *r, const struct ne_limits *limits, struct ne_graph *g,
			  uint8_t **ret_is_const, uint32_t *ret_consts)
{
	uint32_t n;

	NE_RETURN_IF(groups_read(r, g));
	NE_RETURN_IF(ne_rd_count(r, NE_MAX_TENSORS, 5, &n, "number of tensors"));
	NE_RETURN_IF(ne_rd_alloc(r, n, 1, ret_is_const, "tensors"));
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*g->tensor), &g->tensor, "tensors"));
	g->n_tensor = n;
	*ret_consts = 0;
	for (uint32_t i = 0; i < n; i++) {
		NE_RETURN_IF(tensor_read(r, g, i, &(*ret_is_const)[i]));
		*ret_consts += (*ret_is_const)[i];
	}
	NE_RETURN_IF(ne_rd_count(r, NE_MAX_NODES, 5, &n, "number of nodes"));
	if (n > limits->nodes)
		return ne_rd_fail(r, E2BIG, "%u nodes, the limit is %u", n, limits->nodes);
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*g->node), &g->node, "nodes"));
	g->n_node = n;
	for (uint32_t i = 0; i < n; i++)
		NE_RETURN_IF(node_read(r, g, &g->node[i], i));
	NE_RETURN_IF(ids_read(r, g, false, &g->n_in, &g->in));
	NE_RETURN_IF(exits_read(r, g));
	return ne_rd_end(r);
}

static void ids_write(struct ne_writer *w, const uint32_t *ids, uint32_t n, bool optional)
{
	ne_wr_uv(w, n);
	for (uint32_t i = 0; i < n; i++)
		ne_wr_uv(w, ids[i] + optional); /* NE_NONE wraps to 0 */
}

static void s32s_write(struct ne_writer *w, const int32_t *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ne_wr_sv(w, v[i]);
}

static bool any(const void *p, size_t bytes)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < bytes; i++)
		if (b[i])
			return true;
	return false;
}

static void mel_write(struct ne_writer *w, const struct ne_mel *m)
{
	const int32_t v[6] = {m->rate_hz, m->frame, m->hop, m->fft, m->bins, m->cepstra};

	s32s_write(w, v, 6);
	ne_wr_f32(w, m->lo_hz);
	ne_wr_f32(w, m->hi_hz);
	ne_wr_f32(w, m->floor);
}

static void recurrent_write(struct ne_writer *w, const struct ne_recurrent *v)
{
	ne_wr_sv(w, v->direction);
	ne_wr_sv(w, v->linear_before_reset);
	ne_wr_sv(w, v->input_forget);
	ne_wr_f32(w, v->clip);
	for (uint32_t i = 0; i < NE_ARRAY_SIZE(v->act); i++) {
		ne_wr_sv(w, v->act[i].kind);
		ne_wr_f32(w, v->act[i].a);
		ne_wr_f32(w, v->act[i].b);
	}
}

static void attr_write(struct ne_writer *w, const struct ne_attr *a)
{
	uint32_t mask = 0;
	int32_t window[10];

	window_to_array(&a->window, window);
	mask |= any(window, sizeof(window)) ? NEAP_ATTR_WINDOW : 0;
	mask |= a->groups ? NEAP_ATTR_GROUPS : 0;
	mask |= a->axis ? NEAP_ATTR_AXIS : 0;
	mask |= a->act ? NEAP_ATTR_ACT : 0;
	mask |= a->count_include_pad ? NEAP_ATTR_COUNT_INCLUDE_PAD : 0;
	mask |= any(a->perm, sizeof(a->perm)) ? NEAP_ATTR_PERM : 0;
	mask |= any(a->pad, sizeof(a->pad)) ? NEAP_ATTR_PAD : 0;
	mask |= any(&a->value, sizeof(a->value)) ? NEAP_ATTR_VALUE : 0;
	mask |= any(&a->mel, sizeof(a->mel)) ? NEAP_ATTR_MEL : 0;
	mask |= a->norm ? NEAP_ATTR_NORM : 0;
	mask |= a->kind ? NEAP_ATTR_KIND : 0;
	mask |= a->axes ? NEAP_ATTR_AXES : 0;
	mask |= any(&a->value2, sizeof(a->value2)) ? NEAP_ATTR_VALUE2 : 0;
	mask |= any(&a->slice, sizeof(a->slice)) ? NEAP_ATTR_SLICE : 0;
	mask |= any(&a->recurrent, sizeof(a->recurrent)) ? NEAP_ATTR_RECURRENT : 0;
	ne_wr_uv(w, mask);
	if (mask & NEAP_ATTR_WINDOW)
		s32s_write(w, window, 10);
	if (mask & NEAP_ATTR_GROUPS)
		ne_wr_sv(w, a->groups);
	if (mask & NEAP_ATTR_AXIS)
		ne_wr_sv(w, a->axis);
	if (mask & NEAP_ATTR_ACT)
		ne_wr_sv(w, a->act);
	if (mask & NEAP_ATTR_COUNT_INCLUDE_PAD)
		ne_wr_sv(w, a->count_include_pad);
	if (mask & NEAP_ATTR_PERM)
		s32s_write(w, a->perm, NE_ARRAY_SIZE(a->perm));
	if (mask & NEAP_ATTR_PAD)
		s32s_write(w, a->pad, NE_ARRAY_SIZE(a->pad));
	if (mask & NEAP_ATTR_VALUE)
		ne_wr_f32(w, a->value);
	if (mask & NEAP_ATTR_MEL)
		mel_write(w, &a->mel);
	if (mask & NEAP_ATTR_NORM)
		ne_wr_uv(w, a->norm);
	if (mask & NEAP_ATTR_KIND)
		ne_wr_sv(w, a->kind);
	if (mask & NEAP_ATTR_AXES)
		ne_wr_uv(w, a->axes);
	if (mask & NEAP_ATTR_VALUE2)
		ne_wr_f32(w, a->value2);
	if (mask & NEAP_ATTR_SLICE) {
		s32s_write(w, a->slice.begin, NE_MAX_RANK);
		s32s_write(w, a->slice.size, NE_MAX_RANK);
		s32s_write(w, a->slice.step, NE_MAX_RANK);
	}
	if (mask & NEAP_ATTR_RECURRENT)
		recurrent_write(w, &a->recurrent);
}

static void tensor_write(struct ne_writer *w, const struct ne_tensor *t)
{
	ne_wr_string(w, t->name);
	ne_wr_u8(w, (uint8_t)t->dtype);
	ne_wr_u8(w, t->data ? NEAP_TENSOR_CONST : 0);
	ne_wr_uv(w, t->shape.rank);
	for (uint32_t i = 0; i < t->shape.rank; i++)
		ne_wr_uv(w, (uint32_t)t->shape.dim[i]);
	ne_wr_uv(w, t->group);
}

void ne_section_graph_write(struct ne_writer *w, const struct ne_graph *g)
{
	ne_wr_uv(w, g->n_group);
	for (uint32_t i = 1; i <= g->n_group; i++)
		ne_wr_uv(w, (uint32_t)g->group_channels[i]);
	ne_wr_uv(w, g->n_tensor);
	for (uint32_t i = 0; i < g->n_tensor; i++)
		tensor_write(w, &g->tensor[i]);
	ne_wr_uv(w, g->n_node);
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];

		ne_wr_string(w, n->name);
		ne_wr_u8(w, (uint8_t)n->op);
		ids_write(w, n->in, n->n_in, true);
		ids_write(w, n->out, n->n_out, false);
		attr_write(w, &n->attr);
	}
	ids_write(w, g->in, g->n_in, false);
	ne_wr_uv(w, g->n_exit);
	for (uint32_t i = 0; i < g->n_exit; i++)
		ids_write(w, g->exit[i].out, g->exit[i].n_out, false);
}

void ne_section_states_write(struct ne_writer *w, const struct ne_graph *g)
{
	ne_wr_uv(w, g->n_state);
	for (uint32_t i = 0; i < g->n_state; i++) {
		ne_wr_uv(w, g->state[i].in);
		ne_wr_uv(w, g->state[i].out);
		ne_wr_uv(w, g->state[i].initial + 1u); /* NE_NONE wraps to 0 */
	}
}
