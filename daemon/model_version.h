/* SPDX-License-Identifier: MIT */
/*
 * From a file to a version ready to run: read, parse, build, time.
 */
#ifndef NEAPD_MODEL_VERSION_H
#define NEAPD_MODEL_VERSION_H

#include "daemon/models.h"

/*
 * Reads @path and makes it ready; *ret_file tells which file it was, also where what it holds is
 * refused (so that it is not tried again). The caller owns the one reference.
 */
int model_version_load(const char *path, const struct models_config *c, struct model_file *ret_file,
		       struct model_version **ret, struct ne_error *err);

/* True if a client of @a can use @b without knowing. */
bool model_io_equal(const struct model_io *a, const struct model_io *b);

#endif
