/* SPDX-License-Identifier: MIT */
/*
 * check: tests every kernel of every instruction set that this CPU has, C first, then with the mask
 * of sets widened step by step; a pointer already tested is not tested again. A kernel that
 * crashes or hangs has failed, and the next one is tested. `check --bench` then times them.
 *
 * Exit status: 0 all passed, 1 something failed, 2 wrong usage.
 */
#include "tests/kernels/check.h"

#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS 60 /* for one random case; generous, for emulators and valgrind */

static const struct check_test *const tests[] = {
	&check_conv_s8,        &check_conv_f32,      &check_dw_s8,        &check_dw_f32,
	&check_maxpool_s8,     &check_maxpool_f32,   &check_avgpool_s8,   &check_avgpool_f32,
	&check_add_s8,         &check_add_f32,       &check_mul_f32,      &check_clamp_f32,
	&check_hardswish_f32,  &check_lut_s8,        &check_quantise_s8,  &check_dequantise_s8,
	&check_mel_f32,        &check_conv_image_s8, &check_dw_image_s8,  &check_interleave_8,
	&check_conv_lines_f32, &check_dw_lines_f32,  &check_dense_s8,     &check_conv_quads_s8,
	&check_sums_s8,        &check_rans32,        &check_dw_square_s8, &check_conv_winograd_s8,
};

static const struct {
	const char *name;
	bool here; /* of this architecture */
} sets[] = {
	{"c", true},
#if defined(__x86_64__) || defined(__i386__)
	{"sse41", true}, {"avx2", true}, {"avxvnni", true}, {"avx512vnni", true}, {"amx", true},
#elif defined(__aarch64__)
	{"neon", true},
	{"dotprod", true},
#endif
};

static struct {
	uint64_t seed;
	const char *kernel;
	bool bench;
	unsigned passed, failed, skipped;
} run;

static sigjmp_buf crashed;
static volatile sig_atomic_t in_kernel;

