/* SPDX-License-Identifier: MIT */
#ifndef NEAP_TOOL_OPERATORS_H
#define NEAP_TOOL_OPERATORS_H

#include <stddef.h>

/* The @n names with spaces between, freed with free(); NULL without memory. */
char *operators_join(size_t n, const char *(*name)(size_t i));

#endif
