/* SPDX-License-Identifier: MIT */
/*
 * What the CPU's multiply-add units give at most: independent sums in registers, no memory. f32
 * counts FMA; s8 the dot product of four bytes where the instruction set has it, else the pair of
 * instructions that AVX2 has for it (vpmaddubsw, vpmaddwd) and the addition.
 */
#include "tests/bench/peers/peers.h"

#include "engine/kernels/table.h"

#include <pthread.h>
#include <string.h>

#define LOOPS 20000
#define TRIES 15

struct loop {
	void (*fn)(void);
	double ops; /* of one call: two for each multiply-accumulate */
};

#if defined(__x86_64__)

#define REPEAT_12(m) m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11)
#define CLOBBER                                                                                  \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
		"xmm11", "xmm12", "xmm13", "xmm14"

/* A denormal that lies in a register would slow everything down. */
#define ZERO(i) "vpxor %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n\t"

#define LOOP(name, body)                                                                         \
	static void name(void)                                                                   \
	{                                                                                        \
		uint64_t n = LOOPS;                                                              \
                                                                                                 \
		__asm__ volatile(REPEAT_12(ZERO) ZERO(12) ZERO(13)                               \
					 ZERO(14) "1:\n\t" body "dec %0\n\tjnz 1b\n\tvzeroupper" \
				 : "+r"(n)                                                       \
				 :                                                               \
				 : "cc", CLOBBER);                                               \
	}

#define FMA_512(i) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" #i "\n\t"
#define FMA_256(i) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" #i "\n\t"
#define DOT_512(i) "vpdpbusd %%zmm12, %%zmm13, %%zmm" #i "\n\t"
#define DOT_256(i)                                 \
	"vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n\t" \
	"vpmaddwd %%ymm14, %%ymm13, %%ymm14\n\t"   \
	"vpaddd %%ymm14, %%ymm" #i ", %%ymm" #i "\n\t"

LOOP(fma_512, REPEAT_12(FMA_512))
LOOP(fma_256, REPEAT_12(FMA_256))
LOOP(dot_512, REPEAT_12(DOT_512))
LOOP(dot_256, REPEAT_12(DOT_256))

static struct loop loop_for(const char *precision, unsigned flags)
{
	bool s8 = strcmp(precision, "s8") == 0, wide = flags & NE_CPU_AVX512VNNI;
	double lanes = (wide ? 16 : 8) * (s8 ? 4 : 1);

	if (!(flags & NE_CPU_AVX2))
		return (struct loop){NULL, 0};
	return (struct loop){s8     ? wide ? dot_512 : dot_256
			     : wide ? fma_512
				    : fma_256,
			     2.0 * 12 * LOOPS * lanes};
}

#else

static struct loop loop_for(const char *precision, unsigned flags)
{
	(void)precision;
	(void)flags;
	return (struct loop){NULL, 0};
}

#endif

struct worker {
	pthread_barrier_t *start;
	struct loop loop;
	double best_us;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	w->best_us = 1e30;
	pthread_barrier_wait(w->start);
	for (int i = 0; i < TRIES; i++) {
		double from = now_us(), took;

		w->loop.fn();
		took = now_us() - from;
		w->best_us = took < w->best_us ? took : w->best_us;
	}
	return NULL;
}

double peak_gops(const char *precision, const char *cpu, unsigned threads)
{
	struct worker w[64] = {{0}};
	struct loop loop = loop_for(precision, ne_cpu_select(cpu));
	pthread_barrier_t start;
	pthread_t id[64];
	double sum = 0;

	if (!loop.fn || threads > 64)
		return 0;
	pthread_barrier_init(&start, NULL, threads);
	for (unsigned i = 0; i < threads; i++) {
		w[i] = (struct worker){.start = &start, .loop = loop};
		if (pthread_create(&id[i], NULL, work, &w[i]))
			return 0;
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(id[i], NULL);
		sum += loop.ops / w[i].best_us / 1e3;
	}
	pthread_barrier_destroy(&start);
	return sum;
}
