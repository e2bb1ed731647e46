/* SPDX-License-Identifier: MIT */
/* neap keygen, sign, verify: Ed25519 signatures of model files. An exit status as in command.h. */
#ifndef NEAP_TOOL_SIGN_H
#define NEAP_TOOL_SIGN_H

int cmd_keygen(int argc, char **argv);
int cmd_sign(int argc, char **argv);
int cmd_verify(int argc, char **argv);

#endif
