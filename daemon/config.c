/* SPDX-License-Identifier: MIT */
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/models.h"

#include <getopt.h>
#include <ini.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define DEFAULT_RUNTIME_DIR "/run/neap"
#define LOCAL_MODEL_DIR     "/var/lib/neap/models"
#define SOCKET_NAME         "neapd.sock"
#define MAX_WORKERS         64u
#define PATH_BYTES          4096u

const char config_usage[] =
	"usage: neapd [options]\n"
	"Serves neural networks at the depth and width that the moment allows.\n"
	"\n"
	"  --socket PATH       where clients connect (RUNTIME_DIR/neapd.sock)\n"
	"  --runtime-dir DIR   socket and budgets (" DEFAULT_RUNTIME_DIR ")\n"
	"  --models DIR        folder of *.neap files; may be repeated, the first that has a\n"
	"                      name wins (" NEAP_MODEL_DIR ", " LOCAL_MODEL_DIR ")\n"
	"  --config FILE       configuration, see neapd(8)\n"
	"  --sysroot DIR       read sensors below DIR instead of / (tests)\n"
	"  --workers N         threads that compute, 1 to 64 (one a CPU)\n"
	"  --log-level LEVEL   error, warning, info or debug (info)\n"
	"  --version           print the version\n"
	"  --help              print this\n";

static int set_string(char **to, const char *value, struct ne_error *err)
{
	char *copy;

	if (!*value || strlen(value) >= PATH_BYTES)
		return ne_fail(err, EINVAL, "a path is empty or too long");
	copy = strdup(value);
	if (!copy)
		return ne_fail(err, ENOMEM, "no memory");
	free(*to);
	*to = copy;
	return 0;
}

static int add_dir(struct config *c, const char *dir, struct ne_error *err)
{
	if (c->n_model_dir == CONFIG_MAX_DIRS)
		return ne_fail(err, E2BIG, "more than %u folders of models", CONFIG_MAX_DIRS);
	NE_RETURN_IF(set_string(&c->model_dir[c->n_model_dir], dir, err));
	c->n_model_dir++;
	return 0;
}

static int parse_number(const char *what, const char *value, uint64_t min, uint64_t max,
			uint64_t *ret, struct ne_error *err)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end)
		return ne_fail(err, EINVAL, "%s: '%.32s' is not a whole number", what, value);
	if (errno || v < min || v > max)
		return ne_fail(err, ERANGE, "%s: %.32s is not in %llu to %llu", what, value,
			       (unsigned long long)min, (unsigned long long)max);
	*ret = v;
	return 0;
}

static int set_workers(struct config *c, const char *value, struct ne_error *err)
{
	uint64_t v;

	NE_RETURN_IF(parse_number("workers", value, 1, MAX_WORKERS, &v, err));
	c->workers = (unsigned)v;
	return 0;
}

static int set_log_level(struct config *c, const char *value, struct ne_error *err)
{
	int level = log_parse_level(value);

	if (level < 0)
		return ne_fail(err, EINVAL,
			       "log level '%.32s' is none of error, warning, info, debug", value);
	c->log_level = level;
	return 0;
}

static int set_flag(const char *key, const char *value, bool *ret, struct ne_error *err)
{
	static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};

	for (unsigned i = 0; i < NE_ARRAY_SIZE(words); i++) {
		if (strcmp(value, words[i]))
			continue;
		*ret = i & 1;
		return 0;
	}
	return ne_fail(err, EINVAL, "%s: '%.32s' is neither yes nor no", key, value);
}

static int set_limit(struct config *c, const char *key, const char *value, struct ne_error *err)
{
	uint64_t v;

	if (!strcmp(key, "file_bytes")) {
		NE_RETURN_IF(parse_number(key, value, 1, SIZE_MAX / 4, &v, err));
		c->limits.file_bytes = (size_t)v;
	} else if (!strcmp(key, "tensor_bytes")) {
		NE_RETURN_IF(parse_number(key, value, 1, SIZE_MAX / 4, &v, err));
		c->limits.tensor_bytes = (size_t)v;
	} else if (!strcmp(key, "macs")) {
		NE_RETURN_IF(parse_number(key, value, 1, UINT64_MAX / 4, &v, err));
		c->limits.macs = v;
	} else if (!strcmp(key, "nodes")) {
		NE_RETURN_IF(parse_number(key, value, 1, NE_MAX_NODES, &v, err));
		c->limits.nodes = (uint32_t)v;
	} else {
		return ne_fail(err, EINVAL, "unknown key '%.64s' in [limits]", key);
	}
	return 0;
}

