/* SPDX-License-Identifier: MIT */
/*
 * What the administrator asked for: command line first, then the configuration file, then defaults.
 */
#ifndef NEAPD_CONFIG_H
#define NEAPD_CONFIG_H

#include "engine/base.h"
#include "engine/model/container.h"

#define CONFIG_MAX_DIRS 16u

struct config {
	char *file; /* NULL: none */
	char *socket, *runtime_dir, *sysroot;
	char *model_dir[CONFIG_MAX_DIRS];
	unsigned n_model_dir;
	unsigned workers;     /* >= 1 */
	int log_level;        /* enum log_level */
	bool log_level_fixed; /* by the command line */
	unsigned active_power_mw;
	bool strict_buffers; /* own inputs while a model runs (docs/neap-ioctl.md, BUF_OWN) */
	struct ne_limits limits;
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

/* Reads the command line and the file that it names. On failure nothing has to be freed. */
int config_load(int argc, char **argv, struct config *ret, enum config_action *ret_action,
		struct ne_error *err);
void config_done(struct config *c);

/*
 * Reads the file again. What can change while serving is taken over into @c: log_level (unless the
 * command line set it), active_power_mw and [limits], which hold for models loaded from now on; the
 * rest needs a restart. Nothing changes on failure.
 */
int config_reload(struct config *c, struct ne_error *err);

/* One "key = value" of section @section; -EINVAL or -ERANGE with the reason. */
int config_set(struct config *c, const char *section, const char *key, const char *value,
	       struct ne_error *err);

extern const char config_usage[];

#endif
