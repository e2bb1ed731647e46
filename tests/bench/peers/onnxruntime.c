/* SPDX-License-Identifier: MIT */
/*
 * ONNX Runtime by its C interface, from the shared library in its npm package. That package has no
 * header, so the few functions needed are declared here. The interface is a struct of function
 * pointers that has only ever grown at its end since version 1; a function's place in it is fixed,
 * which is what lets programs built long ago run with a newer library.
 */
#include "tests/bench/peers/peers.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct OrtStatus OrtStatus;
typedef struct OrtObject OrtObject; /* environment, options, session, value, memory: all opaque */

/* Places in the function table of interface version 1. */
enum {
	GET_ERROR_MESSAGE = 2,
	CREATE_ENV = 3,
	CREATE_SESSION = 7,
	RUN = 9,
	CREATE_SESSION_OPTIONS = 10,
	SET_GRAPH_OPTIMIZATION_LEVEL = 23,
	SET_INTRA_OP_NUM_THREADS = 24,
	SET_INTER_OP_NUM_THREADS = 25,
	SESSION_GET_INPUT_TYPE_INFO = 33,
	SESSION_GET_OUTPUT_TYPE_INFO = 34,
	SESSION_GET_INPUT_NAME = 36,
	SESSION_GET_OUTPUT_NAME = 37,
	CREATE_TENSOR_WITH_DATA = 49,
	CAST_TYPE_INFO_TO_TENSOR_INFO = 55,
	GET_TENSOR_ELEMENT_TYPE = 60,
	GET_DIMENSIONS_COUNT = 61,
	GET_DIMENSIONS = 62,
	CREATE_CPU_MEMORY_INFO = 69,
	GET_ALLOCATOR = 78,
	RELEASE_STATUS = 93,
	RELEASE_MEMORY_INFO = 94,
	RELEASE_SESSION = 95,
	RELEASE_VALUE = 96,
	RELEASE_TYPE_INFO = 98,
	RELEASE_SESSION_OPTIONS = 100,
};

struct api_base {
	void *const *(*get_api)(uint32_t version);
	const char *(*get_version_string)(void);
};

enum { LOG_ERRORS = 3, OPTIMISE_ALL = 99, ARENA_ALLOCATOR = 1, MEMORY_DEFAULT = 0 };
enum { ELEMENT_FLOAT = 1, ELEMENT_UINT8 = 2, ELEMENT_INT8 = 3 };

static const char *library_path;
static const struct api_base *base;
static void *const *api;
static OrtObject *env;

void onnxruntime_library(const char *path)
{
	library_path = path;
}

/* Takes a status; 0, or -EIO with its message. */
static int check(OrtStatus *s, struct ne_error *err)
{
	const char *(*message)(const OrtStatus *) =
		(const char *(*)(const OrtStatus *))api[GET_ERROR_MESSAGE];
	void (*release)(OrtStatus *) = (void (*)(OrtStatus *))api[RELEASE_STATUS];
	int r;

	if (!s)
		return 0;
	r = ne_fail(err, EIO, "ONNX Runtime: %.200s", message(s));
	release(s);
	return r;
}

#define CALL(place, types, ...) check(((OrtStatus * (*)types) api[place])(__VA_ARGS__), err)

static int load(struct ne_error *err)
{
	const struct api_base *(*get_base)(void);
	void *lib;

	if (env)
		return 0;
	if (!library_path)
		return ne_fail(err, ENOENT, "ONNX Runtime: no library was named");
	lib = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return ne_fail(err, ENOENT, "ONNX Runtime: %.200s", dlerror());
	get_base = (const struct api_base *(*)(void))dlsym(lib, "OrtGetApiBase");
	base = get_base ? get_base() : NULL;
	api = base ? base->get_api(1) : NULL;
	if (!api)
		return ne_fail(err, ENOSYS, "ONNX Runtime: %s has no interface version 1",
			       library_path);
	return CALL(CREATE_ENV, (int, const char *, OrtObject **), LOG_ERRORS, "bench", &env);
}

static const char *version(void)
{
	struct ne_error err;

	return load(&err) < 0 ? "absent" : base->get_version_string();
}

struct tensor {
	OrtObject *value;
	void *data;
	char *name; /* the allocator's; freed with the process */
	int64_t dim[NE_MAX_RANK];
	size_t rank, bytes;
	int element;
};

