/* SPDX-License-Identifier: MIT */
/* neap import: an ONNX or TFLite file to a .neap file, in f32 or quantised to s8. */
#include "tools/neap/import/import.h"

#include "engine/model/container.h"
#include "tools/neap/compress/quantise/quantise.h"
#include "tools/neap/data/data.h"
#include "tools/neap/import/onnx.h"
#include "tools/neap/import/tflite.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FILE_BYTES_MAX   ((size_t)1 << 30)
#define LABEL_BYTES_MAX  ((size_t)16 << 20)
#define OPTIONS_TEXT_MAX 1024

struct import_args {
	const char *in, *out, *calib, *labels;
	const char *input_scale, *input_offset; /* as typed: they become notes */
	struct quantise_options quantise;
	struct onnx_options onnx;
	bool quantise_it, tflite;
	unsigned pack;
};

static const char usage_text[] =
	"usage: neap import IN.onnx|IN.tflite -o OUT.neap [options]\n"
	"\n"
	"  -o, --output FILE      the .neap file to write\n"
	"      --quantize         to 8-bit integers; needs --calib\n"
	"      --calib SPEC       calibration data: idx:IMAGES,LABELS, npy:X.npy,Y.npy,\n"
	"                         audio:TAR_OR_DIR,CSV, fashion-mnist:train\n"
	"      --samples N        calibration samples used (512)\n"
	"      --percentile P     share of magnitudes kept in range, as 0.9999 (all)\n"
	"      --input-scale S    real input = stored value * S + O, for data sets of\n"
	"      --input-offset O     integers: MNIST's pixel/256 is --input-scale 0.00390625\n"
	"      --labels FILE      class names, one a line\n"
	"      --shape NAME=1x3x224x224   an input's shape, where the file leaves it open\n"
	"      --set NAME=VALUE   make an input a constant: a sample rate, a flag\n"
	"      --no-rans          store 8-bit weights without entropy coding\n"
	"      --f16              store f32 weights as f16 (lossy)\n"
	"\n"
	"IN may end in .xz or .gz. Inputs and outputs keep the file's names, shapes and layout.\n"
	"TFLite models that are quantised already keep their integers, types and scales.\n";

/* ---- arguments ---- */

static int complain(const char *text)
{
	fprintf(stderr, "neap import: %s\n", text);
	return -EINVAL;
}

static int parse_number(const char *what, const char *text, double lo, double hi, double *ret)
{
	char *end, line[160];
	double v = strtod(text, &end);

	if (end == text || *end || !isfinite(v) || v < lo || v > hi) {
		snprintf(line, sizeof(line), "%s '%.40s' is not a number from %g to %g", what, text,
			 lo, hi);
		return complain(line);
	}
	*ret = v;
	return 0;
}

static int parse_shape(struct import_args *a, const char *text)
{
	struct ne_error err = {""};

	if (a->onnx.n_shape == ONNX_MAX_SHAPES)
		return complain("too many --shape options");
	if (onnx_parse_shape(text, &a->onnx.shape[a->onnx.n_shape], &err) < 0)
		return complain(err.text);
	a->onnx.n_shape++;
	return 0;
}

static int parse_value(struct import_args *a, const char *text)
{
	struct ne_error err = {""};

	if (a->onnx.n_value == ONNX_MAX_SHAPES)
		return complain("too many --set options");
	if (onnx_parse_value(text, &a->onnx.value[a->onnx.n_value], &err) < 0)
		return complain(err.text);
	a->onnx.n_value++;
	return 0;
}

enum {
	OPT_QUANTISE = 256,
	OPT_CALIB,
	OPT_SAMPLES,
	OPT_PERCENTILE,
	OPT_SCALE,
	OPT_OFFSET,
	OPT_LABELS,
	OPT_SHAPE,
	OPT_SET,
	OPT_NO_RANS,
	OPT_F16
};

