// SPDX-License-Identifier: MIT
/*
 * Reads recipes. A recipe owns all its strings; recipe_done() frees them, also after a failure
 * half-way.
 */
#include "tools/neap/train/recipe.h"
#include "tools/neap/data/data.h"

#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* inih cuts longer lines in two. */
#define LINE_CHARS 190u

struct reader {
	const char *next; /* rest of the text */
	unsigned line;    /* of what inih was given last */
	struct recipe *r;
	struct ne_error *err;
	int code;
};

enum value_kind { V_SIZE, V_U32, V_I32, V_FLOAT, V_BOOL, V_STRING };

/* A key with one plain value: where it goes and what it may be. */
struct key {
	const char *section, *name;
	enum value_kind kind;
	size_t offset;
	double lo, hi;
};

#define AT(member) offsetof(struct recipe, member)

static const struct key keys[] = {
	{"data", "validation", V_SIZE, AT(data.validation), 0, 1e6},
	{"data", "licence", V_STRING, AT(data.licence), 0, 0},
	{"data", "attribution", V_STRING, AT(data.attribution), 0, 0},
	{"network", "import", V_STRING, AT(net.import), 0, 0},
	{"features", "rate", V_I32, AT(net.mel.rate_hz), 1000, 192000},
	{"features", "frame", V_I32, AT(net.mel.frame), 16, 4096},
	{"features", "hop", V_I32, AT(net.mel.hop), 1, 4096},
	{"features", "fft", V_I32, AT(net.mel.fft), 16, 4096},
	{"features", "bins", V_I32, AT(net.mel.bins), 1, 256},
	{"features", "cepstra", V_I32, AT(net.mel.cepstra), 0, 256},
	{"features", "low", V_FLOAT, AT(net.mel.lo_hz), 0, 96000},
	{"features", "high", V_FLOAT, AT(net.mel.hi_hz), 1, 96000},
	{"features", "floor", V_FLOAT, AT(net.mel.floor), 1e-30, 1e6},
	{"train", "epochs", V_U32, AT(train.epochs), 1, 10000},
	{"train", "batch", V_U32, AT(train.batch), 2, 65536},
	{"train", "seed", V_U32, AT(train.seed), 0, 4294967295.0},
	{"train", "random_widths", V_U32, AT(train.random_widths), 0, RECIPE_MAX_WIDTHS},
	{"train", "learning_rate", V_FLOAT, AT(train.rate), 1e-8, 100},
	{"train", "momentum", V_FLOAT, AT(train.momentum), 0, 0.9999},
	{"train", "nesterov", V_BOOL, AT(train.nesterov), 0, 0},
	{"train", "weight_decay", V_FLOAT, AT(train.weight_decay), 0, 1},
	{"train", "warmup", V_FLOAT, AT(train.warmup), 0, 10000},
	{"train", "label_smoothing", V_FLOAT, AT(train.smoothing), 0, 0.9},
	{"train", "temperature", V_FLOAT, AT(train.temperature), 0.1, 100},
	{"train", "label_share", V_FLOAT, AT(train.label_share), 0, 1},
	{"train", "exit_weight", V_FLOAT, AT(train.exit_weight), 0, 10},
	{"train", "average", V_FLOAT, AT(train.ema), 0, 0.99999},
	{"augment", "flip", V_BOOL, AT(augment.flip), 0, 0},
	{"augment", "shift", V_I32, AT(augment.shift), 0, 256},
	{"augment", "erase", V_I32, AT(augment.erase), 0, 1024},
	{"augment", "erase_probability", V_FLOAT, AT(augment.erase_p), 0, 1},
	{"augment", "mixup", V_FLOAT, AT(augment.mixup), 0, 1},
	{"augment", "time_shift", V_FLOAT, AT(augment.time_shift_ms), 0, 10000},
	{"augment", "gain", V_FLOAT, AT(augment.gain_db), 0, 60},
	{"augment", "speed", V_FLOAT, AT(augment.speed), 0, 0.5},
	{"augment", "noise_probability", V_FLOAT, AT(augment.noise_p), 0, 1},
	{"augment", "noise", V_FLOAT, AT(augment.noise_db), -120, 0},
	{"augment", "noise_class", V_STRING, AT(augment.noise_class), 0, 0},
	{"augment", "mask_frames", V_I32, AT(augment.mask_frames), 0, 1024},
	{"augment", "mask_bins", V_I32, AT(augment.mask_bins), 0, 256},
	{"quantise", "recalibrate", V_SIZE, AT(recalibrate), 16, 1e6},
	{"quantise", "calibrate", V_SIZE, AT(calibrate), 1, 1e6},
	{"quantise", "percentile", V_FLOAT, AT(percentile), 0, 1},
	{"levels", "min_accuracy", V_FLOAT, AT(min_accuracy), 0, 1},
	{"levels", "max", V_U32, AT(max_levels), 1, 256},
	{"levels", "control_margin", V_FLOAT, AT(control_margin), 0, 1},
	{"levels", "confidence", V_FLOAT, AT(confidence), 0, 1},
	{"report", "control", V_BOOL, AT(control), 0, 0},
};

