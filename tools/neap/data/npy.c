// SPDX-License-Identifier: MIT
/* .npy: magic, version, length and text of a Python dictionary, then the values. */
#include "tools/neap/data/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/data/source.h"

#define MAGIC       "\x93NUMPY"
#define MAGIC_BYTES 6u

/* The header's dictionary as it is read. Nothing past end is touched. */
struct header {
	const char *path;
	const char *p, *end;
	struct ne_error *err;
	bool have_descr, have_order, have_shape, fortran;
	struct npy *a;
};

static int bad(const struct header *h, const char *what)
{
	return ne_fail(h->err, EBADMSG, "%s: npy header: %s", h->path, what);
}

static void skip_space(struct header *h)
{
	while (h->p < h->end && (*h->p == ' ' || *h->p == '\n' || *h->p == '\t'))
		h->p++;
}

static bool take(struct header *h, char c)
{
	skip_space(h);
	if (h->p == h->end || *h->p != c)
		return false;
	h->p++;
	return true;
}

/* A quoted word without escapes, as NumPy writes them. */
static int take_string(struct header *h, char *ret, size_t size)
{
	const char *from;
	char quote;

	skip_space(h);
	if (h->p == h->end || (*h->p != '\'' && *h->p != '"'))
		return bad(h, "expected a quoted word");
	quote = *h->p++;
	from = h->p;
	while (h->p < h->end && *h->p != quote)
		h->p++;
	if (h->p == h->end)
		return bad(h, "unterminated word");
	if ((size_t)(h->p - from) >= size)
		return bad(h, "a word is too long");
	memcpy(ret, from, (size_t)(h->p - from));
	ret[h->p - from] = '\0';
	h->p++;
	return 0;
}

static int parse_descr(struct header *h)
{
	struct npy *a = h->a;
	char d[16];

	skip_space(h);
	if (h->p < h->end && *h->p == '[')
		return ne_fail(h->err, EINVAL,
			       "%s: a structured array; save one plain array of numbers", h->path);
	NE_RETURN_IF(take_string(h, d, sizeof(d)));
	if (d[0] == '>' && strcmp(d + 2, "1"))
		return ne_fail(h->err, EINVAL,
			       "%s: big-endian values ('%s'); save a.astype(a.dtype."
			       "newbyteorder('<'))",
			       h->path, d);
	if (!strchr("<|=>", d[0]) || !d[0] || !d[1] || !strchr("fiub", d[1]) || strlen(d) != 3 ||
	    !strchr("1248", d[2]) || (d[1] == 'b' && d[2] != '1') || (d[1] == 'f' && d[2] == '1'))
		return ne_fail(h->err, EINVAL,
			       "%s: type '%s'; expected floats, integers or bool of at most 8 "
			       "bytes",
			       h->path, d);
	a->kind = d[1];
	a->size = (uint32_t)(d[2] - '0');
	h->have_descr = true;
	return 0;
}

static int parse_order(struct header *h)
{
	size_t left;

	skip_space(h);
	left = (size_t)(h->end - h->p);
	if (left >= 4 && !memcmp(h->p, "True", 4)) {
		h->fortran = true;
		h->p += 4;
	} else if (left >= 5 && !memcmp(h->p, "False", 5)) {
		h->p += 5;
	} else {
		return bad(h, "fortran_order is neither True nor False");
	}
	h->have_order = true;
	return 0;
}

static int parse_dim(struct header *h, size_t *ret)
{
	size_t v = 0;

	if (h->p == h->end || *h->p < '0' || *h->p > '9')
		return bad(h, "a dimension is no number");
	for (; h->p < h->end && *h->p >= '0' && *h->p <= '9'; h->p++) {
		if (v > (SIZE_MAX - 9) / 10)
			return bad(h, "a dimension overflows");
		v = v * 10 + (size_t)(*h->p - '0');
	}
	if (h->p < h->end && *h->p == 'L') /* Python 2 */
		h->p++;
	*ret = v;
	return 0;
}

static int parse_shape(struct header *h)
{
	if (!take(h, '('))
		return bad(h, "the shape is no tuple");
	h->a->rank = 0;
	while (!take(h, ')')) {
		if (h->a->rank == NPY_MAX_RANK)
			return ne_fail(h->err, EINVAL, "%s: more than %u dimensions", h->path,
				       NPY_MAX_RANK);
		NE_RETURN_IF(parse_dim(h, &h->a->dim[h->a->rank]));
		h->a->rank++;
		if (!take(h, ',')) {
			if (!take(h, ')'))
				return bad(h, "the shape is not closed");
			break;
		}
	}
	h->have_shape = true;
	return 0;
}