static const struct option options[] = {
	{"output", required_argument, NULL, 'o'},
	{"quantize", no_argument, NULL, OPT_QUANTISE},
	{"quantise", no_argument, NULL, OPT_QUANTISE},
	{"calib", required_argument, NULL, OPT_CALIB},
	{"samples", required_argument, NULL, OPT_SAMPLES},
	{"percentile", required_argument, NULL, OPT_PERCENTILE},
	{"input-scale", required_argument, NULL, OPT_SCALE},
	{"input-offset", required_argument, NULL, OPT_OFFSET},
	{"labels", required_argument, NULL, OPT_LABELS},
	{"shape", required_argument, NULL, OPT_SHAPE},
	{"set", required_argument, NULL, OPT_SET},
	{"no-rans", no_argument, NULL, OPT_NO_RANS},
	{"f16", no_argument, NULL, OPT_F16},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int take_option(struct import_args *a, int opt)
{
	double v;

	switch (opt) {
	case 'o':
		a->out = optarg;
		return 0;
	case OPT_QUANTISE:
		a->quantise_it = true;
		return 0;
	case OPT_CALIB:
		a->calib = optarg;
		return 0;
	case OPT_SAMPLES:
		NE_RETURN_IF(parse_number("--samples", optarg, 1, 1e9, &v));
		a->quantise.samples = (size_t)v;
		return 0;
	case OPT_PERCENTILE:
		NE_RETURN_IF(parse_number("--percentile", optarg, 0.5, 1, &v));
		a->quantise.percentile = (float)v;
		return 0;
	case OPT_SCALE:
		a->input_scale = optarg;
		return parse_number("--input-scale", optarg, -1e30, 1e30, &v);
	case OPT_OFFSET:
		a->input_offset = optarg;
		return parse_number("--input-offset", optarg, -1e30, 1e30, &v);
	case OPT_LABELS:
		a->labels = optarg;
		return 0;
	case OPT_SHAPE:
		return parse_shape(a, optarg);
	case OPT_SET:
		return parse_value(a, optarg);
	case OPT_NO_RANS:
		a->pack &= ~(unsigned)NE_PACK_RANS;
		return 0;
	case OPT_F16:
		a->pack |= NE_PACK_F16;
		return 0;
	default: /* getopt has told what is wrong */
		return -EINVAL;
	}
}

/* 1: help was asked for. */
static int parse_args(int argc, char **argv, struct import_args *a)
{
	int opt;

	*a = (struct import_args){.pack = NE_PACK_RANS};
	optind = 0; /* a fresh scan, permuting, whatever was parsed before */
	while ((opt = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (opt == 'h')
			return 1;
		NE_RETURN_IF(take_option(a, opt));
	}
	if (optind + 1 != argc)
		return complain(optind == argc
					? "which file? neap import IN.onnx|IN.tflite -o OUT.neap"
					: "one file at a time");
	a->in = argv[optind];
	if (!a->out)
		return complain("where to? add -o OUT.neap");
	if (a->quantise_it && !a->calib)
		return complain("--quantize needs data to observe ranges on: add --calib SPEC");
	if (a->calib && !a->quantise_it)
		return complain("--calib is for --quantize");
	return 0;
}

/* ---- what the file tells about itself ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void options_text(int argc, char **argv, char *buf, size_t bytes)
{
	size_t at = 0;

	buf[0] = 0;
	for (int i = 1; i < argc && at + 1 < bytes; i++) {
		/* folders of the machine where it was made are nobody's business */
		int n = snprintf(buf + at, bytes - at, "%s%s", i > 1 ? " " : "",
				 base_name(argv[i]));

		at += n > 0 ? (size_t)n : 0;
	}
}

