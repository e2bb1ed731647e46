/* SPDX-License-Identifier: MIT */
/*
 * neap beside what a user would pick instead, on the same models, interleaved:
 *
 *   peers --ort LIBRARY --json FILE NAME,PRECISION,MODEL.neap,MODEL.onnx[,OTHER.onnx] ...
 *   peers --nested MODEL.neap|RECIPE.ini ... --nested-json FILE
 *   peers --real QUANTISED.neap REAL.neap
 *
 * --quick: one thread and the best kernels only, and no memory. --samples N of each engine (600).
 *
 * Engines take turns in bursts of some milliseconds, so that heat, frequency and other processes
 * meet all of them alike; the first runs of each burst warm the caches and do not count. A sample
 * is one run, or the mean of as many as take SAMPLE_US. docs/benchmarks.md tells the method.
 */
#include "tests/bench/peers/measure.h"

#include "engine/model/container.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CASES 32

enum { NEAP, ORT, REFERENCE, XNNPACK, ONEDNN, N_PEERS };
static const struct peer *const peers[N_PEERS] = {&peer_neap, &peer_onnxruntime, &peer_reference,
						  &peer_xnnpack, &peer_onednn};

struct bench {
	struct peer_case c[MAX_CASES];
	uint32_t n_case, samples;
	const char *json, *nested[MAX_CASES], *nested_json;
	uint32_t n_nested;
	const char *quantised, *real; /* files, of --real */
	bool quick;                   /* one thread, the best kernels */
	cJSON *rows;
	struct footprint footprint[MAX_CASES][N_PEERS];
	bool mismatch;
};

/* ---- arguments ---- */

static int load_case(struct peer_case *c, char *text, struct ne_error *err)
{
	const char **field[] = {&c->name, &c->precision, &c->neap, &c->onnx, &c->reference};
	size_t n = 0;

	for (char *word = strtok(text, ","); word && n < NE_ARRAY_SIZE(field);
	     word = strtok(NULL, ","))
		*field[n++] = word;
	if (n < 4)
		return ne_fail(err, EINVAL, "'%s' is not NAME,PRECISION,NEAP,ONNX[,REFERENCE]",
			       text);
	NE_RETURN_IF(ne_container_load(c->neap, NULL, &c->model, err));
	c->macs = c->model->level[0].macs;
	return 0;
}

static int parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {{"ort", required_argument, NULL, 'o'},
						{"json", required_argument, NULL, 'j'},
						{"samples", required_argument, NULL, 'n'},
						{"nested", required_argument, NULL, 'l'},
						{"nested-json", required_argument, NULL, 'm'},
						{"quick", no_argument, NULL, 'q'},
						{"real", required_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	struct ne_error err;
	int opt;

	*b = (struct bench){.samples = 600};
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'o')
			onnxruntime_library(optarg);
		else if (opt == 'j')
			b->json = optarg;
		else if (opt == 'l' && b->n_nested < MAX_CASES)
			b->nested[b->n_nested++] = optarg;
		else if (opt == 'm')
			b->nested_json = optarg;
		else if (opt == 'r')
			b->quantised = optarg;
		else if (opt == 'q')
			b->quick = true;
		else if (opt == 'n')
			b->samples = (uint32_t)NE_CLAMP(atoi(optarg), 10, 100000);
		else
			return -EINVAL;
	}
	if (b->quantised && optind + 1 == argc) {
		b->real = argv[optind];
		return 0;
	}
	for (; optind < argc && b->n_case < MAX_CASES; optind++)
		if (load_case(&b->c[b->n_case++], argv[optind], &err) < 0) {
			fprintf(stderr, "peers: %s\n", err.text);
			return -EINVAL;
		}
	if (b->n_case || b->n_nested)
		return 0;
	fprintf(stderr, "usage: peers --ort LIBRARY --json FILE "
			"NAME,PRECISION,NEAP,ONNX[,REFERENCE] ...\n"
			"       peers --nested MODEL.neap|RECIPE.ini ... --nested-json FILE\n"
			"       peers --real QUANTISED.neap REAL.neap\n");
	return -EINVAL;
}

/* ---- one row ---- */

