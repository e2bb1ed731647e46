/* SPDX-License-Identifier: MIT */
/* The form of messages and ring entries: what is right passes, each single wrong thing does not. */
#include "daemon/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct sample {
	uint16_t type;
	uint32_t bytes;
	unsigned fds;
};

static const struct sample samples[] = {
	{NEAP_MSG_HELLO, sizeof(struct neap_msg_hello), 0},
	{NEAP_MSG_RINGS, sizeof(struct neap_msg_rings), 1},
	{NEAP_MSG_BUF_ADD, sizeof(struct neap_msg_buf_add), 1},
	{NEAP_MSG_BUF_REMOVE, sizeof(struct neap_msg_handle), 0},
	{NEAP_MSG_MODEL_OPEN, sizeof(struct neap_msg_model_open), 0},
	{NEAP_MSG_MODEL_CLOSE, sizeof(struct neap_msg_handle), 0},
	{NEAP_MSG_CONTROL, sizeof(struct neap_msg) + 7, 0},
};

static void make(const struct sample *s, union protocol_message *m)
{
	memset(m, 0, sizeof(*m));
	m->h.type = s->type;
	m->h.bytes = s->bytes;
	m->h.id = 42;
	if (s->type == NEAP_MSG_HELLO)
		m->hello.version = NEAP_WIRE_VERSION;
	if (s->type == NEAP_MSG_CONTROL)
		memcpy(m->control.text, "status", 7);
}

static void refused(const union protocol_message *m, size_t bytes, unsigned fds)
{
	struct ne_error err = {""};

	assert_int_equal(protocol_check(m, bytes, fds, &err), -EPROTO);
	assert_true(err.text[0]);
	assert_int_equal(protocol_check(m, bytes, fds, NULL), -EPROTO);
}

static void good_messages_pass(void **state)
{
	union protocol_message m;

	(void)state;
	for (unsigned i = 0; i < NE_ARRAY_SIZE(samples); i++) {
		make(&samples[i], &m);
		assert_int_equal(protocol_check(&m, samples[i].bytes, samples[i].fds, NULL),
				 samples[i].type);
		assert_string_not_equal(protocol_name(samples[i].type), "?");
	}
}

static void every_wrong_length_is_refused(void **state)
{
	union protocol_message m;

	(void)state;
	for (unsigned i = 0; i < NE_ARRAY_SIZE(samples); i++) {
		for (uint32_t n = 0; n <= sizeof(m) + 1; n++) {
			bool control = samples[i].type == NEAP_MSG_CONTROL;

			if (n == samples[i].bytes || (control && n > samples[i].bytes &&
						      n <= sizeof(struct neap_msg_control)))
				continue;
			make(&samples[i], &m);
			m.h.bytes = n;
			refused(&m, n, samples[i].fds);
		}
		/* The header lies about the length. */
		make(&samples[i], &m);
		m.h.bytes++;
		refused(&m, samples[i].bytes, samples[i].fds);
	}
}

static void wrong_descriptors_are_refused(void **state)
{
	union protocol_message m;

	(void)state;
	for (unsigned i = 0; i < NE_ARRAY_SIZE(samples); i++)
		for (unsigned n = 0; n < 4; n++) {
			if (n == samples[i].fds)
				continue;
			make(&samples[i], &m);
			refused(&m, samples[i].bytes, n);
		}
}

static void reserved_fields_are_checked(void **state)
{
	union protocol_message m;

	(void)state;
	for (unsigned i = 0; i < NE_ARRAY_SIZE(samples); i++) {
		make(&samples[i], &m);
		m.h.reserved = 1;
		refused(&m, samples[i].bytes, samples[i].fds);
		make(&samples[i], &m);
		m.h.status = -1;
		refused(&m, samples[i].bytes, samples[i].fds);
	}
	make(&samples[0], &m);
	m.hello.features = 1;
	refused(&m, samples[0].bytes, 0);
	m.hello.version++; /* another version's features are for the session to answer */
	assert_int_equal(protocol_check(&m, samples[0].bytes, 0, NULL), NEAP_MSG_HELLO);
	make(&samples[1], &m);
	m.rings.reserved = 1;
	refused(&m, samples[1].bytes, 1);
	make(&samples[2], &m);
	m.buf_add.reserved = 1;
	refused(&m, samples[2].bytes, 1);
	make(&samples[3], &m);
	m.handle.reserved = 1;
	refused(&m, samples[3].bytes, 0);
}

