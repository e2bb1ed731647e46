/* SPDX-License-Identifier: MIT */
/*
 * run_model: runs every level of a .neap on inputs made of a fixed sequence of numbers and prints a
 * digest of all outputs. It needs the engine alone, so that it is built for arm64 too and run under an emulator:
 * equal digests are equal bytes on both, and the instructions of runs can be counted.
 *
 *   run_model MODEL.neap INPUTS RUNS    INPUTS different inputs, each RUNS times a level
 *
 * The set of kernels is chosen by NEAP_CPU. Exit status: 0, 1 failed, 2 wrong usage.
 */
#include "engine/model/container.h"
#include "engine/run/run.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_COUNT 100000

struct job {
	struct ne_model *model;
	struct ne_program *program;
	struct ne_context *context;
	void *in[NE_MAX_IO], *out[NE_MAX_IO];
	uint64_t random, digest;
};

static void job_done(struct job *j)
{
	for (size_t i = 0; i < NE_MAX_IO; i++) {
		free(j->in[i]);
		free(j->out[i]);
	}
	ne_context_free(j->context);
	ne_program_free(j->program);
	ne_model_free(j->model);
}

static int job_init(struct job *j, const char *path)
{
	struct ne_error err = {""};
	int r = ne_container_load(path, NULL, &j->model, &err);

	if (r == 0)
		r = ne_program_new(j->model, NULL, &j->program, &err);
	if (r < 0)
		fprintf(stderr, "run_model: %s\n", err.text);
	NE_RETURN_IF(r);
	NE_RETURN_IF(ne_context_new(j->program, 1, &j->context));
	for (uint32_t i = 0; i < ne_program_inputs(j->program); i++) {
		j->in[i] = ne_alloc_aligned(ne_program_input(j->program, i)->bytes);
		if (!j->in[i])
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < ne_program_outputs(j->program); i++) {
		j->out[i] = ne_alloc_aligned(ne_program_output(j->program, i)->bytes);
		if (!j->out[i])
			return -ENOMEM;
	}
	return 0;
}

/* Steele and Vigna's splitmix64: the same numbers everywhere. */
static uint64_t next_random(struct job *j)
{
	uint64_t z = j->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Bytes over their whole range, real numbers from -4 to 4 in steps that every format holds. */
static void draw_inputs(struct job *j)
{
	for (uint32_t i = 0; i < ne_program_inputs(j->program); i++) {
		const struct ne_io *io = ne_program_input(j->program, i);
		uint8_t *bytes = j->in[i];
		float *real = j->in[i];

		if (io->dtype == NE_F32)
			for (size_t k = 0; k < io->bytes / sizeof(*real); k++)
				real[k] = (float)(next_random(j) >> 52) / 512.0f - 4.0f;
		else
			for (size_t k = 0; k < io->bytes; k++)
				bytes[k] = (uint8_t)(next_random(j) >> 56);
	}
}

/* FNV-1a. */
static void digest_outputs(struct job *j)
{
	for (uint32_t i = 0; i < ne_program_outputs(j->program); i++) {
		const uint8_t *bytes = j->out[i];

		for (size_t k = 0; k < ne_program_output(j->program, i)->bytes; k++)
			j->digest = (j->digest ^ bytes[k]) * 0x100000001b3u;
	}
}

static int run_levels(struct job *j, long runs)
{
	for (uint32_t l = 0; l < ne_program_levels(j->program); l++) {
		for (long n = runs; n; n--)
			NE_RETURN_IF(ne_run(j->program, j->context, l, (const void *const *)j->in,
					    j->out, NULL, NULL));
		digest_outputs(j);
	}
	return 0;
}

static int job_run(struct job *j, long inputs, long runs)
{
	j->random = 1;
	j->digest = 0xcbf29ce484222325u;
	for (; inputs; inputs--) {
		draw_inputs(j);
		NE_RETURN_IF(run_levels(j, runs));
	}
	return 0;
}

static long parse_count(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && n >= 1 && n <= MAX_COUNT)
		return n;
	fprintf(stderr, "run_model: %s: not a number from 1 to %d\n", text, MAX_COUNT);
	return -1;
}

int main(int argc, char **argv)
{
	struct job j = {0};
	long inputs, runs;
	int r;

	if (argc != 4) {
		fprintf(stderr, "usage: run_model MODEL.neap INPUTS RUNS\n");
		return 2;
	}
	inputs = parse_count(argv[2]);
	runs = parse_count(argv[3]);
	if (inputs < 0 || runs < 0)
		return 2;
	r = job_init(&j, argv[1]);
	if (r == 0)
		r = job_run(&j, inputs, runs);
	if (r == 0)
		printf("%s %016llx\n", ne_program_cpu(j.program), (unsigned long long)j.digest);
	job_done(&j);
	return r < 0;
}
