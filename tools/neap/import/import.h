/* SPDX-License-Identifier: MIT */
#ifndef NEAP_TOOL_IMPORT_H
#define NEAP_TOOL_IMPORT_H

/* neap import IN.onnx -o OUT.neap [...]: an exit status, 0 on success. */
int cmd_import(int argc, char **argv);

#endif