static void unknown_types_are_refused(void **state)
{
	union protocol_message m;

	(void)state;
	for (unsigned t = 0; t < 65536; t++) {
		bool known = t >= NEAP_MSG_HELLO && t <= NEAP_MSG_CONTROL;

		if (known)
			continue;
		make(&samples[3], &m);
		m.h.type = (uint16_t)t;
		refused(&m, samples[3].bytes, 0);
	}
}

static void strings_must_end(void **state)
{
	union protocol_message m;

	(void)state;
	make(&samples[0], &m);
	memset(m.hello.name, 'x', sizeof(m.hello.name));
	refused(&m, samples[0].bytes, 0);
	make(&samples[4], &m);
	memset(m.model_open.name, 'x', sizeof(m.model_open.name));
	refused(&m, samples[4].bytes, 0);
	make(&samples[6], &m);
	memset(m.control.text, 'x', sizeof(m.control.text));
	refused(&m, samples[6].bytes, 0);
}

/* Of the message given no byte beyond its end is looked at: the copy is as long as the message. */
static void any_alignment_and_no_byte_beyond(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NE_ARRAY_SIZE(samples); i++)
		for (unsigned shift = 0; shift < 8; shift++) {
			union protocol_message m;
			char *exact = malloc(samples[i].bytes + shift);

			assert_non_null(exact);
			make(&samples[i], &m);
			memcpy(exact + shift, &m, samples[i].bytes);
			assert_int_equal(protocol_check(exact + shift, samples[i].bytes,
							samples[i].fds, NULL),
					 samples[i].type);
			free(exact);
		}
}

static struct neap_sqe good_sqe(void)
{
	return (struct neap_sqe){
		.op = NEAP_SQE_RUN,
		.flags = NEAP_SQE_STRICT,
		.in_offset = 64,
		.out_offset = 1 << 20,
		.deadline_ns = 1,
		.min_accuracy = 10000,
		.confidence = UINT16_MAX,
	};
}

static void sqe_refused(const struct neap_sqe *sqe)
{
	struct ne_error err = {""};

	assert_int_equal(protocol_check_sqe(sqe, &err), -EINVAL);
	assert_true(err.text[0]);
}

static void entries(void **state)
{
	struct neap_sqe s = good_sqe(), cancel = {.op = NEAP_SQE_CANCEL, .user_data = 7};

	(void)state;
	assert_int_equal(protocol_check_sqe(&s, NULL), 0);
	assert_int_equal(protocol_check_sqe(&cancel, NULL), 0);
	cancel.model = 1;
	sqe_refused(&cancel);
#define WRONG(field, value) \
	s = good_sqe();     \
	s.field = value;    \
	sqe_refused(&s)
	WRONG(op, 0);
	WRONG(op, 3);
	WRONG(op, UINT16_MAX);
	WRONG(flags, 4);
	WRONG(flags, 0x8001);
	WRONG(in_offset, 1);
	WRONG(in_offset, UINT64_MAX);
	WRONG(out_offset, 63);
	WRONG(deadline_ns, UINT64_MAX);
	WRONG(min_accuracy, 10001);
	WRONG(confidence, 10001);
	WRONG(confidence, UINT16_MAX - 1);
	WRONG(reserved0, 1);
	WRONG(reserved1, 1);
#undef WRONG
}

static void ranges(void **state)
{
	(void)state;
	assert_true(protocol_range_fits(0, 0, 0));
	assert_true(protocol_range_fits(0, 64, 64));
	assert_true(protocol_range_fits(64, 64, 128));
	assert_false(protocol_range_fits(64, 65, 128));
	assert_false(protocol_range_fits(128, 1, 128));
	assert_false(protocol_range_fits(0, 129, 128));
	assert_false(protocol_range_fits(UINT64_MAX - 63, 128, 128)); /* the sum overflows to 64 */
	assert_false(protocol_range_fits(64, UINT64_MAX - 63, UINT64_MAX - 64));
	assert_true(protocol_range_fits(UINT64_MAX, 0, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_messages_pass),
		cmocka_unit_test(every_wrong_length_is_refused),
		cmocka_unit_test(wrong_descriptors_are_refused),
		cmocka_unit_test(reserved_fields_are_checked),
		cmocka_unit_test(unknown_types_are_refused),
		cmocka_unit_test(strings_must_end),
		cmocka_unit_test(any_alignment_and_no_byte_beyond),
		cmocka_unit_test(entries),
		cmocka_unit_test(ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