static int bad(struct reader *in, const char *name, const char *value, const char *want)
{
	in->code = ne_fail(in->err, EINVAL, "%s:%u: %s = %s: %s", in->r->path, in->line, name,
			   value, want);
	return in->code;
}

static int parse_number(const char *s, double lo, double hi, double *ret)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end || !isfinite(v) || v < lo || v > hi)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int parse_int(const char *s, long lo, long hi, int32_t *ret)
{
	double v;

	if (parse_number(s, (double)lo, (double)hi, &v) < 0 || v != floor(v))
		return -EINVAL;
	*ret = (int32_t)v;
	return 0;
}

static int parse_bool(const char *s, bool *ret)
{
	if (!strcmp(s, "yes") || !strcmp(s, "true") || !strcmp(s, "1"))
		*ret = true;
	else if (!strcmp(s, "no") || !strcmp(s, "false") || !strcmp(s, "0"))
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

static int store(struct reader *in, const struct key *k, const char *value)
{
	void *at = (char *)in->r + k->offset;
	char want[96];
	double v = 0.0;

	if (k->kind == V_STRING) {
		char *copy = data_expand(value);

		if (!copy)
			return in->code = -ENOMEM;
		free(*(char **)at);
		*(char **)at = copy;
		return 0;
	}
	if (k->kind == V_BOOL)
		return parse_bool(value, at) < 0 ? bad(in, k->name, value, "want yes or no") : 0;
	snprintf(want, sizeof(want), "want a%s from %g to %g",
		 k->kind == V_FLOAT ? " number" : " whole number", k->lo, k->hi);
	if (parse_number(value, k->lo, k->hi, &v) < 0 || (k->kind != V_FLOAT && v != floor(v)))
		return bad(in, k->name, value, want);
	switch (k->kind) {
	case V_SIZE:
		*(size_t *)at = (size_t)v;
		break;
	case V_U32:
		*(uint32_t *)at = (uint32_t)v;
		break;
	case V_I32:
		*(int32_t *)at = (int32_t)v;
		break;
	default:
		*(float *)at = (float)v;
	}
	return 0;
}

/* "A" or "AxB" into two numbers. */
static int parse_pair(const char *s, long lo, long hi, int32_t ret[2])
{
	char one[32];
	const char *x = strchr(s, 'x');

	if (!x)
		x = s + strlen(s);
	if ((size_t)(x - s) >= sizeof(one))
		return -EINVAL;
	memcpy(one, s, (size_t)(x - s));
	one[x - s] = '\0';
	NE_RETURN_IF(parse_int(one, lo, hi, &ret[0]));
	ret[1] = ret[0];
	return *x ? parse_int(x + 1, lo, hi, &ret[1]) : 0;
}

/* One "kernel=3x3" of a block. */
static int block_option(struct recipe_block *b, const char *word)
{
	const char *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) : 0;

	if (!eq)
		return -EINVAL;
	if (n == 6 && !strncmp(word, "kernel", n))
		return parse_pair(eq + 1, 1, 31, b->kernel);
	if (n == 6 && !strncmp(word, "stride", n))
		return parse_pair(eq + 1, 1, 16, b->stride);
	if (n == 4 && !strncmp(word, "grid", n))
		return parse_int(eq + 1, 1, 64, &b->grid);
	if (n == 3 && !strncmp(word, "pad", n)) {
		b->valid = !strcmp(eq + 1, "none");
		return b->valid || !strcmp(eq + 1, "same") ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static const struct {
	const char *name;
	enum block_kind kind;
	bool channels;
} block_kinds[] = {
	{"conv", BLOCK_CONV, true},           {"residual", BLOCK_RESIDUAL, true},
	{"separable", BLOCK_SEPARABLE, true}, {"maxpool", BLOCK_MAXPOOL, false},
	{"exit", BLOCK_EXIT, false},
};

static int add_block(struct reader *in, const char *value)
{
	static const char want[] = "want conv|residual|separable CHANNELS [kernel=K] [stride=S] "
				   "[pad=same|none], maxpool [kernel=K] [stride=S], exit [grid=G]";
	struct recipe_network *net = &in->r->net;
	struct recipe_block b = {.kernel = {3, 3}, .stride = {1, 1}, .grid = 1};
	char copy[LINE_CHARS + 1], *save = NULL, *word;
	size_t i;

	if (net->n_block == RECIPE_MAX_BLOCKS || strlen(value) >= sizeof(copy))
		return bad(in, "block", value, "too many blocks");
	strcpy(copy, value);
	word = strtok_r(copy, " \t", &save);
	for (i = 0; word && i < NE_ARRAY_SIZE(block_kinds); i++)
		if (!strcmp(word, block_kinds[i].name))
			break;
	if (!word || i == NE_ARRAY_SIZE(block_kinds))
		return bad(in, "block", value, want);
	b.kind = block_kinds[i].kind;
	if (b.kind == BLOCK_MAXPOOL)
		b.stride[0] = b.stride[1] = 2;
	if (block_kinds[i].channels) {
		word = strtok_r(NULL, " \t", &save);
		if (!word || parse_int(word, 1, 4096, &b.channels) < 0)
			return bad(in, "block", value, want);
	}
	while ((word = strtok_r(NULL, " \t", &save)))
		if (block_option(&b, word) < 0)
			return bad(in, "block", value, want);
	net->block[net->n_block++] = b;
	return 0;
}

/* "u8 28x28x1", "s16 16000", "f32 32x32x3". */
static int set_input(struct reader *in, const char *value)
{
	static const char want[] = "want u8|s16|f32 HxWxC or SAMPLES";
	struct recipe_network *net = &in->r->net;
	char copy[64], *save = NULL, *word;
	int32_t d;

	if (strlen(value) >= sizeof(copy))
		return bad(in, "input", value, want);
	strcpy(copy, value);
	word = strtok_r(copy, " \t", &save);
	if (word && !strcmp(word, "u8"))
		net->type = NE_U8;
	else if (word && !strcmp(word, "s16"))
		net->type = NE_S16;
	else if (word && !strcmp(word, "f32"))
		net->type = NE_F32;
	else
		return bad(in, "input", value, want);
	net->input.rank = 1;
	net->input.dim[0] = 1;
	while ((word = strtok_r(NULL, "x \t", &save))) {
		if (net->input.rank == 4 || parse_int(word, 1, NE_MAX_DIM, &d) < 0)
			return bad(in, "input", value, want);
		net->input.dim[net->input.rank++] = d;
	}
	if ((net->input.rank != 2 && net->input.rank != 4) || !ne_shape_elements(&net->input))
		return bad(in, "input", value, want);
	return 0;
}

static int set_normalise(struct reader *in, const char *value)
{
	char *end;
	long zero = strtol(value, &end, 10);
	double scale;

	while (*end == ' ')
		end++;
	if (zero < -32768 || zero > 32767 || parse_number(end, 1e-9, 1e9, &scale) < 0)
		return bad(in, "normalise", value,
			   "want ZERO SCALE: real = (value - ZERO) * SCALE");
	in->r->net.normalise = (struct ne_quant){(float)scale, (int32_t)zero};
	return 0;
}

static int set_widths(struct reader *in, const char *value)
{
	static const char want[] = "want 1 and up to 7 falling fractions above 0, with spaces";
	char copy[LINE_CHARS + 1], *save = NULL, *word;
	struct recipe *r = in->r;
	double v;

	if (strlen(value) >= sizeof(copy))
		return bad(in, "fractions", value, want);
	strcpy(copy, value);
	r->n_width = 0;
	for (word = strtok_r(copy, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		if (r->n_width == RECIPE_MAX_WIDTHS || parse_number(word, 0.01, 1, &v) < 0 ||
		    (r->n_width ? (float)v >= r->width[r->n_width - 1] : v != 1.0))
			return bad(in, "fractions", value, want);
		r->width[r->n_width++] = (float)v;
	}
	return r->n_width ? 0 : bad(in, "fractions", value, want);
}

static int set_spec(struct reader *in, const char *value, char **ret, char **ret_text)
{
	free(*ret);
	free(*ret_text);
	*ret = data_expand(value);
	*ret_text = strdup(value);
	return *ret && *ret_text ? 0 : (in->code = -ENOMEM);
}

static int set_train(struct reader *in, const char *value)
{
	return set_spec(in, value, &in->r->data.train, &in->r->data.train_text);
}

static int set_test(struct reader *in, const char *value)
{
	return set_spec(in, value, &in->r->data.test, &in->r->data.test_text);
}

static int set_by(struct reader *in, const char *value)
{
	in->r->by_probability = !strcmp(value, "probability");
	return in->r->by_probability || !strcmp(value, "accuracy")
		       ? 0
		       : bad(in, "by", value, "want accuracy or probability");
}

static int set_labels(struct reader *in, const char *value)
{
	struct recipe_data *d = &in->r->data;
	char *copy = strdup(value), *save = NULL, *word;

	if (!copy)
		return in->code = -ENOMEM;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		char **more = NULL;

		word += strspn(word, " ");
		if (d->n_label < RECIPE_MAX_LABELS)
			more = realloc(d->label, (d->n_label + 1) * sizeof(*more));
		if (!more) {
			free(copy);
			return bad(in, "labels", value, "too many");
		}
		d->label = more;
		d->label[d->n_label] = strdup(word);
		if (!d->label[d->n_label++]) {
			free(copy);
			return in->code = -ENOMEM;
		}
	}
	free(copy);
	return 0;
}

static const struct {
	const char *section, *name;
	int (*set)(struct reader *in, const char *value);
} special[] = {
	{"levels", "by", set_by},
	{"data", "train", set_train},
	{"data", "test", set_test},
	{"network", "input", set_input},
	{"network", "normalise", set_normalise},
	{"network", "block", add_block},
	{"widths", "fractions", set_widths},
	{"data", "labels", set_labels},
};

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct reader *in = user;

	if (in->code < 0)
		return 0;
	for (size_t i = 0; i < NE_ARRAY_SIZE(special); i++)
		if (!strcmp(section, special[i].section) && !strcmp(name, special[i].name))
			return special[i].set(in, value) == 0;
	if (!strcmp(section, "features"))
		in->r->net.has_mel = true;
	for (size_t i = 0; i < NE_ARRAY_SIZE(keys); i++)
		if (!strcmp(section, keys[i].section) && !strcmp(name, keys[i].name))
			return store(in, &keys[i], value) == 0;
	in->code = ne_fail(in->err, EINVAL,
			   "%s:%u: no key '%s' in section [%s]; docs/recipe.md lists them",
			   in->r->path, in->line, name, section);
	return 0;
}

/* Hands inih one line at a time and counts them. */
static char *next_line(char *buf, int size, void *user)
{
	struct reader *in = user;
	size_t n = strcspn(in->next, "\n");

	if (!*in->next || in->code < 0)
		return NULL;
	in->line++;
	if (n > LINE_CHARS || n + 2 > (size_t)size) {
		in->code = ne_fail(in->err, EINVAL, "%s:%u: line longer than %u characters",
				   in->r->path, in->line, LINE_CHARS);
		return NULL;
	}
	memcpy(buf, in->next, n);
	strcpy(buf + n, "\n");
	in->next += n + (in->next[n] == '\n');
	return buf;
}

static void set_defaults(struct recipe *r)
{
	r->net.mel = (struct ne_mel){.rate_hz = 16000,
				     .frame = 640,
				     .hop = 320,
				     .fft = 1024,
				     .bins = 40,
				     .lo_hz = 60.0f,
				     .hi_hz = 7600.0f,
				     .floor = 1e-3f};
	r->net.normalise = (struct ne_quant){1.0f, 0};
	r->n_width = 1;
	r->width[0] = 1.0f;
	r->train = (struct recipe_train){.epochs = 20,
					 .batch = 128,
					 .seed = 1,
					 .random_widths = 2,
					 .rate = 0.1f,
					 .momentum = 0.9f,
					 .nesterov = true,
					 .weight_decay = 5e-4f,
					 .warmup = 1.0f,
					 .temperature = 1.0f,
					 .exit_weight = 1.0f};
	r->augment.noise_db = -20.0f;
	r->recalibrate = 2000;
	r->calibrate = 512;
	r->max_levels = 16;
	r->control = true;
}

/* What one key alone cannot tell. */
static int check_whole(const struct recipe *r, struct ne_error *err)
{
	const struct recipe_network *n = &r->net;
	uint32_t exits = 0;

	if (!r->data.train || !r->data.test)
		return ne_fail(err, EINVAL, "%s: [data] needs train and test", r->path);
	for (uint32_t i = 0; i < n->n_block; i++)
		exits += n->block[i].kind == BLOCK_EXIT;
	if (n->import && n->n_block)
		return ne_fail(err, EINVAL, "%s: [network] has both import and blocks", r->path);
	if (n->import)
		return 0;
	if (!n->input.rank)
		return ne_fail(err, EINVAL, "%s: [network] needs input", r->path);
	if (!exits || n->block[n->n_block - 1].kind != BLOCK_EXIT || exits > NE_MAX_EXITS)
		return ne_fail(err, EINVAL,
			       "%s: [network] must end in 'block = exit', with at most %u of them",
			       r->path, NE_MAX_EXITS);
	if (n->has_mel &&
	    (n->input.rank != 2 || n->mel.fft < n->mel.frame || (n->mel.fft & (n->mel.fft - 1)) ||
	     n->mel.lo_hz >= n->mel.hi_hz || n->mel.hi_hz * 2.0f > (float)n->mel.rate_hz ||
	     n->mel.frame > n->input.dim[1] || n->mel.cepstra > n->mel.bins))
		return ne_fail(
			err, EINVAL,
			"%s: [features]: fft must be a power of two >= frame, low < high <= "
			"rate / 2, cepstra <= bins, and the input at least one frame of samples",
			r->path);
	if (!n->has_mel && n->input.rank != 4)
		return ne_fail(err, EINVAL, "%s: an input of SAMPLES needs [features]", r->path);
	return 0;
}

int recipe_parse(const char *path, const char *text, struct recipe *ret, struct ne_error *err)
{
	struct recipe r = {0};
	struct reader in = {.next = text, .r = &r, .err = err};
	int bad_line;

	set_defaults(&r);
	r.path = strdup(path);
	r.text = strdup(text);
	if (!r.path || !r.text) {
		in.code = ne_fail(err, ENOMEM, "%s: out of memory", path);
		goto out;
	}
	bad_line = ini_parse_stream(next_line, &in, on_key, &in);
	if (in.code == 0 && bad_line)
		in.code = ne_fail(err, EINVAL, "%s:%d: not a [section], a key = value or a comment",
				  path, bad_line);
	if (in.code == 0)
		in.code = check_whole(&r, err);
	if (in.code == 0) {
		*ret = r;
		return 0;
	}
out:
	recipe_done(&r);
	return in.code;
}

int recipe_load(const char *path, struct recipe *ret, struct ne_error *err)
{
	void *data = NULL;
	size_t bytes = 0;
	char *text;
	int rc = data_read_file(path, RECIPE_MAX_BYTES, &data, &bytes, err);

	if (rc < 0)
		return rc;
	text = strndup(data, bytes);
	free(data);
	if (!text)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	rc = strlen(text) == bytes
		     ? recipe_parse(path, text, ret, err)
		     : ne_fail(err, EINVAL, "%s: not a text file (holds a zero byte)", path);
	free(text);
	return rc;
}

void recipe_done(struct recipe *r)
{
	free(r->path);
	free(r->text);
	free(r->data.train);
	free(r->data.test);
	free(r->data.train_text);
	free(r->data.test_text);
	free(r->data.licence);
	free(r->data.attribution);
	for (uint32_t i = 0; i < r->data.n_label; i++)
		free(r->data.label[i]);
	free(r->data.label);
	free(r->net.import);
	free(r->augment.noise_class);
	memset(r, 0, sizeof(*r));
}
