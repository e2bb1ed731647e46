/* SPDX-License-Identifier: MIT */
#include "daemon/protocol.h"

#include <string.h>

/* What a request looks like from outside. */
static const struct message_form {
	uint16_t type;
	const char *name;
	uint32_t bytes; /* exact length, or the least where @variable */
	bool variable;  /* up to the whole of struct neap_msg_control */
	unsigned fds;
	size_t text, text_bytes; /* a string that must end in the message; 0 = none */
} forms[] = {
	{NEAP_MSG_HELLO, "HELLO", sizeof(struct neap_msg_hello), false, 0,
	 offsetof(struct neap_msg_hello, name), NEAP_WIRE_NAME_BYTES},
	{NEAP_MSG_RINGS, "RINGS", sizeof(struct neap_msg_rings), false, 1, 0, 0},
	{NEAP_MSG_BUF_ADD, "BUF_ADD", sizeof(struct neap_msg_buf_add), false, 1, 0, 0},
	{NEAP_MSG_BUF_REMOVE, "BUF_REMOVE", sizeof(struct neap_msg_handle), false, 0, 0, 0},
	{NEAP_MSG_MODEL_OPEN, "MODEL_OPEN", sizeof(struct neap_msg_model_open), false, 0,
	 offsetof(struct neap_msg_model_open, name), NEAP_WIRE_NAME_BYTES},
	{NEAP_MSG_MODEL_CLOSE, "MODEL_CLOSE", sizeof(struct neap_msg_handle), false, 0, 0, 0},
	{NEAP_MSG_CONTROL, "CONTROL", sizeof(struct neap_msg) + 2, true, 0,
	 offsetof(struct neap_msg_control, text), 0},
};

static const struct message_form *find_form(unsigned type)
{
	for (unsigned i = 0; i < NE_ARRAY_SIZE(forms); i++)
		if (forms[i].type == type)
			return &forms[i];
	return NULL;
}

const char *protocol_name(unsigned type)
{
	const struct message_form *f = find_form(type);

	return f ? f->name : "?";
}

static int check_header(const struct neap_msg *h, size_t bytes, struct ne_error *err)
{
	if (h->bytes != bytes)
		return ne_fail(err, EPROTO, "the header says %u bytes, the message has %zu",
			       h->bytes, bytes);
	if (h->reserved)
		return ne_fail(err, EPROTO, "header: the reserved field is not zero");
	if (h->status)
		return ne_fail(err, EPROTO, "header: a request's status is not zero");
	return 0;
}

/* Fields that are wrong whatever the session is. */
static int check_body(unsigned type, const union protocol_message *m, struct ne_error *err)
{
	const char *name = protocol_name(type);

	switch (type) {
	case NEAP_MSG_HELLO:
		/* Another version may have features: it is told apart by the session. */
		if (m->hello.version == NEAP_WIRE_VERSION && m->hello.features)
			return ne_fail(err, EPROTO, "HELLO: unknown feature bits 0x%x",
				       m->hello.features);
		return 0;
	case NEAP_MSG_RINGS:
		if (m->rings.reserved)
			return ne_fail(err, EPROTO, "RINGS: the reserved field is not zero");
		return 0;
	case NEAP_MSG_BUF_ADD:
		if (m->buf_add.reserved)
			return ne_fail(err, EPROTO, "BUF_ADD: the reserved field is not zero");
		return 0;
	case NEAP_MSG_BUF_REMOVE:
	case NEAP_MSG_MODEL_CLOSE:
		if (m->handle.reserved)
			return ne_fail(err, EPROTO, "%s: the reserved field is not zero", name);
		return 0;
	default:
		return 0;
	}
}

int protocol_check(const void *msg, size_t bytes, unsigned n_fds, struct ne_error *err)
{
	const struct message_form *f;
	union protocol_message m;
	size_t text_bytes;

	if (bytes < sizeof(m.h))
		return ne_fail(err, EPROTO, "a message of %zu bytes is shorter than its header",
			       bytes);
	if (bytes > sizeof(m))
		return ne_fail(err, EPROTO, "a message of %zu bytes is longer than %zu", bytes,
			       sizeof(m));
	memcpy(&m.h, msg, sizeof(m.h));
	NE_RETURN_IF(check_header(&m.h, bytes, err));
	f = find_form(m.h.type);
	if (!f)
		return ne_fail(err, EPROTO, "unknown message type %u", m.h.type);
	if (f->variable ? bytes < f->bytes : bytes != f->bytes)
		return ne_fail(err, EPROTO, "%s: %zu bytes instead of %u", f->name, bytes,
			       f->bytes);
	if (n_fds != f->fds)
		return ne_fail(err, EPROTO, "%s: %u descriptors instead of %u", f->name, n_fds,
			       f->fds);
	memcpy(&m, msg, bytes);
	text_bytes = f->variable ? bytes - f->text : f->text_bytes;
	if (text_bytes && !memchr(m.raw + f->text, 0, text_bytes))
		return ne_fail(err, EPROTO, "%s: the text is not ended by a zero byte", f->name);
	NE_RETURN_IF(check_body(m.h.type, &m, err));
	return m.h.type;
}

int protocol_check_sqe(const struct neap_sqe *sqe, struct ne_error *err)
{
	if (sqe->op != NEAP_SQE_RUN && sqe->op != NEAP_SQE_CANCEL)
		return ne_fail(err, EINVAL, "unknown operation %u", sqe->op);
	if (sqe->reserved0 || sqe->reserved1)
		return ne_fail(err, EINVAL, "a reserved field is not zero");
	if (sqe->op == NEAP_SQE_CANCEL) {
		const struct neap_sqe plain = {.user_data = sqe->user_data, .op = sqe->op};

		if (memcmp(sqe, &plain, sizeof(plain)))
			return ne_fail(err, EINVAL, "a cancel entry has fields besides user_data");
		return 0;
	}
	if (sqe->flags & ~(unsigned)(NEAP_SQE_STRICT | NEAP_SQE_ANEW))
		return ne_fail(err, EINVAL, "unknown flags 0x%x", sqe->flags);
	if (sqe->in_offset % NE_ALIGN || sqe->out_offset % NE_ALIGN)
		return ne_fail(err, EINVAL, "an offset is not a multiple of %u", NE_ALIGN);
	if (sqe->deadline_ns > INT64_MAX)
		return ne_fail(err, EINVAL, "the deadline is out of range");
	if (sqe->min_accuracy > 10000)
		return ne_fail(err, EINVAL, "min_accuracy is above 10000");
	if (sqe->confidence > 10000 && sqe->confidence != UINT16_MAX)
		return ne_fail(err, EINVAL, "confidence is above 10000");
	return 0;
}

bool protocol_range_fits(uint64_t offset, uint64_t need, uint64_t bytes)
{
	return need <= bytes && offset <= bytes - need;
}