int config_set(struct config *c, const char *section, const char *key, const char *value,
	       struct ne_error *err)
{
	uint64_t v;

	if (!strcmp(section, "limits"))
		return set_limit(c, key, value, err);
	if (strcmp(section, "neapd"))
		return ne_fail(err, EINVAL,
			       "unknown section [%.64s]: there are [neapd] and [limits]", section);
	if (!strcmp(key, "socket"))
		return set_string(&c->socket, value, err);
	if (!strcmp(key, "runtime_dir"))
		return set_string(&c->runtime_dir, value, err);
	if (!strcmp(key, "sysroot"))
		return set_string(&c->sysroot, value, err);
	if (!strcmp(key, "models"))
		return add_dir(c, value, err);
	if (!strcmp(key, "workers"))
		return set_workers(c, value, err);
	if (!strcmp(key, "log_level"))
		return set_log_level(c, value, err);
	if (!strcmp(key, "active_power_mw")) {
		NE_RETURN_IF(parse_number(key, value, 1, 1000000, &v, err));
		c->active_power_mw = (unsigned)v;
		return 0;
	}
	if (!strcmp(key, "strict_buffers"))
		return set_flag(key, value, &c->strict_buffers, err);
	return ne_fail(err, EINVAL, "unknown key '%.64s' in [neapd]", key);
}

struct file_reader {
	struct config *config;
	struct ne_error *err;
	int result;
};

static int on_line(void *user, const char *section, const char *name, const char *value)
{
	struct file_reader *f = user;

	if (f->result < 0)
		return 0;
	f->result = config_set(f->config, section, name, value, f->err);
	return f->result >= 0;
}

static int read_file(struct config *c, const char *path, struct ne_error *err)
{
	struct ne_error why = {"not a 'key = value' line"};
	struct file_reader f = {.config = c, .err = &why};
	int line = ini_parse(path, on_line, &f);

	if (line == -1)
		return ne_fail(err, ENOENT, "%.200s cannot be read: %s", path, strerror(errno));
	if (line || f.result < 0)
		return ne_fail(err, f.result < 0 ? -f.result : EINVAL, "%.120s:%d: %.100s", path,
			       line, why.text);
	return 0;
}

static unsigned online_cpus(void)
{
	cpu_set_t set;

	/* What this process may use: a container or CPUAffinity= gives less than the machine. */
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return NE_CLAMP((unsigned)CPU_COUNT(&set), 1u, MAX_WORKERS);
}

