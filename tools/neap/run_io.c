// SPDX-License-Identifier: MIT
/* npy files for the inputs and outputs of neap run. Nothing is converted silently. */
#include "tools/neap/run_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const struct ne_io *get_io(const struct ne_program *p, uint32_t i);

static void shape_text(char *text, size_t size, uint32_t rank, const size_t *dim)
{
	size_t n = (size_t)snprintf(text, size, "[");

	for (uint32_t i = 0; i < rank && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%zu", i ? "," : "", dim[i]);
	if (n < size)
		snprintf(text + n, size - n, "]");
}

static void io_shape(const struct ne_io *io, size_t *dim)
{
	for (uint32_t i = 0; i < io->shape.rank; i++)
		dim[i] = (size_t)io->shape.dim[i];
}

/* ---- which file is for which input or output ---- */

/* Index of the input or output named by "NAME=" in @word, or -1. Names may hold '=' themselves. */
static int named(const struct ne_program *p, get_io *get, uint32_t n, const char *word)
{
	for (uint32_t i = 0; i < n; i++) {
		const char *name = get(p, i)->name;
		size_t length = name ? strlen(name) : 0;

		if (length && !strncmp(word, name, length) && word[length] == '=')
			return (int)i;
	}
	return -1;
}

static void list_names(const struct ne_program *p, get_io *get, uint32_t n, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
					 get(p, i)->name);
}

/* "NAME=PATH" with an unknown name is an error and no odd file name; "./a=b" stays a path. */
static bool names_nothing(const char *word)
{
	const char *equals = strchr(word, '=');

	return equals && !memchr(word, '/', (size_t)(equals - word));
}

static int assign(const struct ne_program *p, get_io *get, uint32_t n, const char *what,
		  const struct option_list *words, const char **path, struct ne_error *err)
{
	char names[120];
	uint32_t next = 0;

	list_names(p, get, n, names, sizeof(names));
	for (uint32_t w = 0; w < words->n; w++) {
		const char *word = words->item[w];
		int i = named(p, get, n, word);

		if (i >= 0) {
			word += strlen(get(p, (uint32_t)i)->name) + 1;
		} else if (names_nothing(word)) {
			return ne_fail(err, EINVAL,
				       "--%s %.60s: no such %s; the model has %s (for a file with "
				       "'=' in its name write ./)",
				       what, word, what, names);
		} else {
			while (next < n && path[next])
				next++;
			if (next == n)
				return ne_fail(err, EINVAL, "--%s %.60s: the model has %u %s%s: %s",
					       what, word, n, what, n == 1 ? "" : "s", names);
			i = (int)next;
		}
		if (path[i])
			return ne_fail(err, EINVAL, "--%s %.60s: '%s' is given twice", what, word,
				       get(p, (uint32_t)i)->name);
		if (!*word)
			return ne_fail(err, EINVAL, "--%s: no file after the name '%s'", what,
				       get(p, (uint32_t)i)->name);
		path[i] = word;
	}
	return 0;
}

/* ---- inputs ---- */

static int check_type(const char *path, const struct npy *a, const struct ne_io *io,
		      struct ne_error *err)
{
	int lo = io->dtype == NE_U8 ? 0 : -128;

	if (npy_dtype(a) == io->dtype)
		return 0;
	if (a->kind == 'f' && io->quant.scale > 0)
		return ne_fail(err, EINVAL,
			       "%.60s holds %s; input '%.40s' takes %s, quantised: save np.clip("
			       "np.rint(x / %.9g) + %d, %d, %d).astype(np.%s)",
			       path, npy_type_name(a), io->name, ne_dtype_name(io->dtype),
			       (double)io->quant.scale, io->quant.zero, lo, lo + 255,
			       io->dtype == NE_U8 ? "uint8" : "int8");
	return ne_fail(err, EINVAL, "%.100s holds %s; input '%.60s' takes %s", path,
		       npy_type_name(a), io->name, ne_dtype_name(io->dtype));
}