/* Largest difference of two outputs: integers in steps, reals as a share of the largest. */
static double difference(const struct peer_run *a, const struct peer_run *b)
{
	double most = 0, scale = 1e-12;
	size_t size = ne_dtype_size(a->out_type), n = a->out_bytes / size;

	if (b->out_bytes / ne_dtype_size(b->out_type) != n || ne_dtype_size(b->out_type) != size)
		return INFINITY;
	for (size_t i = 0; i < n; i++) {
		double x, y;

		if (a->out_type == NE_F32) {
			x = (double)((const float *)a->out)[i];
			y = (double)((const float *)b->out)[i];
			scale = fmax(scale, fabs(y));
		} else { /* s8 as u8 */
			x = ((const uint8_t *)a->out)[i] ^ (a->out_type == NE_S8 ? 0x80 : 0);
			y = ((const uint8_t *)b->out)[i] ^ (b->out_type == NE_S8 ? 0x80 : 0);
			scale = 1;
		}
		most = fmax(most, fabs(x - y));
	}
	return most / scale;
}

static void print_lane(const struct lane *l, double neap, double gops)
{
	if (l->why[0]) {
		printf("  %-28s left out: %s\n", l->peer->name, l->why);
		return;
	}
	printf("  %-28s %10.2f %10.2f", l->peer->name, l->min_us, l->median_us);
	if (gops > 0)
		printf(" %6.1f %%", 100 * gops);
	else
		printf("        -");
	if (l->peer != &peer_neap)
		printf("   neap takes %.3f of it", neap / l->median_us);
	printf("\n");
}

static void add_number(cJSON *row, const char *key, double v)
{
	if (isfinite(v) && v > 0)
		cJSON_AddNumberToObject(row, key, round(v * 10000) / 10000);
	else
		cJSON_AddNullToObject(row, key);
}

static double lane_median(const struct lane *l)
{
	return l->why[0] ? 0 : l->median_us;
}

static void record(struct bench *b, const struct peer_case *c, const char *cpu, unsigned threads,
		   const struct lane *l, double peak)
{
	static const char *const key[N_PEERS] = {
		"neap_us", "onnxruntime_us", "onnxruntime_reference_us", "xnnpack_us", "onednn_us"};
	cJSON *row = cJSON_CreateObject();

	cJSON_AddStringToObject(row, "model", c->name);
	cJSON_AddStringToObject(row, "precision", c->precision);
	cJSON_AddNumberToObject(row, "threads", threads);
	cJSON_AddStringToObject(row, "cpu", cpu);
	for (int i = 0; i < N_PEERS; i++)
		add_number(row, key[i], lane_median(&l[i]));
	add_number(row, "ratio", lane_median(&l[NEAP]) / lane_median(&l[ORT]));
	add_number(row, "share_of_peak",
		   peak > 0 ? 2e-3 * (double)c->macs / l[NEAP].median_us / peak : 0);
	add_number(row, "neap_min_us", l[NEAP].why[0] ? 0 : l[NEAP].min_us);
	add_number(row, "onnxruntime_min_us", l[ORT].why[0] ? 0 : l[ORT].min_us);
	if (!b->quick) {
		const struct footprint *f = b->footprint[c - b->c];

		add_number(row, "neap_bytes", (double)neap_bytes(c->model));
		add_number(row, "neap_resident_kib", (double)f[NEAP].kib);
		add_number(row, "onnxruntime_resident_kib", (double)f[ORT].kib);
		add_number(row, "xnnpack_resident_kib", (double)f[XNNPACK].kib);
		add_number(row, "onednn_resident_kib", (double)f[ONEDNN].kib);
		add_number(row, "neap_load_ms", f[NEAP].load_ms);
		add_number(row, "onnxruntime_load_ms", f[ORT].load_ms);
		add_number(row, "neap_first_load_ms", f[NEAP].first_load_ms);
		add_number(row, "onnxruntime_first_load_ms", f[ORT].first_load_ms);
	}
	cJSON_AddItemToArray(b->rows, row);
}

static void bench_row(struct bench *b, const struct peer_case *c, const char *cpu, unsigned threads)
{
	struct lane l[N_PEERS];
	double peak = peak_gops(c->precision, cpu, threads), diff;
	void *in = random_input_of(c->model, 1);
	const char *name = "c";

	if (!in)
		return;
	for (int i = 0; i < N_PEERS; i++)
		lane_open(&l[i], peers[i], c, cpu, threads, in);
	measure(l, N_PEERS, b->samples);
	if (!l[NEAP].why[0])
		name = neap_cpu(&l[NEAP].run);
	printf("%s, %s, %u thread%s, %s (peak %.0f GOP/s)\n  %-28s %10s %10s %8s\n", c->name,
	       c->precision, threads, threads > 1 ? "s" : "", name, peak, "", "min us", "median us",
	       "of peak");
	for (int i = 0; i < N_PEERS; i++)
		print_lane(&l[i], l[NEAP].median_us,
			   peak > 0 ? 2e-3 * (double)c->macs / l[i].median_us / peak : 0);
	for (int i = ORT; i <= REFERENCE; i++) {
		if (l[NEAP].why[0] || l[i].why[0])
			continue;
		diff = difference(&l[NEAP].run, &l[i].run);
		printf("  output against %s: %s by %.3g\n", l[i].peer->name,
		       diff > 0 ? "differs" : "equal", diff);
		b->mismatch |= i == ORT && !(diff <= (l[i].run.out_type == NE_F32 ? 1e-2 : 1));
	}
	record(b, c, name, threads, l, peak);
	for (int i = 0; i < N_PEERS; i++)
		lane_close(&l[i]);
	fflush(stdout);
	free(in);
}