static int parse_header(struct header *h)
{
	char key[32];

	if (!take(h, '{'))
		return bad(h, "no dictionary");
	while (!take(h, '}')) {
		NE_RETURN_IF(take_string(h, key, sizeof(key)));
		if (!take(h, ':'))
			return bad(h, "a key has no value");
		if (!strcmp(key, "descr"))
			NE_RETURN_IF(parse_descr(h));
		else if (!strcmp(key, "fortran_order"))
			NE_RETURN_IF(parse_order(h));
		else if (!strcmp(key, "shape"))
			NE_RETURN_IF(parse_shape(h));
		else
			return bad(h, "an unknown key");
		if (!take(h, ',')) {
			if (!take(h, '}'))
				return bad(h, "the dictionary is not closed");
			break;
		}
	}
	if (!h->have_descr || !h->have_order || !h->have_shape)
		return bad(h, "descr, fortran_order or shape is missing");
	if (h->fortran && h->a->rank > 1)
		return ne_fail(h->err, EINVAL,
			       "%s: Fortran order; save np.ascontiguousarray(a) instead", h->path);
	return 0;
}

static int check_size(const char *path, struct npy *a, size_t left, struct ne_error *err)
{
	a->elements = 1;
	for (uint32_t i = 0; i < a->rank; i++) {
		if (a->dim[i] && a->elements > left / a->dim[i])
			return ne_fail(err, EBADMSG,
				       "%s: npy header claims more values than the %zu bytes that "
				       "follow",
				       path, left);
		a->elements *= a->dim[i];
	}
	if (a->elements > left / a->size)
		return ne_fail(err, EBADMSG, "%s: truncated: %zu values of %u bytes in %zu bytes",
			       path, a->elements, a->size, left);
	a->bytes = a->elements * a->size;
	if (a->bytes != left)
		return ne_fail(err, EBADMSG, "%s: %zu bytes after the array", path,
			       left - a->bytes);
	return 0;
}

int npy_parse(const char *path, void *file, size_t bytes, struct npy *ret, struct ne_error *err)
{
	const uint8_t *p = file;
	struct npy a = {.size = 1};
	struct header h = {.path = path, .err = err, .a = &a};
	size_t start, length;

	if (bytes < MAGIC_BYTES + 4 || memcmp(p, MAGIC, MAGIC_BYTES))
		return ne_fail(err, EBADMSG, "%s: not an npy file", path);
	if (p[6] < 1 || p[6] > 3 || p[7])
		return ne_fail(err, EINVAL, "%s: npy version %u.%u, expected 1.0 to 3.0", path,
			       p[6], p[7]);
	start = p[6] == 1 ? 10 : 12;
	if (bytes < start)
		return ne_fail(err, EBADMSG, "%s: npy header truncated", path);
	length = (size_t)p[8] | (size_t)p[9] << 8;
	if (p[6] > 1)
		length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
	if (length > bytes - start)
		return ne_fail(err, EBADMSG, "%s: npy header truncated", path);
	h.p = (const char *)p + start;
	h.end = h.p + length;
	NE_RETURN_IF(parse_header(&h));
	NE_RETURN_IF(check_size(path, &a, bytes - start - length, err));
	a.file = file;
	a.data = (char *)file + start + length;
	*ret = a;
	return 0;
}

int npy_load(const char *path, struct npy *ret, struct ne_error *err)
{
	void *file;
	size_t bytes;
	int rc;

	NE_RETURN_IF(data_read_file(path, DATA_FILE_LIMIT, &file, &bytes, err));
	rc = npy_parse(path, file, bytes, ret, err);
	if (rc < 0)
		free(file);
	return rc;
}

void npy_done(struct npy *a)
{
	if (!a)
		return;
	free(a->file);
	memset(a, 0, sizeof(*a));
}

static const struct {
	char kind;
	uint32_t size;
	enum ne_dtype type;
	const char *name, *descr;
} types[] = {
	{'f', 2, NE_F16, "f16", "<f2"}, {'f', 4, NE_F32, "f32", "<f4"},
	{'f', 8, 0, "f64", "<f8"},      {'i', 1, NE_S8, "s8", "|i1"},
	{'i', 2, NE_S16, "s16", "<i2"}, {'i', 4, NE_S32, "s32", "<i4"},
	{'i', 8, NE_S64, "s64", "<i8"}, {'u', 1, NE_U8, "u8", "|u1"},
	{'u', 2, 0, "u16", "<u2"},      {'u', 4, 0, "u32", "<u4"},
	{'u', 8, 0, "u64", "<u8"},      {'b', 1, NE_BOOL, "bool", "|b1"},
};

enum ne_dtype npy_dtype(const struct npy *a)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(types); i++)
		if (types[i].kind == a->kind && types[i].size == a->size)
			return types[i].type;
	return 0;
}

const char *npy_type_name(const struct npy *a)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(types); i++)
		if (types[i].kind == a->kind && types[i].size == a->size)
			return types[i].name;
	return "?";
}