static bool dims_equal(const size_t *a, const size_t *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

/*
 * The model's shape is [1,...]. A file holds one sample as [...] or [1,...], or N samples as
 * [N,...] or [N,1,...].
 */
static int check_shape(const char *path, const struct npy *a, const struct ne_io *io,
		       size_t *ret_samples, bool *ret_batched, struct ne_error *err)
{
	size_t want[NE_MAX_RANK];
	uint32_t rank = io->shape.rank;
	char have_text[80], want_text[80];

	io_shape(io, want);
	*ret_samples = 1;
	*ret_batched = false;
	if (a->rank == rank && dims_equal(a->dim, want, rank))
		return 0;
	if (rank && want[0] == 1 && a->rank == rank - 1 && dims_equal(a->dim, want + 1, rank - 1))
		return 0;
	*ret_batched = true;
	if (a->rank)
		*ret_samples = a->dim[0];
	if (rank && want[0] == 1 && a->rank == rank && a->dim[0] &&
	    dims_equal(a->dim + 1, want + 1, rank - 1))
		return 0;
	if (a->rank == rank + 1 && a->dim[0] && dims_equal(a->dim + 1, want, rank))
		return 0;
	shape_text(have_text, sizeof(have_text), a->rank, a->dim);
	shape_text(want_text, sizeof(want_text), rank, want);
	return ne_fail(err, EINVAL,
		       "%.60s has shape %s; input '%.40s' takes %s, or N of them with N in front",
		       path, have_text, io->name, want_text);
}

static int load_inputs(const struct ne_program *p, struct run_io *io, struct ne_error *err)
{
	for (uint32_t i = 0; i < ne_program_inputs(p); i++) {
		const struct ne_io *in = ne_program_input(p, i);
		size_t samples;
		bool batched;

		if (!io->in_path[i])
			return ne_fail(err, EINVAL, "no --input for the model's input '%s'",
				       in->name);
		NE_RETURN_IF(npy_load(io->in_path[i], &io->in[i], err));
		NE_RETURN_IF(check_type(io->in_path[i], &io->in[i], in, err));
		NE_RETURN_IF(check_shape(io->in_path[i], &io->in[i], in, &samples, &batched, err));
		if (i && (samples != io->samples || batched != io->batched))
			return ne_fail(err, EINVAL, "%.80s holds %zu samples, %.80s holds %zu",
				       io->in_path[0], io->samples, io->in_path[i], samples);
		io->samples = samples;
		io->batched = batched;
	}
	return 0;
}

static int make_outputs(const struct ne_program *p, struct run_io *io, struct ne_error *err)
{
	for (uint32_t i = 0; i < ne_program_outputs(p); i++) {
		size_t bytes = ne_program_output(p, i)->bytes;

		if (io->samples > SIZE_MAX / 2 / bytes)
			return ne_fail(err, EFBIG, "too many samples");
		io->out[i] = calloc(io->samples, bytes);
		if (!io->out[i])
			return ne_fail(err, ENOMEM, "out of memory for the outputs of %zu samples",
				       io->samples);
	}
	return 0;
}

int run_io_open(const struct ne_program *p, const struct option_list *inputs,
		const struct option_list *outputs, struct run_io *ret, struct ne_error *err)
{
	memset(ret, 0, sizeof(*ret));
	ret->samples = 1;
	NE_RETURN_IF(assign(p, ne_program_input, ne_program_inputs(p), "input", inputs,
			    ret->in_path, err));
	NE_RETURN_IF(assign(p, ne_program_output, ne_program_outputs(p), "output", outputs,
			    ret->out_path, err));
	NE_RETURN_IF(load_inputs(p, ret, err));
	return make_outputs(p, ret, err);
}

void run_io_done(struct run_io *io)
{
	for (uint32_t i = 0; i < NE_MAX_IO; i++) {
		npy_done(&io->in[i]);
		free(io->out[i]);
	}
	memset(io, 0, sizeof(*io));
}

void run_io_sample(const struct ne_program *p, const struct run_io *io, size_t i, const void **in,
		   void **out)
{
	for (uint32_t k = 0; k < ne_program_inputs(p); k++)
		in[k] = (const char *)io->in[k].data + i * ne_program_input(p, k)->bytes;
	for (uint32_t k = 0; k < ne_program_outputs(p); k++)
		out[k] = (char *)io->out[k] + i * ne_program_output(p, k)->bytes;
}

/* One sample keeps the model's shape; N get [N,...] in place of [1,...]. */
int run_io_save(const struct ne_program *p, const struct run_io *io, struct ne_error *err)
{
	for (uint32_t i = 0; i < ne_program_outputs(p); i++) {
		const struct ne_io *out = ne_program_output(p, i);
		size_t dim[NPY_MAX_RANK];
		uint32_t rank = out->shape.rank;

		if (!io->out_path[i])
			continue;
		io_shape(out, dim);
		if (io->batched && rank && dim[0] == 1) {
			dim[0] = io->samples;
		} else if (io->batched) {
			memmove(dim + 1, dim, rank * sizeof(*dim));
			dim[0] = io->samples;
			rank++;
		}
		NE_RETURN_IF(npy_save(io->out_path[i], out->dtype, rank, dim, io->out[i], err));
	}
	return 0;
}
