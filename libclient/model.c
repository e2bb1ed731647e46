// SPDX-License-Identifier: MIT
/*
 * Models that the application has opened. What the daemon tells of a model is checked before it is
 * believed: names end, dimensions are counts, blocks lie inside each other.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/internal.h"

#define BLOCK_MAX ((uint64_t)1 << 40) /* bytes; beyond it a size is a lie */

static bool dtype_known(uint32_t t)
{
	return t == NEAP_F32 || (t >= NEAP_S8 && t <= NEAP_BOOL);
}

static size_t dtype_size(uint32_t t)
{
	static const uint8_t size[] = {
		[NEAP_F32] = 4, [NEAP_S8] = 1,  [NEAP_U8] = 1,  [NEAP_S16] = 2,
		[NEAP_S32] = 4, [NEAP_S64] = 8, [NEAP_BOOL] = 1};

	return size[t];
}

static bool io_valid(const struct neap_wire_io *io, uint64_t block)
{
	uint64_t bytes;

	if (!memchr(io->name, 0, sizeof(io->name)) || !dtype_known(io->dtype))
		return false;
	if (io->rank > NEAP_WIRE_MAX_RANK || !isfinite(io->scale))
		return false;
	bytes = dtype_size(io->dtype);
	for (uint32_t i = 0; i < io->rank; i++)
		if (io->dim[i] < 1 || __builtin_mul_overflow(bytes, (uint64_t)io->dim[i], &bytes))
			return false;
	return bytes == io->bytes && io->offset <= block && io->bytes <= block - io->offset;
}

static bool reply_valid(const struct neap_msg_model_reply *r, uint32_t bytes)
{
	if (bytes != sizeof(*r))
		return false;
	if (r->n_in > NEAP_WIRE_MAX_IO || r->n_out > NEAP_WIRE_MAX_IO || !r->n_in || !r->n_out)
		return false;
	if (!r->in_bytes || !r->out_bytes || r->in_bytes > BLOCK_MAX || r->out_bytes > BLOCK_MAX)
		return false;
	for (uint32_t i = 0; i < r->n_in + r->n_out; i++)
		if (!io_valid(&r->io[i], i < r->n_in ? r->in_bytes : r->out_bytes))
			return false;
	return true;
}

static void tensor_fill(struct neap_model *m, struct neap_tensor_info *t, unsigned i,
			const struct neap_wire_io *io)
{
	memcpy(m->io_name[i], io->name, sizeof(io->name));
	t->name = m->io_name[i];
	t->dtype = (enum neap_dtype)io->dtype;
	t->rank = io->rank;
	memcpy(t->dim, io->dim, sizeof(t->dim));
	t->scale = io->scale;
	t->zero = io->zero;
	t->offset = (size_t)io->offset;
	t->bytes = (size_t)io->bytes;
}

static void describe(struct neap_model *m, const struct neap_msg_model_reply *r)
{
	struct neap_model_info *info = &m->info;

	info->name = m->name;
	info->levels = r->n_level;
	info->exits = r->n_exit;
	info->accuracy_min = r->accuracy_min;
	info->accuracy_max = r->accuracy_max;
	info->inputs = r->n_in;
	info->outputs = r->n_out;
	info->in_bytes = (size_t)r->in_bytes;
	info->out_bytes = (size_t)r->out_bytes;
	for (uint32_t i = 0; i < r->n_in; i++)
		tensor_fill(m, &info->input[i], i, &r->io[i]);
	for (uint32_t i = 0; i < r->n_out; i++)
		tensor_fill(m, &info->output[i], NEAP_MAX_IO + i, &r->io[r->n_in + i]);
	m->described = true;
}

static bool tensor_same(const struct neap_tensor_info *t, const struct neap_wire_io *io)
{
	return t->dtype == io->dtype && t->rank == io->rank && t->offset == io->offset &&
	       t->bytes == io->bytes && !memcmp(t->dim, io->dim, t->rank * sizeof(t->dim[0])) &&
	       t->scale == io->scale && t->zero == io->zero;
}