static void on_signal(int sig)
{
	if (!in_kernel) {
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	siglongjmp(crashed, sig);
}

static void catch_crashes(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM};
	struct sigaction sa = {.sa_handler = on_signal};

	for (size_t i = 0; i < NE_ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
}

static const char *signal_word(int sig)
{
	return sig == SIGALRM   ? "hangs"
	       : sig == SIGSEGV ? "touches memory outside (SIGSEGV)"
	       : sig == SIGBUS  ? "touches memory outside (SIGBUS)"
	       : sig == SIGILL  ? "has an instruction that this CPU has not (SIGILL)"
				: "crashes (SIGFPE)";
}

static void (*slot(const struct ne_kernels *k, const struct check_test *t))(void)
{
	void (*fn)(void);

	memcpy(&fn, (const char *)k + t->slot, sizeof(fn));
	return fn;
}

/* One case with its own seed; a crash in it is a failure. */
static bool run_case(struct check *c, const struct check_test *t)
{
	bool ok;
	int sig;

	check_reset();
	snprintf(c->why, sizeof(c->why), "no reason given");
	sig = sigsetjmp(crashed, 1);
	if (sig) {
		alarm(0);
		in_kernel = 0;
		snprintf(c->why, sizeof(c->why), "%s", signal_word(sig));
		return false;
	}
	in_kernel = 1;
	alarm(HANG_SECONDS);
	ok = t->run(c);
	alarm(0);
	in_kernel = 0;
	return ok;
}

static void test_kernel(const struct ne_kernels *k, const char *set, const struct check_test *t)
{
	struct check c = {.k = k};

	for (unsigned i = 0; i < t->cases; i++) {
		const uint64_t seed = run.seed + i;

		c.rng = seed;
		if (run_case(&c, t))
			continue;
		printf("FAIL %-14s %-10s %s; repeat with --kernel %s --seed %llu\n", t->name, set,
		       c.why, t->name, (unsigned long long)seed);
		run.failed++;
		return;
	}
	printf("ok   %-14s %-10s %u cases\n", t->name, set, t->cases);
	run.passed++;
}

/* True where there is none, or a lower set had the same: "already tested" in dav1d's checkasm. */
static bool seen_before(const struct check_test *t, size_t set, const struct ne_kernels *k)
{
	struct ne_kernels lower;

	if (!slot(k, t))
		return true;
	for (size_t i = 0; i < set; i++) {
		ne_kernels_init(&lower, (unsigned)ne_cpu_parse(sets[i].name));
		if (slot(&lower, t) == slot(k, t))
			return true;
	}
	return false;
}

/* Calls @each for every kernel not seen in a lower set. */
static void for_each_kernel(void (*each)(const struct ne_kernels *, const char *,
					 const struct check_test *),
			    bool count_skipped)
{
	const unsigned have = ne_cpu_detect();

	for (size_t s = 0; s < NE_ARRAY_SIZE(sets); s++) {
		const unsigned flags = (unsigned)ne_cpu_parse(sets[s].name);
		struct ne_kernels k;
		unsigned own = flags;

		if (s)
			own &= ~(unsigned)ne_cpu_parse(sets[s - 1].name);
		own &= ~(unsigned)NE_CPU_AVX512VBMI; /* where there: not all CPUs have it */
		if (own & ~have) {
			if (count_skipped) {
				printf("skip %-14s %-10s this CPU does not have it\n", "all",
				       sets[s].name);
				run.skipped++;
			}
			continue;
		}
		ne_kernels_init(&k, flags & (have | own));
		for (size_t t = 0; t < NE_ARRAY_SIZE(tests); t++)
			if ((!run.kernel || !strcmp(run.kernel, tests[t]->name)) &&
			    !seen_before(tests[t], s, &k))
				each(&k, sets[s].name, tests[t]);
		fflush(stdout);
	}
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare_double(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

#define SAMPLES   31
#define SAMPLE_NS 100000.0 /* a sample is long against the clock's resolution */

void check_time(struct check *c, const char *label, double work, const char *unit,
		void (*call)(const void *arg), const void *arg)
{
	double sample[SAMPLES], sum = 0;
	unsigned calls = 1;

	for (;;) { /* warm up, and find how many calls make a sample */
		const double start = now_ns();

		for (unsigned i = 0; i < calls; i++)
			call(arg);
		if (now_ns() - start >= SAMPLE_NS || calls >= 1u << 20)
			break;
		calls *= 2;
	}
	for (unsigned s = 0; s < SAMPLES; s++) {
		const double start = now_ns();

		for (unsigned i = 0; i < calls; i++)
			call(arg);
		sample[s] = (now_ns() - start) / calls;
	}
	qsort(sample, SAMPLES, sizeof(sample[0]), compare_double);
	for (unsigned s = 0; s < SAMPLES / 2; s++) /* the slower half was disturbed */
		sum += sample[s];
	sum /= SAMPLES / 2;
	printf("  %-10s %-22s %12.1f ns %10.2f %s/ns\n", c->k->cpu, label, sum, work / sum, unit);
}

static void bench_kernel(const struct ne_kernels *k, const char *set, const struct check_test *t)
{
	struct check c = {.k = k, .rng = run.seed, .bench = true};

	(void)set;
	printf("bench %s\n", t->name);
	check_reset();
	t->bench(&c);
}

static int usage(FILE *to)
{
	fprintf(to, "usage: check [--kernel NAME] [--seed N] [--bench] [--list]\n"
		    "Tests the kernels of every instruction set that this CPU has.\n"
		    "  --kernel NAME  this one alone\n"
		    "  --seed N       repeat a run (a failure prints its seed)\n"
		    "  --bench        time the kernels too, if none failed\n"
		    "  --list         print the names of the kernels\n");
	return to == stderr ? 2 : 0;
}

static int parse_seed(const char *text)
{
	char *end;

	errno = 0;
	run.seed = strtoull(text, &end, 10);
	if (!errno && *text >= '0' && *text <= '9' && !*end)
		return 0;
	fprintf(stderr, "check: --seed %s: not a number from 0 to 2^64 - 1\n", text);
	return -EINVAL;
}

static bool known_kernel(const char *name)
{
	for (size_t t = 0; t < NE_ARRAY_SIZE(tests); t++)
		if (!strcmp(name, tests[t]->name))
			return true;
	fprintf(stderr, "check: --kernel %s: no such kernel; --list prints them\n", name);
	return false;
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"kernel", required_argument, NULL, 'k'}, {"seed", required_argument, NULL, 's'},
		{"bench", no_argument, NULL, 'b'},        {"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},         {0},
	};
	int o;

	while ((o = getopt_long(argc, argv, "k:s:blh", options, NULL)) != -1) {
		if (o == 'k' && known_kernel(optarg))
			run.kernel = optarg;
		else if (o == 's' && !parse_seed(optarg))
			continue;
		else if (o == 'b')
			run.bench = true;
		else if (o == 'l') {
			for (size_t t = 0; t < NE_ARRAY_SIZE(tests); t++)
				puts(tests[t]->name);
			return 0;
		} else if (o == 'h')
			return usage(stdout);
		else
			return o == '?' ? usage(stderr) : 2;
	}
	return optind < argc ? usage(stderr) : -1;
}

int main(int argc, char **argv)
{
	int status;

	run.seed = (uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid();
	status = parse_options(argc, argv);
	if (status >= 0)
		return status;
	printf("seed %llu\n", (unsigned long long)run.seed);
	catch_crashes();
	if (!run.kernel)
		check_cpu(&run.passed, &run.failed);
	for_each_kernel(test_kernel, true);
	if (run.bench && !run.failed)
		for_each_kernel(bench_kernel, false);
	printf("%u passed, %u failed, %u skipped\n", run.passed, run.failed, run.skipped);
	return run.failed ? 1 : 0;
}
