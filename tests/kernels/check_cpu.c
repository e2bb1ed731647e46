/* SPDX-License-Identifier: MIT */
/* Names of instruction sets, and that each gives a whole table. */
#include "tests/kernels/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
	"c", "sse41", "avx2", "avxvnni", "avx512vnni", "amx", "neon", "dotprod",
};

/* No pointer is missing and the layout is within what table.h promises. */
static bool whole(const struct ne_kernels *k)
{
	const char *at = (const char *)k + offsetof(struct ne_kernels, conv_s8);

	for (; at < (const char *)&k->conv_image_s8; at += sizeof(void (*)(void))) {
		void (*fn)(void);

		memcpy(&fn, at, sizeof(fn));
		if (!fn)
			return false;
	}
	return k->cpu && k->conv_s8_nr >= 1 && k->conv_s8_nr <= 32 && k->conv_f32_nr >= 1 &&
	       k->conv_f32_nr <= 32 && k->conv_s8_kr && k->conv_s8_kr <= 16 &&
	       !(k->conv_s8_kr & (k->conv_s8_kr - 1)) &&
	       (k->conv_s8_shift == 0 || k->conv_s8_shift == 128);
}

static bool named_tables(void)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(names); i++) {
		struct ne_kernels k = {0};
		const int flags = ne_cpu_parse(names[i]);

		if (flags < 0)
			return false;
		ne_kernels_init(&k, (unsigned)flags);
		if (!whole(&k))
			return false;
	}
	return true;
}

static bool unknown_names(void)
{
	static const char *const bad[] = {"", "C", "avx", "avx2 ", "avx512", "sse4.1", "neon,"};

	for (size_t i = 0; i < NE_ARRAY_SIZE(bad); i++)
		if (ne_cpu_parse(bad[i]) != -EINVAL)
			return false;
	return ne_cpu_parse(NULL) == -EINVAL;
}

/* A name only ever takes sets away, and an unknown one changes nothing. */
static bool selection(void)
{
	const unsigned have = ne_cpu_detect();
	bool ok = true;

	for (size_t i = 0; i < NE_ARRAY_SIZE(names); i++) {
		const unsigned want = have & (unsigned)ne_cpu_parse(names[i]);

		ok &= ne_cpu_select(names[i]) == want;
		setenv("NEAP_CPU", names[i], 1);
		ok &= ne_cpu_select(NULL) == want;
		ok &= ne_cpu_select("c") == 0; /* an argument wins over the environment */
	}
	setenv("NEAP_CPU", "pentium", 1);
	ok &= ne_cpu_select(NULL) == have;
	unsetenv("NEAP_CPU");
	return ok && ne_cpu_select(NULL) == have && ne_cpu_select("pentium") == have;
}

/* Sets come in order: none without those that its kernels build on. */
static bool detection(void)
{
	const unsigned have = ne_cpu_detect();

	if ((have & NE_CPU_AVX512VNNI) && !(have & NE_CPU_AVX2))
		return false;
	if ((have & NE_CPU_AVXVNNI) && !(have & NE_CPU_AVX2))
		return false;
	if ((have & NE_CPU_AVX2) && !(have & NE_CPU_SSE41))
		return false;
	return !(have & NE_CPU_DOTPROD) || (have & NE_CPU_NEON);
}

void check_cpu(unsigned *passed, unsigned *failed)
{
	static const struct {
		const char *name;
		bool (*run)(void);
	} tests[] = {
		{"names give whole tables", named_tables},
		{"unknown names are refused", unknown_names},
		{"NEAP_CPU lowers the choice", selection},
		{"sets build on each other", detection},
	};

	for (size_t i = 0; i < NE_ARRAY_SIZE(tests); i++) {
		const bool ok = tests[i].run();

		printf("%s cpu: %s\n", ok ? "ok  " : "FAIL", tests[i].name);
		*(ok ? passed : failed) += 1;
	}
}