/* ---- memory and loading ---- */

static void bench_memory(struct bench *b)
{
	printf("Resident growth by loading and running, KiB; each in a process of its own\n"
	       "  %-22s %8s %8s %8s %8s   arena and weights   "
	       "load ms (the first time): neap, ONNX Runtime\n",
	       "", "neap", "ORT", "XNNPACK", "oneDNN");
	for (uint32_t i = 0; i < b->n_case; i++) {
		const struct peer_case *c = &b->c[i];
		struct footprint *f = b->footprint[i];

		for (int k = 0; k < N_PEERS; k++)
			if (k != REFERENCE)
				f[k] = footprint_of(peers[k], c);
		printf("  %-18s %-3s %8ld %8ld %8ld %8ld   %17zu   %.2f (%.2f), %.2f (%.2f)\n",
		       c->name, c->precision, f[NEAP].kib, f[ORT].kib, f[XNNPACK].kib,
		       f[ONEDNN].kib, neap_bytes(c->model) / 1024, f[NEAP].load_ms,
		       f[NEAP].first_load_ms, f[ORT].load_ms, f[ORT].first_load_ms);
	}
	printf("\n");
}

static int write_json(const cJSON *rows, const char *path)
{
	char *text = cJSON_Print(rows);
	struct ne_error err;
	int r = text ? ne_container_write_file(path, text, strlen(text), &err)
		     : ne_fail(&err, ENOMEM, "out of memory");

	if (r < 0)
		fprintf(stderr, "peers: %s\n", err.text);
	else
		printf("written to %s\n", path);
	free(text);
	return r;
}

static void bench_cases(struct bench *b)
{
	if (!b->quick) /* first: a process that has run peers has their memory */
		bench_memory(b);
	for (int i = 0; i < N_PEERS; i++)
		if (i != REFERENCE)
			printf("%s %s\n", peers[i]->name, peers[i]->version());
	for (uint32_t i = 0; i < b->n_case; i++) {
		bench_row(b, &b->c[i], NULL, 1);
		if (b->quick)
			continue;
		bench_row(b, &b->c[i], NULL, 2);
		for (const char *const *cpu = lesser_sets; *cpu; cpu++)
			if (has_more_than(*cpu))
				bench_row(b, &b->c[i], *cpu, 1);
	}
}

static int bench_nestings(const struct bench *b)
{
	cJSON *rows = cJSON_CreateArray();
	struct ne_error err = {""};
	int r = 0;

	for (uint32_t i = 0; i < b->n_nested && r == 0; i++)
		r = bench_nested(b->nested[i], b->samples, rows, &err);
	if (r < 0)
		fprintf(stderr, "peers: %s\n", err.text);
	else if (b->nested_json)
		r = write_json(rows, b->nested_json);
	cJSON_Delete(rows);
	return r;
}

int main(int argc, char **argv)
{
	struct ne_error err;
	struct bench b;
	int r = 0;

	if (parse(&b, argc, argv) < 0)
		return 2;
	if (b.real) {
		r = write_real(b.quantised, b.real, &err);
		if (r < 0)
			fprintf(stderr, "peers: %s\n", err.text);
		return r < 0;
	}
	b.rows = cJSON_CreateArray();
	if (b.n_case)
		bench_cases(&b);
	if (b.n_case && b.json)
		r = write_json(b.rows, b.json);
	if (b.n_nested && r == 0)
		r = bench_nestings(&b);
	if (b.mismatch)
		fprintf(stderr, "peers: an output differs from ONNX Runtime's\n");
	cJSON_Delete(b.rows);
	for (uint32_t i = 0; i < b.n_case; i++)
		ne_model_free(b.c[i].model);
	return r < 0 || b.mismatch;
}
