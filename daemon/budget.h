/* SPDX-License-Identifier: MIT */
/*
 * The budgets that an administrator sets: one value a file, under RUNTIME_DIR/budget/ (or in the
 * module's sysfs where it is loaded). The files are the store; this reads, checks and writes them.
 */
#ifndef NEAPD_BUDGET_H
#define NEAPD_BUDGET_H

#include "engine/governor/governor.h"

struct budget_store;

enum budget_kind {
	BUDGET_FILES, /* ours: made and mended here */
	BUDGET_SYSFS, /* the module's: it checks what is written, files are neither made nor mended */
};

/* Where the module has them, below the system root. */
#define BUDGET_SYSFS_DIR "/sys/devices/virtual/misc/neap/budget"

/* Opens @dir. BUDGET_FILES: made where absent, 0755; files 0644 with the default value; a file whose
 * content is not valid is replaced by the default, and @warn (may be NULL) is told. BUDGET_SYSFS:
 * -ENOENT where it or one of its files is not there. */
int budget_open(const char *dir, enum budget_kind kind, void (*warn)(void *user, const char *text),
		void *user, struct budget_store **ret, struct ne_error *err);
void budget_close(struct budget_store *s);
/* "files" or "sysfs", and the directory. */
const char *budget_kind(const struct budget_store *s);
const char *budget_dir(const struct budget_store *s);

/* Readable (POLLIN) after somebody changed a file; -1 if there is no way to be told. */
int budget_fd(const struct budget_store *s);

/* Takes what changed: call when budget_fd() is readable. Invalid contents are refused (the old
 * value stays in force and BUDGET_FILES writes it back) and told to @warn. Returns 1 if a value changed, else 0. */
int budget_refresh(struct budget_store *s);

const struct ne_gov_budget *budget_get(const struct budget_store *s);

/* By name ("latency_us", ...). -ENOENT unknown name; -EINVAL not a number; -ERANGE out of range;
 * -EACCES where the daemon may not write the module's files. */
int budget_set(struct budget_store *s, const char *name, const char *value, struct ne_error *err);

/* Name, unit, range and value of entry @i; -ENOENT past the last. */
struct budget_entry {
	const char *name, *unit;
	uint32_t min, max, fallback, value;
};
int budget_entry(const struct budget_store *s, unsigned i, struct budget_entry *ret);

#endif
