/* SPDX-License-Identifier: MIT */
/*
 * The budget files. The store owns the directory's descriptor and what watches it. A file of ours is
 * written by a temporary file and rename, so a reader never sees half a value; people may as well
 * write into it (`echo 5000 > latency_us`), which inotify's IN_CLOSE_WRITE tells.
 *
 * The module's files in sysfs are written in place (the kernel takes one write() as one value) and
 * tell of a change by POLLPRI until they are read through the same descriptor: so each stays open,
 * and an epoll set of them all is what the loop looks at.
 */
#include "daemon/budget.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE_BYTES 32 /* of a file; a longer one is refused */

static const struct field {
	const char *name, *unit;
	uint32_t min, max, fallback;
	size_t offset;
} fields[] = {
#define FIELD(name, unit, max, fallback)                                            \
	{                                                                           \
#name, unit, 0, max, fallback, offsetof(struct ne_gov_budget, name) \
	}
	FIELD(latency_us, "us, 0 = no limit", 60000000, 0),
	FIELD(power_mw_mains, "mW, 0 = no limit", 1000000, 0),
	FIELD(power_mw_battery, "mW, 0 = no limit", 1000000, 0),
	FIELD(cpu_permille, "permille of one CPU, 0 = no limit", 1024000, 0),
	FIELD(autonomy_min, "min, 0 = not asked", 525600, 0),
	FIELD(reserve_permille, "permille of the charge", 1000, 100),
	FIELD(depth_max, "exits, 0 = no limit", 16, 0),
	FIELD(width_max_permille, "permille of the channels, 0 = no limit", 1000, 0),
#undef FIELD
};

#define N_FIELDS NE_ARRAY_SIZE(fields)

struct budget_store {
	enum budget_kind kind;
	char *dir;
	int dir_fd, watch_fd;
	bool notified;         /* watch_fd is inotify's, else an epoll set of the files */
	int file_fd[N_FIELDS]; /* sysfs; else -1 */
	void (*warn)(void *user, const char *text);
	void *user;
	struct ne_gov_budget values;
};

static uint32_t *value_of(struct ne_gov_budget *b, const struct field *f)
{
	return (uint32_t *)(void *)((char *)b + f->offset);
}

static uint32_t value_in(const struct ne_gov_budget *b, const struct field *f)
{
	uint32_t v;

	memcpy(&v, (const char *)b + f->offset, sizeof(v));
	return v;
}

