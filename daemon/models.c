/* SPDX-License-Identifier: MIT */
/*
 * The registry: names, folders, what is replaced, removed, loaded and unloaded. A scan looks at
 * every folder again; that is simpler than to follow single events, and right after any loss.
 */
#include "daemon/models.h"
#include "daemon/log.h"
#include "daemon/model_version.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".neap"

struct models {
	struct models_config config;
	pthread_mutex_t *lock;
	struct model model[MODELS_MAX];
	uint64_t next_io_id;
	int inotify;
};

int models_new(const struct models_config *c, pthread_mutex_t *lock, struct models **ret,
	       struct ne_error *err)
{
	struct models *ms = calloc(1, sizeof(*ms));

	if (!ms)
		return ne_fail(err, ENOMEM, "no memory for the models");
	ms->config = *c;
	ms->lock = lock;
	ms->next_io_id = 1;
	ms->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (ms->inotify < 0)
		log_warn("no inotify (%s): changed models are seen on SIGHUP only",
			 strerror(errno));
	*ret = ms;
	return 0;
}

void models_free(struct models *ms)
{
	if (!ms)
		return;
	for (unsigned i = 0; i < MODELS_MAX; i++) {
		model_version_unref(ms->model[i].current);
		free(ms->model[i].path);
		free(ms->model[i].metrics);
	}
	if (ms->inotify >= 0)
		close(ms->inotify);
	free(ms);
}

void models_configure(struct models *ms, unsigned active_power_mw, const struct ne_limits *limits)
{
	ms->config.active_power_mw = active_power_mw;
	ms->config.limits = *limits;
}

int models_fd(const struct models *ms)
{
	return ms->inotify;
}

bool models_changed(struct models *ms)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool any = false;

	while (read(ms->inotify, events, sizeof(events)) > 0)
		any = true;
	return any;
}

struct model *models_at(struct models *ms, unsigned i)
{
	return ms->model[i].name[0] ? &ms->model[i] : NULL;
}

static struct model *find_slot(struct models *ms, const char *name)
{
	for (unsigned i = 0; i < MODELS_MAX; i++)
		if (!strcmp(ms->model[i].name, name))
			return &ms->model[i];
	return NULL;
}

struct model *models_find(struct models *ms, const char *name)
{
	struct model *m = *name ? find_slot(ms, name) : NULL;

	return m && m->current ? m : NULL;
}

/* A slot that nothing points at and that serves nothing can have another name. */
static void release_slot(struct models *ms, struct model *m)
{
	pthread_mutex_lock(ms->lock);
	if (!m->current && !m->users) {
		m->name[0] = 0;
		free(m->metrics);
		m->metrics = NULL;
		free(m->path);
		m->path = NULL;
		m->blocked = m->pinned = false;
		m->file = (struct model_file){0};
	}
	pthread_mutex_unlock(ms->lock);
}

static int take_slot(struct models *ms, const char *name, struct model **ret, struct ne_error *err)
{
	struct model *m = find_slot(ms, name);

	if (m) {
		*ret = m;
		return 0;
	}
	m = find_slot(ms, "");
	if (!m)
		return ne_fail(err, ENOSPC, "more than %u models", MODELS_MAX);
	m->metrics = calloc(1, sizeof(*m->metrics));
	if (!m->metrics)
		return ne_fail(err, ENOMEM, "no memory");
	m->generation = 0;
	m->io = (struct model_io){0};
	m->file = (struct model_file){0};
	pthread_mutex_lock(ms->lock);
	strcpy(m->name, name); /* name_of() has checked its length */
	pthread_mutex_unlock(ms->lock);
	*ret = m;
	return 0;
}

/* The model's name from the last part of a path. -EINVAL where it cannot be one. */
static int name_of(const char *path, char name[NEAP_WIRE_NAME_BYTES], struct ne_error *err)
{
	const char *base = strrchr(path, '/');
	size_t n;

	base = base ? base + 1 : path;
	n = strlen(base);
	if (n <= strlen(SUFFIX) || strcmp(base + n - strlen(SUFFIX), SUFFIX) || base[0] == '.')
		return ne_fail(err, EINVAL, "a model's file is called NAME" SUFFIX);
	n -= strlen(SUFFIX);
	if (n >= NEAP_WIRE_NAME_BYTES)
		return ne_fail(err, ENAMETOOLONG, "a model's name has at most %u characters",
			       NEAP_WIRE_NAME_BYTES - 1);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)base[i] <= ' ' || base[i] == 0x7f)
			return ne_fail(err, EINVAL,
				       "a model's name has no spaces and no control "
				       "characters");
	memcpy(name, base, n);
	name[n] = 0;
	return 0;
}

static bool same_file(const struct model_file *f, const struct stat *st)
{
	return f->dev == st->st_dev && f->ino == st->st_ino && f->bytes == st->st_size &&
	       f->changed.tv_sec == st->st_mtim.tv_sec && f->changed.tv_nsec == st->st_mtim.tv_nsec;
}

