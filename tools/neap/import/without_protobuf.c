/* SPDX-License-Identifier: MIT */
/* What a build without libprotobuf-c has in place of the ONNX importer. */
#include "tools/neap/import/onnx.h"

#ifndef HAVE_PROTOBUFC

int onnx_parse_shape(const char *text, struct onnx_shape *ret, struct ne_error *err)
{
	(void)ret;
	return ne_fail(err, EOPNOTSUPP, "shape '%.80s': this build has no ONNX importer", text);
}

int onnx_import(const void *data, size_t bytes, const struct onnx_options *opt,
		struct ne_model **ret, struct ne_error *err)
{
	(void)data;
	(void)bytes;
	(void)opt;
	(void)ret;
	return ne_fail(err, ENOSYS,
		       "this build has no ONNX importer: install libprotobuf-c-dev and "
		       "protobuf-c-compiler, then build again");
}

int onnx_parse_value(const char *text, struct onnx_fixed *ret, struct ne_error *err)
{
	(void)text;
	(void)ret;
	return ne_fail(err, ENOSYS, "--set is for ONNX models: this build has no importer of them");
}

char *onnx_operators(void)
{
	return NULL;
}

#else

/* A translation unit must declare something. */
typedef int without_protobuf_is_unused;

#endif
