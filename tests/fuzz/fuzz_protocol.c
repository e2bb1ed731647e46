// SPDX-License-Identifier: MIT
/* Any bytes as a message to the daemon, as a ring entry, as a range in a buffer. */
#include <string.h>

#include "daemon/protocol.h"
#include "tests/fuzz/fuzz.h"

static void check_message(const uint8_t *data, size_t size)
{
	uint8_t *msg = malloc(size ? size : 1); /* its end is the end of the memory */
	struct ne_error err = {""};

	FUZZ_ASSERT(msg);
	if (size)
		memcpy(msg, data, size);
	for (unsigned fds = 0; fds < 5; fds++) {
		int type = protocol_check(msg, size, fds, &err);

		if (type < 0)
			FUZZ_ASSERT(type == -EPROTO && err.text[0]);
		else
			FUZZ_ASSERT(size >= sizeof(struct neap_msg) &&
				    strcmp(protocol_name((unsigned)type), "?") != 0);
	}
	free(msg);
}

static void check_entry(const uint8_t *data, size_t size)
{
	struct neap_sqe sqe = {0};
	uint64_t v[3] = {0};

	memcpy(&sqe, data, NE_MIN(size, sizeof(sqe)));
	(void)protocol_check_sqe(&sqe, NULL);
	memcpy(v, data, NE_MIN(size, sizeof(v)));
	if (protocol_range_fits(v[0], v[1], v[2]))
		FUZZ_ASSERT(v[0] <= v[2] && v[1] <= v[2] - v[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= NEAP_WIRE_MSG_BYTES + 64u)
		check_message(data, size);
	check_entry(data, size);
	return 0;
}

/* One message of each type, in its length, otherwise zero. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	for (unsigned type = 0; type < 32; type++) {
		union protocol_message m = {.h = {.type = (uint16_t)type}};
		char name[16];

		for (size_t bytes = sizeof(m.h); bytes <= sizeof(m); bytes += 8) {
			m.h.bytes = (uint32_t)bytes;
			if (protocol_check(&m, bytes, 0, NULL) < 0 &&
			    protocol_check(&m, bytes, 1, NULL) < 0 && bytes != sizeof(m.h))
				continue;
			snprintf(name, sizeof(name), "m%u-%zu", type, bytes);
			fuzz_seed_write(name, &m, bytes);
		}
	}
	return 0;
}