static int set_notes(struct ne_model *m, const struct import_args *a, const void *data,
		     size_t bytes, int argc, char **argv)
{
	XXH128_hash_t h = XXH3_128bits(data, bytes);
	char hash[40], opts[OPTIONS_TEXT_MAX];

	snprintf(hash, sizeof(hash), "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64,
		 (uint64_t)h.low64);
	options_text(argc, argv, opts, sizeof(opts));
	NE_RETURN_IF(ne_model_set_note(m, "source_file", base_name(a->in)));
	NE_RETURN_IF(ne_model_set_note(m, "source_format", a->tflite ? "tflite" : "onnx"));
	NE_RETURN_IF(ne_model_set_note(m, "source_xxh3_128", hash));
	NE_RETURN_IF(ne_model_set_note(m, "tool", "neap " NEAP_VERSION));
	NE_RETURN_IF(ne_model_set_note(m, "import_options", opts));
	if (a->input_scale)
		NE_RETURN_IF(ne_model_set_note(m, "input_scale", a->input_scale));
	if (a->input_offset)
		NE_RETURN_IF(ne_model_set_note(m, "input_offset", a->input_offset));
	return 0;
}

static int add_label(struct ne_model *m, const char *text, size_t len)
{
	char **label = realloc(m->label, (m->n_label + 1) * sizeof(*label));

	if (!label)
		return -ENOMEM;
	m->label = label;
	label[m->n_label] = strndup(text, len);
	if (!label[m->n_label])
		return -ENOMEM;
	m->n_label++;
	return 0;
}

static int read_labels(struct ne_model *m, const char *path, struct ne_error *err)
{
	size_t bytes, at = 0;
	void *data;
	char *text;
	int r;

	r = data_read_file(path, LABEL_BYTES_MAX, &data, &bytes, err);
	if (r < 0)
		return r;
	text = data;
	while (at < bytes && r >= 0) {
		size_t len = 0;
		size_t keep;

		while (at + len < bytes && text[at + len] != '\n')
			len++;
		keep = len && text[at + len - 1] == '\r' ? len - 1 : len;
		if (memchr(text + at, 0, keep))
			r = ne_fail(err, EINVAL, "%s: line %u is not text", path, m->n_label + 1);
		else if (m->n_label == NE_MAX_LABELS)
			r = ne_fail(err, E2BIG, "%s: more than %u labels", path, NE_MAX_LABELS);
		else if (add_label(m, text + at, keep) < 0)
			r = ne_fail(err, ENOMEM, "%s: no memory", path);
		at += len + 1;
	}
	free(data);
	return r;
}

/* ---- the work ---- */

/* Whether most of the arithmetic is of integers. */
static bool is_s8(const struct ne_graph *g)
{
	uint32_t s8 = 0, f32 = 0;

	for (uint32_t i = 0; i < g->n_node; i++) {
		s8 += g->tensor[g->node[i].out[0]].dtype == NE_S8;
		f32 += g->tensor[g->node[i].out[0]].dtype == NE_F32;
	}
	return s8 > f32;
}

static int quantise_it(struct ne_model **m, const struct import_args *a, struct ne_error *err)
{
	struct data_set calib;
	struct ne_model *s8;
	char samples[32];
	int r;

	if (is_s8(&(*m)->graph))
		return ne_fail(err, EINVAL,
			       "the model is quantised already: leave --quantize and --calib out");
	r = data_open(a->calib, &calib, err);
	if (r < 0)
		return r;
	r = quantise_model(*m, &calib, &a->quantise, &s8, err);
	if (r >= 0) {
		size_t n = a->quantise.samples ? a->quantise.samples : 512;

		ne_model_free(*m);
		*m = s8;
		snprintf(samples, sizeof(samples), "%zu", NE_MIN(n, calib.n));
		r = ne_model_set_note(s8, "calibration_data", base_name(calib.name));
		if (r >= 0)
			r = ne_model_set_note(s8, "calibration_samples", samples);
		if (r < 0)
			ne_fail(err, -r, "no memory for notes");
	}
	data_close(&calib);
	return r;
}

