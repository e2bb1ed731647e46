/* SPDX-License-Identifier: MIT */
/* What a training made, for people and for programs. */
#ifndef NEAP_TRAIN_REPORT_H
#define NEAP_TRAIN_REPORT_H

#include "engine/model/model.h"

/* The table of levels on standard output: f32, s8, control. @bytes: of the whole file. */
void report_print(const struct ne_model *m, size_t bytes);
/* The same as JSON in @path (docs/recipe.md), replaced at once. */
int report_write(const char *path, const struct ne_model *m, size_t bytes, struct ne_error *err);

#endif
