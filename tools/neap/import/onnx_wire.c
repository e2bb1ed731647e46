/* SPDX-License-Identifier: MIT */
/*
 * Walks the bytes of an ONNX file before protobuf-c unpacks them. protobuf-c calls itself for each
 * nested message and allocates a struct for a message of two bytes, so a file could exhaust the
 * stack or memory; here depth and number of messages have limits. Needs no memory itself.
 */
#include "tools/neap/import/onnx_internal.h"

/* Model, graph, node, attribute, tensor and type are six levels; a graph in an attribute (refused
 * later, with the node's name) adds three each. */
#define DEPTH_MAX    32
#define MESSAGES_MAX (8u << 20)

struct wire {
	const uint8_t *p;
	uint32_t messages;
	struct ne_error *err;
};

static int damaged(const struct wire *w, const char *what, const uint8_t *base)
{
	return ne_fail(w->err, EBADMSG, "not an ONNX model: %s at byte %zu", what,
		       (size_t)(base - w->p));
}

static const uint8_t *varint(const uint8_t *at, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && at < end; shift += 7) {
		v |= (uint64_t)(*at & 0x7f) << shift;
		if (!(*at++ & 0x80)) {
			*ret = v;
			return at;
		}
	}
	return NULL;
}

static int walk(struct wire *w, const ProtobufCMessageDescriptor *d, const uint8_t *at,
		const uint8_t *end, unsigned depth)
{
	if (depth > DEPTH_MAX)
		return ne_fail(w->err, E2BIG, "ONNX model: messages nested deeper than %d",
			       DEPTH_MAX);
	if (++w->messages > MESSAGES_MAX)
		return ne_fail(w->err, E2BIG, "ONNX model: more than %u parts", MESSAGES_MAX);
	while (at < end) {
		const ProtobufCFieldDescriptor *f;
		const uint8_t *start = at;
		uint64_t key, len;

		at = varint(at, end, &key);
		if (!at || key >> 3 == 0 || key >> 3 > UINT32_MAX)
			return damaged(w, "a bad field number", start);
		switch (key & 7) {
		case 0:
			at = varint(at, end, &len);
			if (!at)
				return damaged(w, "a bad number", start);
			continue;
		case 1:
			len = 8;
			break;
		case 5:
			len = 4;
			break;
		case 2:
			at = varint(at, end, &len);
			if (!at)
				return damaged(w, "a bad length", start);
			break;
		default:
			return damaged(w, "an unknown wire type", start);
		}
		if (len > (uint64_t)(end - at))
			return damaged(w, "a field that passes the end", start);
		f = protobuf_c_message_descriptor_get_field(d, (unsigned)(key >> 3));
		if (f && f->type == PROTOBUF_C_TYPE_MESSAGE && (key & 7) == 2)
			NE_RETURN_IF(walk(w, f->descriptor, at, at + len, depth + 1));
		at += len;
	}
	return 0;
}

int onnx_wire_check(const void *data, size_t bytes, struct ne_error *err)
{
	struct wire w = {.p = data, .err = err};

	if (bytes == 0)
		return ne_fail(err, EBADMSG, "not an ONNX model: the file is empty");
	return walk(&w, &onnx__model_proto__descriptor, w.p, w.p + bytes, 0);
}
