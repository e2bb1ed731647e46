/* SPDX-License-Identifier: MIT */
/* What a build without libprotobuf-c has in place of the ONNX exporter. */
#include "tools/neap/export/onnx_export.h"

#ifndef HAVE_PROTOBUFC

int onnx_export(const struct ne_model *m, const struct onnx_export_options *opt, void **ret,
		size_t *ret_bytes, struct ne_error *err)
{
	(void)m;
	(void)opt;
	(void)ret;
	(void)ret_bytes;
	return ne_fail(err, ENOSYS,
		       "this build has no ONNX exporter: install libprotobuf-c-dev and "
		       "protobuf-c-compiler, then build again");
}

#else

/* A translation unit must declare something. */
typedef int without_protobuf_is_unused;

#endif