struct state {
	OrtObject *options, *session, *memory;
	struct tensor in, out;
	struct ne_error err;
};

/* What the file leaves open is as @model, the tensor of the model file, says. */
static int close_shape(struct tensor *t, const struct ne_tensor *model, struct ne_error *err)
{
	for (size_t i = 0; i < t->rank; i++) {
		if (t->dim[i] > 0)
			continue;
		if (model->shape.rank != t->rank)
			return ne_fail(err, EINVAL, "ONNX Runtime: '%s' has an open shape",
				       t->name);
		t->dim[i] = model->shape.dim[i];
	}
	return 0;
}

/* Name, type and shape of input or output 0, and a value of memory that is ours. */
static int make_tensor(struct state *s, bool output, const struct ne_tensor *model,
		       struct tensor *t, struct ne_error *err)
{
	OrtObject *info = NULL, *allocator;
	const OrtObject *shape;
	size_t n = 1;

	NE_RETURN_IF(CALL(GET_ALLOCATOR, (OrtObject **), &allocator));
	NE_RETURN_IF(CALL(output ? SESSION_GET_OUTPUT_NAME : SESSION_GET_INPUT_NAME,
			  (const OrtObject *, size_t, OrtObject *, char **), s->session, 0,
			  allocator, &t->name));
	NE_RETURN_IF(CALL(output ? SESSION_GET_OUTPUT_TYPE_INFO : SESSION_GET_INPUT_TYPE_INFO,
			  (const OrtObject *, size_t, OrtObject **), s->session, 0, &info));
	NE_RETURN_IF(CALL(CAST_TYPE_INFO_TO_TENSOR_INFO, (const OrtObject *, const OrtObject **),
			  info, &shape));
	NE_RETURN_IF(CALL(GET_TENSOR_ELEMENT_TYPE, (const OrtObject *, int *), shape, &t->element));
	NE_RETURN_IF(CALL(GET_DIMENSIONS_COUNT, (const OrtObject *, size_t *), shape, &t->rank));
	if (t->rank > NE_MAX_RANK || (t->element != ELEMENT_FLOAT && t->element != ELEMENT_UINT8 &&
				      t->element != ELEMENT_INT8))
		return ne_fail(err, EOPNOTSUPP, "ONNX Runtime: type or rank of '%s'", t->name);
	NE_RETURN_IF(CALL(GET_DIMENSIONS, (const OrtObject *, int64_t *, size_t), shape, t->dim,
			  t->rank));
	((void (*)(OrtObject *))api[RELEASE_TYPE_INFO])(info);
	NE_RETURN_IF(close_shape(t, model, err));
	for (size_t i = 0; i < t->rank; i++)
		n *= (size_t)t->dim[i];
	t->bytes = n * (t->element == ELEMENT_FLOAT ? sizeof(float) : 1);
	t->data = ne_alloc_aligned(t->bytes);
	if (!t->data)
		return ne_fail(err, ENOMEM, "out of memory");
	return CALL(CREATE_TENSOR_WITH_DATA,
		    (const OrtObject *, void *, size_t, const int64_t *, size_t, int, OrtObject **),
		    s->memory, t->data, t->bytes, t->dim, t->rank, t->element, &t->value);
}

/* The model file's input in the order and type that the ONNX file wants. */
static int set_input(const struct ne_model *m, const struct tensor *t, const void *in,
		     struct ne_error *err)
{
	const struct ne_tensor *x = &m->graph.tensor[m->graph.in[0]];
	size_t size = ne_dtype_size(x->dtype), n = ne_shape_elements(&x->shape);
	bool turn = x->shape.rank == 4 && t->rank == 4 && t->dim[1] == x->shape.dim[3] &&
		    t->dim[2] == x->shape.dim[1];
	size_t pixels = turn ? (size_t)x->shape.dim[1] * (size_t)x->shape.dim[2] : 1, c;
	const char *from = in;
	char *to = t->data;

	if (n * size != t->bytes)
		return ne_fail(err, EINVAL, "ONNX Runtime: '%s' takes %zu bytes, the model %zu",
			       t->name, t->bytes, n * size);
	c = n / pixels;
	for (size_t p = 0; p < pixels; p++)
		for (size_t k = 0; k < c; k++)
			memcpy(to + (k * pixels + p) * size, from + (p * c + k) * size, size);
	if (x->dtype == NE_S8 && t->element == ELEMENT_UINT8)
		for (size_t i = 0; i < n; i++)
			to[i] = (char)(to[i] ^ 0x80);
	return 0;
}