static void put_in_force(struct models *ms, struct model *m, struct model_version *v)
{
	struct model_version *old;

	v->generation = ++m->generation;
	pthread_mutex_lock(ms->lock);
	old = m->current;
	v->io.id = m->io.id && model_io_equal(&m->io, &v->io) ? m->io.id : ms->next_io_id++;
	m->io = v->io;
	m->current = v;
	memset(m->metrics->level, 0, sizeof(m->metrics->level)); /* other levels now */
	pthread_mutex_unlock(ms->lock);
	model_version_unref(old);
	malloc_trim(0); /* what parsing took goes back at once: resident size is a promise */
}

/* Loads @path into @m; the old version stays on failure. */
static int load_into(struct models *ms, struct model *m, const char *path, struct ne_error *err)
{
	struct model_version *v = NULL;
	char *copy = strdup(path);
	int r;

	if (!copy)
		return ne_fail(err, ENOMEM, "no memory");
	free(m->path);
	m->path = copy;
	r = model_version_load(path, &ms->config, &m->file, &v, err);
	if (r < 0)
		return r;
	put_in_force(ms, m, v);
	log_info("model %s: generation %u, %u levels of %.0f to %.0f us, kernels %s", m->name,
		 v->generation, v->n_level, (double)v->least_us,
		 (double)v->level[v->n_level - 1].time_us, ne_program_cpu(v->program));
	return 0;
}

static void scan_file(struct models *ms, const char *path)
{
	char name[NEAP_WIRE_NAME_BYTES];
	struct ne_error err = {0};
	struct stat st;
	struct model *m;
	int r = name_of(path, name, &err);

	if (r >= 0)
		r = take_slot(ms, name, &m, &err);
	if (r < 0) {
		log_warn("%s: %s", path, err.text);
		return;
	}
	if (m->seen || m->pinned || stat(path, &st) < 0)
		return; /* an earlier folder has one of this name, or it has just gone */
	m->seen = true;
	if (same_file(&m->file, &st))
		return;
	m->blocked = false;
	r = load_into(ms, m, path, &err);
	if (r < 0)
		log_error("%s refused: %s%s", path, err.text,
			  m->current ? "; the version loaded before stays" : "");
}

static void scan_dir(struct models *ms, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d) {
		log_info("models folder %s: %s", dir, strerror(errno));
		return;
	}
	if (ms->inotify >= 0 &&
	    inotify_add_watch(ms->inotify, dir,
			      IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0)
		log_warn("%s is not watched: %s", dir, strerror(errno));
	while ((e = readdir(d))) {
		size_t n = strlen(e->d_name);
		char path[4096];

		if (n <= strlen(SUFFIX) || strcmp(e->d_name + n - strlen(SUFFIX), SUFFIX) ||
		    e->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			scan_file(ms, path);
	}
	closedir(d);
}

static void drop_current(struct models *ms, struct model *m)
{
	struct model_version *old;

	pthread_mutex_lock(ms->lock);
	old = m->current;
	m->current = NULL;
	pthread_mutex_unlock(ms->lock);
	model_version_unref(old);
	malloc_trim(0);
}

void models_scan(struct models *ms)
{
	for (unsigned i = 0; i < MODELS_MAX; i++)
		ms->model[i].seen = false;
	for (unsigned i = 0; i < ms->config.n_dir; i++)
		scan_dir(ms, ms->config.dir[i]);
	for (unsigned i = 0; i < MODELS_MAX; i++) {
		struct model *m = &ms->model[i];

		if (!m->name[0] || m->seen || m->pinned)
			continue;
		if (m->current) {
			log_info("model %s: its file has gone, it is served no more", m->name);
			drop_current(ms, m);
		}
		m->file = (struct model_file){0};
		release_slot(ms, m);
	}
}

void models_rescan_all(struct models *ms)
{
	for (unsigned i = 0; i < MODELS_MAX; i++) {
		struct model *m = &ms->model[i];
		struct ne_error err;
		struct stat st;

		if (m->blocked) {
			m->blocked = false;
			m->file = (struct model_file){0};
		}
		if (m->pinned && m->path && stat(m->path, &st) == 0 && !same_file(&m->file, &st)) {
			char *path = strdup(m->path);

			if (path && load_into(ms, m, path, &err) < 0)
				log_error("%s refused: %s", path, err.text);
			free(path);
		}
	}
	models_scan(ms);
}

int models_load(struct models *ms, const char *path, struct ne_error *err)
{
	char name[NEAP_WIRE_NAME_BYTES];
	struct ne_error why = {0};
	struct model *m;
	int r;

	if (path[0] != '/')
		return ne_fail(err, EINVAL, "'%s' is not an absolute path", path);
	NE_RETURN_IF(name_of(path, name, err));
	NE_RETURN_IF(take_slot(ms, name, &m, err));
	r = load_into(ms, m, path, &why);
	if (r < 0) {
		release_slot(ms, m);
		return ne_fail(err, -r, "%.160s: %.90s", path, why.text);
	}
	m->pinned = true;
	m->blocked = false;
	return 0;
}

int models_unload(struct models *ms, const char *name, struct ne_error *err)
{
	struct model *m = models_find(ms, name);

	if (!m)
		return ne_fail(err, ENOENT, "no model '%.64s' is served", name);
	drop_current(ms, m);
	/* m->file stays: while the folder holds this very file it is not loaded again. */
	m->blocked = true;
	m->pinned = false;
	log_info("model %s: unloaded by command", m->name);
	return 0;
}
