/* SPDX-License-Identifier: MIT */
/*
 * Which instruction sets this CPU has and its operating system keeps across a context switch, and
 * how a user lowers the choice.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/table.h"

/* Asking takes tens of microseconds on virtual machines, where CPUID is emulated: once a process. */
#define KNOWN (1u << 31)

static const struct {
	const char *name;
	unsigned flags; /* its own and those of all below it on its architecture */
} sets[] = {
	{"c", 0},
	{"sse41", NE_CPU_SSE41},
	{"avx2", NE_CPU_SSE41 | NE_CPU_AVX2},
	{"avxvnni", NE_CPU_SSE41 | NE_CPU_AVX2 | NE_CPU_AVXVNNI},
	{"avx512vnni",
	 NE_CPU_SSE41 | NE_CPU_AVX2 | NE_CPU_AVXVNNI | NE_CPU_AVX512VNNI | NE_CPU_AVX512VBMI},
	{"amx", NE_CPU_SSE41 | NE_CPU_AVX2 | NE_CPU_AVXVNNI | NE_CPU_AVX512VNNI |
			NE_CPU_AVX512VBMI | NE_CPU_AMX},
	{"neon", NE_CPU_NEON},
	{"dotprod", NE_CPU_NEON | NE_CPU_DOTPROD},
};

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(word, n) ((word) >> (n)&1u)

/* State components that the operating system saves (XCR0). Only where CPUID says OSXSAVE. */
static uint64_t saved_state(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

#define STATE_AVX    0x06u    /* SSE and the upper halves of ymm */
#define STATE_AVX512 0xe6u    /* and opmask, the upper halves of zmm0-15, zmm16-31 */
#define STATE_AMX    0x60000u /* the tiles and their configuration */

/* Tiles are 8 KiB of state for each thread: Linux (5.16) wants to be asked, once for a process. */
#define ASK_FOR_STATE 0x1023 /* ARCH_REQ_XCOMP_PERM */
#define TILE_DATA     18     /* XFEATURE_XTILEDATA */

static bool may_use_tiles(uint64_t state)
{
#ifdef SYS_arch_prctl
	return (state & STATE_AMX) == STATE_AMX &&
	       syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
#else
	(void)state;
	return false;
#endif
}

static unsigned detect_extended(uint64_t state, uint32_t leaf1_ecx)
{
	uint32_t eax, ebx, ecx, edx, eax1 = 0, ignored;
	unsigned flags = 0;

	if ((state & STATE_AVX) != STATE_AVX || !BIT(leaf1_ecx, 28) ||
	    !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		return 0;
	if (eax >= 1) /* subleaves of leaf 7 */
		__cpuid_count(7, 1, eax1, ignored, ignored, ignored);
	if (BIT(ebx, 5) && BIT(leaf1_ecx, 12)) /* AVX2 and FMA */
		flags |= NE_CPU_AVX2;
	if (flags && BIT(eax1, 4))
		flags |= NE_CPU_AVXVNNI;
	if (flags && (state & STATE_AVX512) == STATE_AVX512 && BIT(ebx, 16) && BIT(ebx, 17) &&
	    BIT(ebx, 30) && BIT(ebx, 31) && BIT(ecx, 11)) /* F, DQ, BW, VL, VNNI */
		flags |= NE_CPU_AVX512VNNI | (BIT(ecx, 1) ? NE_CPU_AVX512VBMI : 0u);
	if ((flags & NE_CPU_AVX512VBMI) && BIT(edx, 24) && BIT(edx, 25) && may_use_tiles(state))
		flags |= NE_CPU_AMX;
	return flags;
}

static unsigned detect(void)
{
	uint32_t eax, ebx, ecx, edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !BIT(ecx, 19)) /* SSE4.1 */
		return 0;
	return NE_CPU_SSE41 | (BIT(ecx, 27) ? detect_extended(saved_state(), ecx) : 0);
}

#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

static unsigned detect(void)
{
	const unsigned long hwcap = getauxval(AT_HWCAP);

	if (!(hwcap & HWCAP_ASIMD))
		return 0;
	return NE_CPU_NEON | (hwcap & HWCAP_ASIMDDP ? NE_CPU_DOTPROD : 0);
}

#else
static unsigned detect(void)
{
	return 0;
}
#endif

unsigned ne_cpu_detect(void)
{
	static _Atomic unsigned known; /* flags and KNOWN */
	unsigned flags = atomic_load_explicit(&known, memory_order_relaxed);

	if (!flags) { /* threads that meet here find the same */
		flags = detect() | KNOWN;
		atomic_store_explicit(&known, flags, memory_order_relaxed);
	}
	return flags & ~KNOWN;
}

int ne_cpu_parse(const char *name)
{
	for (size_t i = 0; name && i < NE_ARRAY_SIZE(sets); i++)
		if (!strcmp(name, sets[i].name))
			return (int)sets[i].flags;
	return -EINVAL;
}

unsigned ne_cpu_select(const char *name)
{
	const unsigned detected = ne_cpu_detect();
	int allowed;

	if (!name)
		name = getenv("NEAP_CPU");
	allowed = ne_cpu_parse(name);
	return allowed < 0 ? detected : detected & (unsigned)allowed;
}