static int set_defaults(struct config *c, struct ne_error *err)
{
	char path[PATH_BYTES];

	if (!c->runtime_dir)
		NE_RETURN_IF(set_string(&c->runtime_dir, DEFAULT_RUNTIME_DIR, err));
	if (!c->socket) {
		if (snprintf(path, sizeof(path), "%s/%s", c->runtime_dir, SOCKET_NAME) >=
		    (int)sizeof(path))
			return ne_fail(err, ENAMETOOLONG,
				       "the runtime directory's name is too long");
		NE_RETURN_IF(set_string(&c->socket, path, err));
	}
	if (strlen(c->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return ne_fail(err, ENAMETOOLONG, "the socket's path is longer than %zu characters",
			       sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	if (!c->n_model_dir) {
		NE_RETURN_IF(add_dir(c, NEAP_MODEL_DIR, err));
		NE_RETURN_IF(add_dir(c, LOCAL_MODEL_DIR, err));
	}
	if (!c->workers)
		c->workers = online_cpus();
	if (!c->active_power_mw)
		c->active_power_mw = MODELS_ACTIVE_POWER_MW;
	if (!c->log_level)
		c->log_level = LOG_LEVEL_INFO;
	return 0;
}

enum option_id {
	OPT_SOCKET = 256,
	OPT_RUNTIME,
	OPT_MODELS,
	OPT_CONFIG,
	OPT_SYSROOT,
	OPT_WORKERS,
	OPT_LOG,
	OPT_VERSION,
	OPT_HELP
};

static const struct option options[] = {
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"runtime-dir", required_argument, NULL, OPT_RUNTIME},
	{"models", required_argument, NULL, OPT_MODELS},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"sysroot", required_argument, NULL, OPT_SYSROOT},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"log-level", required_argument, NULL, OPT_LOG},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int parse_option(struct config *c, int id, enum config_action *action, struct ne_error *err)
{
	switch (id) {
	case OPT_SOCKET:
		return set_string(&c->socket, optarg, err);
	case OPT_RUNTIME:
		return set_string(&c->runtime_dir, optarg, err);
	case OPT_MODELS:
		return add_dir(c, optarg, err);
	case OPT_CONFIG:
		return set_string(&c->file, optarg, err);
	case OPT_SYSROOT:
		return set_string(&c->sysroot, optarg, err);
	case OPT_WORKERS:
		return set_workers(c, optarg, err);
	case OPT_LOG:
		return set_log_level(c, optarg, err);
	case OPT_VERSION:
		*action = CONFIG_VERSION;
		return 0;
	case OPT_HELP:
		*action = CONFIG_HELP;
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse_args(struct config *c, int argc, char **argv, enum config_action *action,
		      struct ne_error *err)
{
	int id;

	optind = 0; /* glibc: begin afresh, tests call this several times */
	opterr = 0;
	while (*action == CONFIG_RUN && (id = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (id == ':')
			return ne_fail(err, EINVAL, "%.64s needs a value; see --help",
				       argv[optind - 1]);
		if (id == '?')
			return ne_fail(err, EINVAL, "unknown option %.64s; see --help",
				       argv[optind - 1]);
		NE_RETURN_IF(parse_option(c, id, action, err));
	}
	if (*action == CONFIG_RUN && optind < argc)
		return ne_fail(err, EINVAL, "unexpected argument '%.64s'; see --help",
			       argv[optind]);
	return 0;
}

/* What the command line says wins over the file: a list of folders as a whole. */
static void overlay(struct config *file, struct config *args)
{
	char **to[] = {&file->socket, &file->runtime_dir, &file->sysroot};
	char **from[] = {&args->socket, &args->runtime_dir, &args->sysroot};

	for (unsigned i = 0; i < NE_ARRAY_SIZE(to); i++) {
		if (!*from[i])
			continue;
		free(*to[i]);
		*to[i] = *from[i];
		*from[i] = NULL;
	}
	if (args->n_model_dir) {
		for (unsigned i = 0; i < CONFIG_MAX_DIRS; i++) {
			free(file->model_dir[i]);
			file->model_dir[i] = args->model_dir[i];
			args->model_dir[i] = NULL;
		}
		file->n_model_dir = args->n_model_dir;
	}
	if (args->workers)
		file->workers = args->workers;
	if (args->log_level)
		file->log_level = args->log_level;
	file->log_level_fixed = args->log_level != 0;
	file->file = args->file;
	args->file = NULL;
}

int config_load(int argc, char **argv, struct config *ret, enum config_action *ret_action,
		struct ne_error *err)
{
	struct config args = {0}, c = {0};
	enum config_action action = CONFIG_RUN;
	int r = parse_args(&args, argc, argv, &action, err);

	if (r >= 0 && action == CONFIG_RUN) {
		if (args.file)
			r = read_file(&c, args.file, err);
		if (r >= 0) {
			overlay(&c, &args);
			r = set_defaults(&c, err);
		}
	}
	config_done(&args);
	if (r < 0) {
		config_done(&c);
		return r;
	}
	*ret = c;
	*ret_action = action;
	return 0;
}

int config_reload(struct config *c, struct ne_error *err)
{
	struct config fresh = {0};
	int r = c->file ? read_file(&fresh, c->file, err) : 0;

	if (r >= 0)
		r = set_defaults(&fresh, err);
	if (r >= 0) {
		if (!c->log_level_fixed)
			c->log_level = fresh.log_level;
		c->active_power_mw = fresh.active_power_mw;
		c->limits = fresh.limits;
	}
	config_done(&fresh);
	return r;
}

void config_done(struct config *c)
{
	free(c->file);
	free(c->socket);
	free(c->runtime_dir);
	free(c->sysroot);
	for (unsigned i = 0; i < CONFIG_MAX_DIRS; i++)
		free(c->model_dir[i]);
	*c = (struct config){0};
}
