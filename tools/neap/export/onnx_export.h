/* SPDX-License-Identifier: MIT */
/*
 * One level of a neap model as an ONNX model, opset 13 or, where an operator needs it, up to 19: what
 * other run times can run.
 *
 * Images are channels-first inside, as ONNX has them. Weights are the level's prefix of the full
 * ones, norms folded into them. s8 tensors are u8 there (value + 128) in QDQ form: weights s8 with
 * a scale per output channel, biases s32. Inputs and outputs keep their names, and their layout
 * unless channels_first says otherwise; those that are s8 become u8. States are an input state_NAME and
 * an output state_NAME_next each.
 */
#ifndef NEAP_TOOL_ONNX_EXPORT_H
#define NEAP_TOOL_ONNX_EXPORT_H

#include "engine/model/model.h"

struct onnx_export_options {
	uint32_t level;
	/* Inputs that the network reads as images are declared [1,C,H,W] instead of [1,H,W,C]. */
	bool channels_first;
};

/*
 * The bytes of the .onnx file, freed with free(). -EINVAL: no such level; -EOPNOTSUPP: an operator
 * or a form of it that ONNX cannot express, with the node's name; -ENOSYS: built without protobuf.
 */
int onnx_export(const struct ne_model *m, const struct onnx_export_options *opt, void **ret,
		size_t *ret_bytes, struct ne_error *err);

#endif
