/* SPDX-License-Identifier: MIT */
/*
 * The models that the daemon serves: a name, and the version of its file that is in force.
 *
 *   struct model          a name. Handles of sessions and requests point at it; it stays while one
 *                         does, also when its file has gone (then current is NULL).
 *   struct model_version  one reading of a file: program, measured levels, a context per worker.
 *                         Immutable but for its contexts; lives until the last request that runs
 *                         on it is done.
 *
 * The loop's thread loads and swaps; workers take references. The fields of struct model that both
 * touch are guarded by the lock given to models_new().
 */
#ifndef NEAPD_MODELS_H
#define NEAPD_MODELS_H

#include "daemon/metrics.h"
#include "engine/governor/governor.h"
#include "engine/model/container.h"
#include "engine/run/run.h"
#include "neap/wire.h"

#include <pthread.h>
#include <sys/types.h>
#include <time.h>

#define MODELS_MAX      64u
#define MODELS_MAX_DIRS 16u
/* Levels of one model are timed for about this long at load (three times as long where the machine
 * is busy); what remains is worked out from their MACs. */
#define MODELS_TIMING_US 300000
/* A worker's core at work draws about this much more than idle: between a Cortex-A72 core at
 * 1.5 GHz (1 W) and a small x86 core (4 W). Configuration key active_power_mw. */
#define MODELS_ACTIVE_POWER_MW 2500u

/* Inputs and outputs as clients see them. Equal ones have the same id. */
struct model_io {
	uint64_t id;
	uint32_t n_in, n_out;
	uint64_t in_bytes, out_bytes;
	struct neap_wire_io io[2 * NEAP_WIRE_MAX_IO];
};

struct model_worker {
	struct ne_context *context;
	char *scratch; /* out_bytes: the answer until it is complete */
};

struct model_version {
	unsigned refs; /* atomic */
	uint32_t generation;
	uint32_t n_level, n_exit;
	struct ne_gov_level *level;       /* [n_level] */
	uint32_t least_us;                /* of the quickest level */
	float accuracy_min, accuracy_max; /* of the front; negative = not measured */
	float confidence;
	size_t file_bytes;
	struct ne_program *program;
	struct model_io io;
	uint32_t n_worker;
	struct model_worker worker[];
};

struct model_file {
	dev_t dev;
	ino_t ino;
	off_t bytes;
	struct timespec changed;
};

struct model {
	char name[NEAP_WIRE_NAME_BYTES]; /* "" = the slot is free */
	struct model_version *current;   /* guarded; NULL: no file */
	unsigned users;                  /* guarded; handles and requests */
	struct metrics_model *metrics;   /* guarded */
	/* The loop's alone: */
	char *path;
	struct model_file file;
	uint32_t generation;
	struct model_io io; /* of the newest version: an equal one that follows keeps its id */
	bool pinned;        /* loaded by command: stays though no folder has it */
	bool blocked;       /* unloaded by command: this file is not loaded again */
	bool seen;          /* by the scan in progress */
};

struct models_config {
	const char *dir[MODELS_MAX_DIRS];
	unsigned n_dir;
	unsigned workers;
	unsigned active_power_mw;
	struct ne_limits limits;
};

struct models;

int models_new(const struct models_config *c, pthread_mutex_t *lock, struct models **ret,
	       struct ne_error *err);
void models_free(struct models *ms);

/* For what is loaded from now on. The loop's thread. */
void models_configure(struct models *ms, unsigned active_power_mw, const struct ne_limits *limits);

/* Readable when a folder changed: call models_changed(). -1 = no inotify, rescans by SIGHUP only. */
int models_fd(const struct models *ms);
/* Reads the events; true if a scan is due. */
bool models_changed(struct models *ms);
/* Loads what is new or changed, drops what is gone; a damaged file leaves the old version. */
void models_scan(struct models *ms);
/* Forgets "unload" commands, then scans. */
void models_rescan_all(struct models *ms);

int models_load(struct models *ms, const char *path, struct ne_error *err);
int models_unload(struct models *ms, const char *name, struct ne_error *err);

/* With the lock held: */
struct model *models_find(struct models *ms, const char *name); /* NULL: not served */
struct model *models_at(struct models *ms, unsigned i); /* i < MODELS_MAX; NULL: free slot */

/* With the lock held; @v is not NULL. */
struct model_version *model_version_ref(struct model_version *v);
/* Without the lock: the last one frees. Takes NULL. */
void model_version_unref(struct model_version *v);

#endif
