/* SPDX-License-Identifier: MIT */
#ifndef NEAP_TOOL_EXPORT_H
#define NEAP_TOOL_EXPORT_H

/* neap export MODEL.neap --level K -o OUT.onnx: an exit status, 0 on success. */
int cmd_export(int argc, char **argv);

#endif
