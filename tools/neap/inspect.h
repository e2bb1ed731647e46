/* SPDX-License-Identifier: MIT */
/* neap inspect: a model file as text or as JSON. */
#ifndef NEAP_TOOL_INSPECT_H
#define NEAP_TOOL_INSPECT_H

#include "engine/run/run.h"
#include "tools/neap/inspect_file.h"

struct inspection {
	const char *path;
	struct ne_model *m;
	struct file_layout file;
	/* Arena and kernels; NULL where this build cannot run the model, with the reason. */
	struct ne_program *p;
	struct ne_error no_program;
};

void inspect_print_text(const struct inspection *s, bool all);
int inspect_print_json(const struct inspection *s); /* -ENOMEM */

/* "[1,28,28,1]" into @text. */
const char *inspect_shape(const struct ne_shape *s, char *text, size_t size);

#endif