/* Decimal digits alone, one line end allowed. */
static int parse(const struct field *f, const char *text, uint32_t *ret)
{
	unsigned long long v;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (*end == '\n')
		end++;
	if (*end)
		return -EINVAL;
	if (errno || v < f->min || v > f->max)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

static int open_file(const struct budget_store *s, const struct field *f)
{
	struct stat st;
	int fd = openat(s->dir_fd, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static int read_file(const struct budget_store *s, const struct field *f, uint32_t *ret)
{
	char text[VALUE_BYTES + 1];
	int fd = s->file_fd[f - fields];
	bool kept = fd >= 0;
	ssize_t n;

	if (!kept)
		fd = open_file(s, f);
	if (fd < 0)
		return fd;
	n = pread(fd, text, VALUE_BYTES, 0);
	if (!kept)
		close(fd);
	if (n < 0)
		return kept ? -ENODEV : -EIO;
	text[n] = '\0';
	if (memchr(text, '\0', (size_t)n))
		return -EINVAL;
	return parse(f, text, ret);
}

static int write_sysfs(const struct budget_store *s, const struct field *f, uint32_t value)
{
	char text[VALUE_BYTES];
	int n = snprintf(text, sizeof(text), "%u\n", value);
	int fd = openat(s->dir_fd, f->name, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
	ssize_t done;
	int r = 0;

	if (fd < 0)
		return -errno;
	done = write(fd, text, (size_t)n);
	if (done != n)
		r = done < 0 ? -errno : -EIO;
	close(fd);
	return r;
}

static int write_file(const struct budget_store *s, const struct field *f, uint32_t value)
{
	char temp[64], text[VALUE_BYTES];
	int fd, n, r = 0;

	if (s->kind == BUDGET_SYSFS)
		return write_sysfs(s, f, value);
	snprintf(temp, sizeof(temp), ".%s.new", f->name);
	n = snprintf(text, sizeof(text), "%u\n", value);
	fd = openat(s->dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)n) != n)
		r = -EIO;
	if (close(fd) < 0 && !r)
		r = -errno;
	if (!r && renameat(s->dir_fd, temp, s->dir_fd, f->name) < 0)
		r = -errno;
	if (r)
		unlinkat(s->dir_fd, temp, 0);
	return r;
}

static void warn(const struct budget_store *s, const struct field *f, int error)
{
	char text[256];

	if (!s->warn)
		return;
	snprintf(text, sizeof(text),
		 "budget/%s: %s; want a whole number from %u to %u (%s); keeping %u", f->name,
		 error == -ERANGE   ? "out of range"
		 : error == -EINVAL ? "not a number"
				    : strerror(-error),
		 f->min, f->max, f->unit, value_in(&s->values, f));
	s->warn(s->user, text);
}

/* Takes the file's value; an invalid one is replaced by the value in force. */
static bool take(struct budget_store *s, const struct field *f)
{
	uint32_t *value = value_of(&s->values, f), v;
	int r = read_file(s, f, &v);

	if (r == 0) {
		bool changed = v != *value;

		*value = v;
		return changed;
	}
	if (r != -ENOENT)
		warn(s, f, r);
	if (s->kind == BUDGET_SYSFS) {
		/* The module is gone: a descriptor that is kept would wake the loop for ever. */
		if (r == -ENODEV) {
			close(s->file_fd[f - fields]);
			s->file_fd[f - fields] = -1;
		}
		return false;
	}
	r = write_file(s, f, *value);
	if (r < 0)
		warn(s, f, r);
	return false;
}

/* inotify, which sysfs does not do. */
static int watch_files(const struct budget_store *s)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd >= 0 &&
	    inotify_add_watch(fd, s->dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int watch_sysfs(const struct budget_store *s)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < N_FIELDS; i++) {
		struct epoll_event ev = {.events = EPOLLPRI};

		if (epoll_ctl(fd, EPOLL_CTL_ADD, s->file_fd[i], &ev) < 0) {
			close(fd);
			fd = -1;
		}
	}
	return fd;
}

static int open_dir(struct budget_store *s, struct ne_error *err)
{
	if (s->kind == BUDGET_FILES && mkdir(s->dir, 0755) < 0 && errno != EEXIST)
		return ne_fail(err, errno, "cannot make %s: %s", s->dir, strerror(errno));
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return ne_fail(err, errno, "cannot open %s: %s", s->dir, strerror(errno));
	for (size_t i = 0; s->kind == BUDGET_SYSFS && i < N_FIELDS; i++) {
		s->file_fd[i] = open_file(s, &fields[i]);
		if (s->file_fd[i] < 0)
			return ne_fail(err, -s->file_fd[i], "%s/%s: %s", s->dir, fields[i].name,
				       strerror(-s->file_fd[i]));
	}
	return 0;
}

int budget_open(const char *dir, enum budget_kind kind,
		void (*warn_cb)(void *user, const char *text), void *user,
		struct budget_store **ret, struct ne_error *err)
{
	struct budget_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return ne_fail(err, ENOMEM, "budgets: out of memory");
	s->kind = kind;
	s->warn = warn_cb;
	s->user = user;
	s->dir_fd = s->watch_fd = -1;
	for (size_t i = 0; i < N_FIELDS; i++)
		s->file_fd[i] = -1;
	s->dir = strdup(dir);
	r = s->dir ? open_dir(s, err) : ne_fail(err, ENOMEM, "budgets: out of memory");
	if (r < 0) {
		budget_close(s);
		return r;
	}
	for (size_t i = 0; i < N_FIELDS; i++) {
		*value_of(&s->values, &fields[i]) = fields[i].fallback;
		take(s, &fields[i]);
	}
	if (kind == BUDGET_SYSFS)
		s->watch_fd = watch_sysfs(s);
	s->notified = s->watch_fd < 0;
	if (s->notified)
		s->watch_fd = watch_files(s);
	*ret = s;
	return 0;
}

void budget_close(struct budget_store *s)
{
	if (!s)
		return;
	if (s->watch_fd >= 0)
		close(s->watch_fd);
	for (size_t i = 0; i < N_FIELDS; i++)
		if (s->file_fd[i] >= 0)
			close(s->file_fd[i]);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	free(s->dir);
	free(s);
}

const char *budget_kind(const struct budget_store *s)
{
	return s->kind == BUDGET_SYSFS ? "sysfs" : "files";
}

const char *budget_dir(const struct budget_store *s)
{
	return s->dir;
}

int budget_fd(const struct budget_store *s)
{
	return s->watch_fd;
}

int budget_refresh(struct budget_store *s)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int changed = 0;

	if (s->notified && s->watch_fd >= 0)
		while (read(s->watch_fd, events, sizeof(events)) > 0)
			;
	for (size_t i = 0; i < N_FIELDS; i++)
		changed |= take(s, &fields[i]);
	return changed;
}

const struct ne_gov_budget *budget_get(const struct budget_store *s)
{
	return &s->values;
}

int budget_set(struct budget_store *s, const char *name, const char *value, struct ne_error *err)
{
	for (size_t i = 0; i < N_FIELDS; i++) {
		const struct field *f = &fields[i];
		uint32_t v;
		int r;

		if (strcmp(name, f->name))
			continue;
		r = parse(f, value, &v);
		if (r < 0)
			return ne_fail(
				err, -r,
				"%s: \"%.40s\" is %s: want a whole number from %u to %u (%s)", name,
				value, r == -ERANGE ? "out of range" : "not a number", f->min,
				f->max, f->unit);
		r = write_file(s, f, v);
		if (r == -EACCES || r == -EROFS || r == -EPERM)
			return ne_fail(err, EACCES,
				       "neapd may not write %.120s/%s: write it there as root, or "
				       "see neapd(8)",
				       s->dir, f->name);
		if (r < 0)
			return ne_fail(err, -r, "cannot write budget/%s: %s", name, strerror(-r));
		*value_of(&s->values, f) = v;
		return 0;
	}
	return ne_fail(err, ENOENT, "no budget named \"%.40s\"; `neapctl budget` lists them", name);
}

int budget_entry(const struct budget_store *s, unsigned i, struct budget_entry *ret)
{
	const struct field *f = &fields[i];

	if (i >= N_FIELDS)
		return -ENOENT;
	*ret = (struct budget_entry){f->name, f->unit,     f->min,
				     f->max,  f->fallback, value_in(&s->values, f)};
	return 0;
}
