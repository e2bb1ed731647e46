/* SPDX-License-Identifier: MIT */
#ifndef NEAP_TOOL_TRAIN_H
#define NEAP_TOOL_TRAIN_H

/* neap train RECIPE.ini -o OUT.neap [...]: an exit status as in command.h. */
int cmd_train(int argc, char **argv);

#endif