/* TFLite files tell what they are; of a damaged one only the name may. */
static bool is_tflite(const struct import_args *a, const void *data, size_t bytes)
{
	const char *name = base_name(a->in);

	return tflite_is(data, bytes) || strstr(name, ".tflite");
}

static int import_bytes(struct import_args *a, const void *data, size_t bytes,
			struct ne_model **ret, struct ne_error *err)
{
	a->tflite = is_tflite(a, data, bytes);
	if (!a->tflite)
		return onnx_import(data, bytes, &a->onnx, ret, err);
	if (a->onnx.n_shape || a->onnx.n_value)
		return ne_fail(err, EINVAL,
			       "--shape and --set are for ONNX models: a TFLite file gives all");
	return tflite_import(data, bytes, ret, err);
}

static int load(struct ne_model **ret, struct import_args *a, int argc, char **argv,
		struct ne_error *err)
{
	struct ne_model *m = NULL;
	size_t bytes;
	void *data;
	int r;

	r = data_read_file(a->in, FILE_BYTES_MAX, &data, &bytes, err);
	if (r < 0)
		return r;
	r = import_bytes(a, data, bytes, &m, err);
	if (r >= 0) {
		r = set_notes(m, a, data, bytes, argc, argv);
		if (r < 0)
			ne_fail(err, -r, "no memory for notes");
	}
	free(data);
	if (r >= 0 && a->labels)
		r = read_labels(m, a->labels, err);
	if (r < 0) {
		ne_model_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

static void print_summary(const struct ne_model *m, const struct import_args *a)
{
	uint32_t count[NE_OP_COUNT] = {0};
	const char *sep = "";
	struct stat st;

	for (uint32_t i = 0; i < m->graph.n_node; i++)
		count[m->graph.node[i].op]++;
	printf("%s: ", a->out);
	for (int op = 1; op < NE_OP_COUNT; op++) {
		if (!count[op])
			continue;
		printf("%s%u %s", sep, count[op], ne_op_name((enum ne_op)op));
		sep = ", ";
	}
	printf("\n%" PRIu64 " MACs, %s", m->level[0].macs, is_s8(&m->graph) ? "s8" : "f32");
	if (stat(a->out, &st) == 0)
		printf(", %lld bytes", (long long)st.st_size);
	printf("\n");
	if (ne_model_get_note(m, "outputs"))
		fprintf(stderr, "neap import: outputs are %s\n", ne_model_get_note(m, "outputs"));
}

static void print_failure(const struct import_args *a, int r, const struct ne_error *err)
{
	fprintf(stderr, "neap import: %s: %s\n", a->in, err->text[0] ? err->text : strerror(-r));
	/* an operator that is not there, or a form of one that is */
	if (r == -EOPNOTSUPP && !strstr(err->text, "--set")) {
		char *ops = a->tflite ? tflite_operators() : onnx_operators();

		if (ops)
			fprintf(stderr, "operators supported: %s\n", ops);
		free(ops);
	}
}

int cmd_import(int argc, char **argv)
{
	struct ne_error err = {""};
	struct ne_model *m = NULL;
	struct import_args *a = calloc(1, sizeof(*a));
	int r;

	if (!a) {
		complain("no memory");
		return EXIT_FAILURE;
	}
	r = parse_args(argc, argv, a);
	if (r != 0) {
		if (r > 0)
			fputs(usage_text, stdout);
		else
			fputs("try: neap import --help\n", stderr);
		free(a);
		return r > 0 ? EXIT_SUCCESS : 2;
	}
	r = load(&m, a, argc, argv, &err);
	if (r >= 0 && a->quantise_it)
		r = quantise_it(&m, a, &err);
	if (r >= 0)
		r = ne_container_save(a->out, m, a->pack, &err);
	if (r < 0)
		print_failure(a, r, &err);
	else
		print_summary(m, a);
	ne_model_free(m);
	free(a);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