static void close_run(struct peer_run *r)
{
	struct state *s = r->state;
	void (*release_value)(OrtObject *) = (void (*)(OrtObject *))api[RELEASE_VALUE];

	release_value(s->in.value);
	release_value(s->out.value);
	((void (*)(OrtObject *))api[RELEASE_SESSION])(s->session);
	((void (*)(OrtObject *))api[RELEASE_SESSION_OPTIONS])(s->options);
	((void (*)(OrtObject *))api[RELEASE_MEMORY_INFO])(s->memory);
	free(s->in.data);
	free(s->out.data);
	free(s);
}

static int open_file(const struct peer_case *c, const char *file, unsigned threads, const void *in,
		     struct peer_run *ret, struct ne_error *err)
{
	const struct ne_graph *g = &c->model->graph;
	struct state *s;

	NE_RETURN_IF(load(err));
	s = calloc(1, sizeof(*s));
	if (!s)
		return ne_fail(err, ENOMEM, "out of memory");
	NE_RETURN_IF(CALL(CREATE_SESSION_OPTIONS, (OrtObject **), &s->options));
	NE_RETURN_IF(CALL(SET_INTRA_OP_NUM_THREADS, (OrtObject *, int), s->options, (int)threads));
	NE_RETURN_IF(CALL(SET_INTER_OP_NUM_THREADS, (OrtObject *, int), s->options, 1));
	NE_RETURN_IF(
		CALL(SET_GRAPH_OPTIMIZATION_LEVEL, (OrtObject *, int), s->options, OPTIMISE_ALL));
	NE_RETURN_IF(CALL(CREATE_SESSION,
			  (OrtObject *, const char *, const OrtObject *, OrtObject **), env, file,
			  s->options, &s->session));
	NE_RETURN_IF(CALL(CREATE_CPU_MEMORY_INFO, (int, int, OrtObject **), ARENA_ALLOCATOR,
			  MEMORY_DEFAULT, &s->memory));
	NE_RETURN_IF(make_tensor(s, false, &g->tensor[g->in[0]], &s->in, err));
	NE_RETURN_IF(make_tensor(s, true, &g->tensor[g->exit[g->n_exit - 1].out[0]], &s->out, err));
	NE_RETURN_IF(set_input(c->model, &s->in, in, err));
	ret->state = s;
	ret->in = s->in.data;
	ret->out = s->out.data;
	ret->out_bytes = s->out.bytes;
	ret->out_type = s->out.element == ELEMENT_FLOAT   ? NE_F32
			: s->out.element == ELEMENT_UINT8 ? NE_U8
							  : NE_S8;
	return 0;
}

static void run(struct peer_run *r)
{
	struct state *s = r->state;
	const char *in_name = s->in.name, *out_name = s->out.name;
	const OrtObject *in = s->in.value;
	OrtStatus *status = ((OrtStatus * (*)(OrtObject *, const OrtObject *, const char *const *,
					      const OrtObject *const *, size_t, const char *const *,
					      size_t, OrtObject **)) api[RUN])(
		s->session, NULL, &in_name, &in, 1, &out_name, 1, &s->out.value);

	if (check(status, &s->err) < 0) {
		fprintf(stderr, "peers: %s\n", s->err.text);
		exit(EXIT_FAILURE);
	}
}

static int open_exported(const struct peer_case *c, const char *cpu, unsigned threads,
			 const void *in, struct peer_run *ret, struct ne_error *err)
{
	(void)cpu;
	return open_file(c, c->onnx, threads, in, ret, err);
}

static int open_reference(const struct peer_case *c, const char *cpu, unsigned threads,
			  const void *in, struct peer_run *ret, struct ne_error *err)
{
	(void)cpu;
	if (!c->reference)
		return ne_fail(err, ENOENT, "no other ONNX file of this model");
	return open_file(c, c->reference, threads, in, ret, err);
}

const struct peer peer_onnxruntime = {"ONNX Runtime", version, open_exported, run, close_run};
const struct peer peer_reference = {"ONNX Runtime, reference file", version, open_reference, run,
				    close_run};
