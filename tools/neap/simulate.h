/* SPDX-License-Identifier: MIT */
#ifndef NEAP_TOOL_SIMULATE_H
#define NEAP_TOOL_SIMULATE_H

int cmd_simulate(int argc, char **argv);

#endif