int64_t npy_integer(const struct npy *a, size_t i)
{
	const uint8_t *p = (const uint8_t *)a->data + i * a->size;
	uint64_t v = 0;

	for (uint32_t b = 0; b < a->size; b++)
		v |= (uint64_t)p[b] << (8 * b);
	if (a->kind == 'i') {
		unsigned shift = 64 - 8 * a->size;

		return (int64_t)(v << shift) >> shift;
	}
	return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

int npy_save(const char *path, enum ne_dtype type, uint32_t rank, const size_t *dim,
	     const void *data, struct ne_error *err)
{
	const char *descr = NULL;
	char header[256];
	size_t values = ne_dtype_size(type), text, total;
	char *file;
	int rc, n;

	for (size_t i = 0; i < NE_ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			descr = types[i].descr;
	if (!descr || rank > NPY_MAX_RANK)
		return ne_fail(err, EINVAL, "%s: npy has no such type or rank", path);
	n = snprintf(header, sizeof(header), "{'descr': '%s', 'fortran_order': False, 'shape': (",
		     descr);
	for (uint32_t i = 0; i < rank; i++) {
		if (dim[i] && values > SIZE_MAX / 2 / dim[i])
			return ne_fail(err, EFBIG, "%s: the array is too large", path);
		values *= dim[i];
		n += snprintf(header + n, sizeof(header) - (size_t)n, "%zu%s", dim[i],
			      i + 1 < rank ? ", "
			      : rank == 1  ? ","
					   : "");
	}
	n += snprintf(header + n, sizeof(header) - (size_t)n, "), }");
	/* The values start at a multiple of 64 bytes; spaces and a newline fill the header up. */
	text = ne_round_up(10 + (size_t)n + 1, 64) - 10;
	total = 10 + text + values;
	file = malloc(total);
	if (!file)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	memcpy(file, MAGIC "\x01\x00", 8);
	file[8] = (char)(text & 0xff);
	file[9] = (char)(text >> 8);
	memset(file + 10, ' ', text);
	memcpy(file + 10, header, (size_t)n);
	file[10 + text - 1] = '\n';
	if (values)
		memcpy(file + 10 + text, data, values);
	rc = data_write_file(path, file, total, err);
	free(file);
	return rc;
}

/* ---- npy:X,Y as a data set ---- */

static int samples_from_npy(const char *path, const struct npy *x, struct data_set *ret,
			    struct ne_error *err)
{
	enum ne_dtype t = npy_dtype(x);

	if (t != NE_F32 && t != NE_U8 && t != NE_S8 && t != NE_S16)
		return ne_fail(err, EINVAL,
			       "%s: values are %s; a data set takes f32, u8, s8 or s16 (save "
			       "a.astype(np.float32))",
			       path, npy_type_name(x));
	if (!x->rank)
		return ne_fail(err, EINVAL, "%s: a single value; expected [N,...]", path);
	ret->n = x->dim[0];
	ret->dtype = t;
	ret->sample.rank = NE_MAX(x->rank - 1, 1u);
	ret->sample.dim[0] = 1; /* [N] is N samples of one value */
	for (uint32_t i = 1; i < x->rank; i++) {
		if (x->dim[i] < 1 || x->dim[i] > NE_MAX_DIM)
			return ne_fail(err, EINVAL, "%s: dimension %u is %zu", path, i, x->dim[i]);
		ret->sample.dim[i - 1] = (int32_t)x->dim[i];
	}
	NE_RETURN_IF(data_set_layout(ret, err));
	ret->x = malloc(x->bytes);
	if (!ret->x)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	memcpy(ret->x, x->data, x->bytes);
	return 0;
}

static int labels_from_npy(const char *path, const struct npy *y, struct data_set *ret,
			   struct ne_error *err)
{
	if (y->kind == 'f')
		return ne_fail(err, EINVAL, "%s: labels are %s, expected integers", path,
			       npy_type_name(y));
	if (y->rank < 1 || y->elements != y->dim[0])
		return ne_fail(err, EINVAL, "%s: expected one label a sample, shape [N]", path);
	if (y->elements != ret->n)
		return ne_fail(err, EINVAL, "%s: %zu labels for %zu samples", path, y->elements,
			       ret->n);
	ret->y = calloc(ret->n, sizeof(*ret->y));
	if (!ret->y)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	for (size_t i = 0; i < ret->n; i++) {
		int64_t v = npy_integer(y, i);

		if (v < 0 || v >= DATA_MAX_CLASSES)
			return ne_fail(err, EINVAL, "%s: label %zu is %lld, expected 0 to %d", path,
				       i, (long long)v, DATA_MAX_CLASSES - 1);
		ret->y[i] = (int32_t)v;
		ret->n_class = NE_MAX(ret->n_class, (uint32_t)v + 1);
	}
	return 0;
}

static int open_npy(const char *args, struct data_set *ret, struct ne_error *err)
{
	struct npy x = {.rank = 0}, y = {.rank = 0};
	char *path_x, *path_y;
	int rc;

	NE_RETURN_IF(data_split_pair(args, data_source_npy.usage, &path_x, &path_y, err));
	rc = npy_load(path_x, &x, err);
	if (!rc)
		rc = samples_from_npy(path_x, &x, ret, err);
	if (!rc)
		rc = npy_load(path_y, &y, err);
	if (!rc)
		rc = labels_from_npy(path_y, &y, ret, err);
	npy_done(&x);
	npy_done(&y);
	free(path_x);
	free(path_y);
	return rc;
}

const struct data_source data_source_npy = {
	.kind = "npy",
	.usage = "npy:X.npy,Y.npy",
	.open = open_npy,
};