/* The application has sized and filled its buffers by the description it has. */
static bool same(const struct neap_model_info *info, const struct neap_msg_model_reply *r)
{
	if (info->in_bytes != r->in_bytes || info->out_bytes != r->out_bytes ||
	    info->inputs != r->n_in || info->outputs != r->n_out)
		return false;
	for (uint32_t i = 0; i < r->n_in; i++)
		if (!tensor_same(&info->input[i], &r->io[i]))
			return false;
	for (uint32_t i = 0; i < r->n_out; i++)
		if (!tensor_same(&info->output[i], &r->io[r->n_in + i]))
			return false;
	return true;
}

static void message(const struct neap_model *model, struct neap_msg_model_open *m)
{
	*m = (struct neap_msg_model_open){.h.type = NEAP_MSG_MODEL_OPEN};
	memcpy(m->name, model->name, sizeof(m->name));
}

int client_model_ask(struct neap *n, struct neap_model *m)
{
	struct neap_msg_model_open msg;

	message(m, &msg);
	return client_session_send(n, &msg.h, sizeof(msg), -1);
}

void client_model_answer(struct neap *n, struct neap_model *m)
{
	const struct neap_msg_model_reply *r = &n->reply.m.model;

	m->session = n->session;
	m->error = 0;
	if (r->h.status < 0) {
		m->error = r->h.status;
	} else if (!reply_valid(r, n->reply.bytes)) {
		m->error = client_fail(n, -EBADMSG,
				       "the daemon describes model %s with values "
				       "out of range",
				       m->name);
	} else if (m->described && !same(&m->info, r)) {
		m->error = -ESTALE;
	} else {
		m->handle = r->handle;
		if (!m->described)
			describe(m, r);
	}
}

/* Opens it with the daemon; a session lost meanwhile does it in its handshake. */
static int announce(struct neap *n, struct neap_model *m)
{
	for (;;) {
		struct neap_msg_model_open msg;
		int ret = client_session_await(n);

		if (ret < 0)
			return ret;
		if (m->session == n->session)
			return m->error;
		message(m, &msg);
		ret = client_session_call(n, &msg.h, sizeof(msg), -1, CLIENT_CALL_NS);
		if (ret == -ECONNRESET)
			continue;
		if (ret < 0)
			return ret;
		client_model_answer(n, m);
	}
}

static void unlink_model(struct neap_model *m)
{
	struct neap *n = m->n;

	if (n->asked == m)
		n->asked = NULL;
	if (m->prev)
		m->prev->next = m->next;
	else
		n->models = m->next;
	if (m->next)
		m->next->prev = m->prev;
	m->n = NULL;
}

int neap_model_open(struct neap *n, const char *name, struct neap_model **ret_model)
{
	size_t len = name ? strlen(name) : 0;
	struct neap_model *m;
	int ret;

	if (!len || len >= NEAP_WIRE_NAME_BYTES)
		return client_fail(n, -EINVAL, "a model's name has 1 to %u characters",
				   NEAP_WIRE_NAME_BYTES - 1);
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	memcpy(m->name, name, len + 1);
	m->n = n;
	m->next = n->models;
	if (m->next)
		m->next->prev = m;
	n->models = m;
	ret = announce(n, m);
	if (ret < 0) {
		unlink_model(m);
		free(m);
		return ret;
	}
	*ret_model = m;
	return 0;
}

void neap_model_close(struct neap_model *m)
{
	struct neap *n;

	if (!m)
		return;
	n = m->n;
	if (n) {
		bool known = n->link == LINK_UP && m->session == n->session && !m->error;
		struct neap_msg_handle msg = {.h.type = NEAP_MSG_MODEL_CLOSE, .handle = m->handle};

		client_ring_forget(n, NULL, m);
		unlink_model(m);
		if (known)
			client_session_call(n, &msg.h, sizeof(msg), -1, CLIENT_CALL_NS);
	}
	free(m);
}

const struct neap_model_info *neap_model_info(const struct neap_model *m)
{
	return &m->info;
}
