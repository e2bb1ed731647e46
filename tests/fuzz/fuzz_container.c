// SPDX-License-Identifier: MIT
/*
 * Any bytes as a .neap file. The mutator changes one section at a time and makes the checksums true
 * again, so that what is behind them is reached. What is read must also be written, read again, made
 * a program and run.
 */
#include <string.h>

#include <neap/model.h>

#include "engine/model/stream.h"
#include "engine/run/run.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/container_models.h"

static const struct ne_limits tight = {
	.file_bytes = 1 << 20,
	.tensor_bytes = 4 << 20,
	.macs = 2000000,
	.nodes = 500,
};

#define MAX_ARENA ((size_t)8 << 20)

static void *zeroed(size_t bytes)
{
	void *p = calloc(1, bytes ? bytes : 1);

	FUZZ_ASSERT(p);
	return p;
}

static void run_level(const struct ne_program *p, struct ne_context *c, uint32_t level)
{
	uint32_t n_in = ne_program_inputs(p), n_out = ne_program_outputs(p);
	void *in[NE_MAX_IO], *out[NE_MAX_IO];
	struct ne_result result;

	FUZZ_ASSERT(n_in <= NE_MAX_IO && n_out <= NE_MAX_IO);
	for (uint32_t i = 0; i < n_in; i++)
		in[i] = zeroed(ne_program_input(p, i)->bytes);
	for (uint32_t i = 0; i < n_out; i++)
		out[i] = zeroed(ne_program_output(p, i)->bytes);
	FUZZ_ASSERT(ne_run(p, c, level, (const void *const *)in, out, NULL, &result) == 0);
	for (uint32_t i = 0; i < n_in; i++)
		free(in[i]);
	for (uint32_t i = 0; i < n_out; i++)
		free(out[i]);
}

static void run_model(const struct ne_model *m)
{
	struct ne_program *p;
	struct ne_context *c;
	uint32_t last;

	if (ne_program_new(m, NULL, &p, NULL) < 0)
		return;
	last = ne_program_levels(p) - 1;
	if (ne_program_arena_bytes(p, 0) <= MAX_ARENA &&
	    ne_program_arena_bytes(p, last) <= MAX_ARENA &&
	    ne_program_state_bytes(p) <= MAX_ARENA && ne_context_new(p, 1, &c) == 0) {
		run_level(p, c, 0);
		run_level(p, c, 0);
		ne_context_reset(c);
		run_level(p, c, last);
		ne_context_free(c);
	}
	ne_program_free(p);
}

/* Whatever its graph is: refused with a reason, or a model that runs. */
static void stream_model(const struct ne_model *m, size_t seed)
{
	struct ne_stream_options o = {
		.axis = (int32_t)(seed % 4),
		.step = 1 + (int32_t)(seed / 4 % 3),
		.whole = seed / 12 % 2,
	};
	struct ne_error err = {""};
	struct ne_model *s;

	if (ne_stream_model(m, &o, &s, NULL, &err) < 0) {
		FUZZ_ASSERT(err.text[0]);
		return;
	}
	run_model(s);
	ne_model_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ne_model *m, *again;
	struct ne_error err = {""};
	size_t bytes;
	void *file;

	if (ne_container_parse(data, size, &tight, &m, &err) < 0) {
		FUZZ_ASSERT(err.text[0]);
		return 0;
	}
	/* The entropy coder's search, each comparison traced, takes longer than all else; fuzz_rans
	 * is for it. */
	FUZZ_ASSERT(ne_container_serialise(m, size % 16 ? 0 : NE_PACK_RANS, &file, &bytes, &err) ==
		    0);
	FUZZ_ASSERT(ne_container_parse(file, bytes, NULL, &again, &err) == 0);
	ne_model_free(again);
	free(file);
	run_model(m);
	stream_model(m, size);
	ne_model_free(m);
	return 0;
}

/* Lays the sections out again with section @which replaced; returns bytes, or 0 where it is too much. */
static size_t replace_section(const uint8_t *file, const struct neap_file_header *h, uint32_t which,
			      const uint8_t *section, size_t section_bytes, uint8_t *out,
			      size_t max_size)
{
	struct neap_file_section s[NEAP_MAX_SECTIONS];
	struct neap_file_header head = *h;
	size_t end = sizeof(head) + h->n_section * sizeof(s[0]);

	memcpy(s, file + sizeof(head), h->n_section * sizeof(s[0]));
	for (uint32_t i = 0; i < h->n_section; i++) {
		const uint8_t *from = i == which ? section : file + s[i].offset;
		size_t begin = ne_round_up(end, NEAP_FILE_ALIGN);

		s[i].bytes = i == which ? section_bytes : s[i].bytes;
		if (begin > max_size || s[i].bytes > max_size - begin)
			return 0;
		memset(out + end, 0, begin - end);
		memcpy(out + begin, from, (size_t)s[i].bytes);
		s[i].offset = begin;
		end = begin + (size_t)s[i].bytes;
	}
	head.bytes = end;
	memcpy(out, &head, sizeof(head));
	memcpy(out + sizeof(head), s, h->n_section * sizeof(s[0]));
	return end;
}

static bool table_sound(const uint8_t *data, size_t size, struct neap_file_header *h)
{
	struct neap_file_section s;

	if (size < sizeof(*h))
		return false;
	memcpy(h, data, sizeof(*h));
	if (h->n_section == 0 || h->n_section > NEAP_MAX_SECTIONS ||
	    h->n_section * sizeof(s) > size - sizeof(*h))
		return false;
	for (uint32_t i = 0; i < h->n_section; i++) {
		memcpy(&s, data + sizeof(*h) + i * sizeof(s), sizeof(s));
		if (s.offset > size || s.bytes > size - s.offset)
			return false;
	}
	return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct neap_file_header h;
	struct neap_file_section s;
	uint8_t *section, *out;
	uint32_t which;
	size_t n, bytes;

	if (seed % 8 == 0 || !table_sound(data, size, &h)) {
		size = LLVMFuzzerMutate(data, size, max_size);
		if (seed % 16)
			test_container_fix(data, size);
		return size;
	}
	which = seed / 8 % h.n_section;
	memcpy(&s, data + sizeof(h) + which * sizeof(s), sizeof(s));
	n = (size_t)s.bytes;
	section = zeroed(n + 64);
	out = zeroed(max_size);
	memcpy(section, data + s.offset, n);
	n = LLVMFuzzerMutate(section, n, n + 64);
	bytes = replace_section(data, &h, which, section, n, out, max_size);
	if (bytes) {
		memcpy(data, out, bytes);
		size = bytes;
		test_container_fix(data, size);
	}
	free(section);
	free(out);
	return size;
}

static void seed_model(const char *name, struct ne_model *m, unsigned flags)
{
	size_t bytes;
	void *file;

	FUZZ_ASSERT(ne_container_serialise(m, flags, &file, &bytes, NULL) == 0);
	fuzz_seed_write(name, file, bytes);
	free(file);
	ne_model_free(m);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (getenv("NEAP_FUZZ_SEEDS")) {
		seed_model("least", test_model_least(), 0);
		seed_model("states", test_model_stateful(), 0);
		seed_model("small", test_model_small(), NE_PACK_RANS | NE_PACK_F16);
		for (uint64_t i = 1; i < 4; i++)
			seed_model((char[]){'r', (char)('0' + i), 0}, test_model_random(i),
				   (unsigned)i);
	}
	return 0;
}
