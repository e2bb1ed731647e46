// SPDX-License-Identifier: MIT
/* See harness.h. */
#include "tests/system/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 30000 /* sanitizers on a busy machine are slow to start */
#define STOP_MS  30000

/* The one of this process: a failed check has to find it. */
static struct harness *current;
static pid_t owner;

void sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint32_t random_u32(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 32);
}

/* ---- failing ---- */

static void show_log(const struct harness *h)
{
	FILE *f = fopen(h->log, "r");
	char line[512];
	long size;

	if (!f)
		return;
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	fseek(f, size > 4000 ? size - 4000 : 0, SEEK_SET);
	fprintf(stderr, "---- the daemon's log ----\n");
	while (fgets(line, sizeof(line), f))
		fputs(line, stderr);
	fprintf(stderr, "---- end of log ----\n");
	fclose(f);
}

void harness_fail(const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: %s", file, line, what);
	/* The macros put a space in front, so that there is a format always. */
	if (fmt[0] && fmt[1]) {
		fprintf(stderr, ":");
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
	}
	fprintf(stderr, "\n");
	/* A forked client only reports; its parent sees the status and cleans up. */
	if (current && getpid() == owner) {
		int status;

		if (current->pid > 0 && waitpid(current->pid, &status, WNOHANG) == current->pid) {
			fprintf(stderr, "the daemon is dead: %s %d\n",
				WIFSIGNALED(status) ? "signal" : "exit",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			current->pid = 0;
		}
		show_log(current);
		harness_clean(current);
	}
	fflush(NULL);
	_exit(1);
}

void harness_skip(const char *why)
{
	if (current && getpid() == owner)
		harness_clean(current);
	printf("%s\n", why);
	fflush(NULL);
	_exit(77);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void harness_clean(struct harness *h)
{
	if (h->pid > 0) {
		kill(h->pid, SIGKILL);
		waitpid(h->pid, NULL, 0);
		h->pid = 0;
	}
	if (h->dir[0])
		nftw(h->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	h->dir[0] = 0;
	if (current == h)
		current = NULL;
}

static void at_exit(void)
{
	if (current && getpid() == owner)
		harness_clean(current);
}

/* ---- making ---- */

/* $NEAPD, else BUILD/bin/neapd; BUILD is two folders above this program where not given. */
static int find_neapd(struct harness *h, const char *build)
{
	const char *given = getenv("NEAPD");
	char self[PATH_MAX];
	ssize_t n;

	if (!build)
		build = getenv("NEAP_BUILD");
	if (given && *given) {
		snprintf(h->neapd, sizeof(h->neapd), "%s", given);
	} else if (build && *build) {
		snprintf(h->neapd, sizeof(h->neapd), "%s/bin/neapd", build);
	} else {
		n = readlink("/proc/self/exe", self, sizeof(self) - 1);
		if (n < 0)
			return -errno;
		self[n] = 0;
		for (int up = 0; up < 3; up++)
			*strrchr(self, '/') = 0;
		if (snprintf(h->neapd, sizeof(h->neapd), "%s/bin/neapd", self) >=
		    (int)sizeof(h->neapd))
			return -ENAMETOOLONG;
	}
	return access(h->neapd, X_OK) < 0 ? -errno : 0;
}

/* A program built with a sanitizer names its runtime library. */
static bool is_sanitized(const char *program)
{
	FILE *f = fopen(program, "r");
	char block[8192 + 16] = {0};
	bool found = false;
	size_t keep = 0, n;

	if (!f)
		return false;
	while (!found && (n = fread(block + keep, 1, 8192, f)) > 0) {
		found = memmem(block, keep + n, "libasan", 7) ||
			memmem(block, keep + n, "libtsan", 7);
		keep = n < 16 ? n : 16;
		memmove(block, block + n, keep);
	}
	fclose(f);
	return found;
}

int harness_prepare(struct harness *h, const char *build)
{
	const char *emulated = getenv("NEAP_TEST_EMULATED");
	int ret;

	signal(SIGPIPE, SIG_IGN);
	ret = find_neapd(h, build);
	if (ret < 0)
		return ret;
	h->sanitized = is_sanitized(h->neapd);
	h->emulated = emulated && *emulated && strcmp(emulated, "0");
	/* Short: the socket's path has 108 bytes at most. */
	strcpy(h->dir, "/tmp/neap-XXXXXX");
	if (!mkdtemp(h->dir)) {
		h->dir[0] = 0;
		return -errno;
	}
	/* A test that changes its user has to reach the socket. */
	chmod(h->dir, 0755);
	owner = getpid();
	current = h;
	atexit(at_exit);
	snprintf(h->run, sizeof(h->run), "%s/run", h->dir);
	snprintf(h->socket, sizeof(h->socket), "%s/neapd.sock", h->run);
	snprintf(h->models, sizeof(h->models), "%s/models", h->dir);
	snprintf(h->sys, sizeof(h->sys), "%s/sys", h->dir);
	snprintf(h->log, sizeof(h->log), "%s/log", h->dir);
	if (mkdir(h->run, 0755) < 0 || mkdir(h->models, 0755) < 0 || mkdir(h->sys, 0755) < 0)
		return -errno;
	return 0;
}

void harness_init(struct harness *h)
{
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	ret = harness_prepare(h, NULL);
	CHECK(ret == 0, "%s: %s", h->neapd, strerror(-ret));
}

static void make_folders(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		mkdir(path, 0755);
		*p = '/';
	}
}

void harness_sysfs(struct harness *h, const char *path, const char *value)
{
	char full[PATH_MAX], temp[PATH_MAX + 8];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", h->sys, path);
	make_folders(full);
	snprintf(temp, sizeof(temp), "%s.new", full);
	f = fopen(temp, "w");
	CHECK(f, "%s: %s", temp, strerror(errno));
	fprintf(f, "%s\n", value);
	fclose(f);
	CHECK(rename(temp, full) == 0);
}

void harness_supply(struct harness *h, bool on_mains, unsigned percent)
{
	char text[32];

	harness_sysfs(h, "sys/class/power_supply/BAT0/type", "Battery");
	harness_sysfs(h, "sys/class/power_supply/BAT0/present", "1");
	harness_sysfs(h, "sys/class/power_supply/BAT0/status",
		      on_mains ? "Charging" : "Discharging");
	harness_sysfs(h, "sys/class/power_supply/BAT0/energy_full", "10000000");
	snprintf(text, sizeof(text), "%u", percent * 100000);
	harness_sysfs(h, "sys/class/power_supply/BAT0/energy_now", text);
	snprintf(text, sizeof(text), "%u", percent);
	harness_sysfs(h, "sys/class/power_supply/BAT0/capacity", text);
	harness_sysfs(h, "sys/class/power_supply/BAT0/power_now", "2000000");
	harness_sysfs(h, "sys/class/power_supply/AC/type", "Mains");
	harness_sysfs(h, "sys/class/power_supply/AC/online", on_mains ? "1" : "0");
}

/* ---- running ---- */

static void exec_daemon(const struct harness *h)
{
	const char *argv[16] = {h->neapd,  "--runtime-dir", h->run,   "--socket",
				h->socket, "--models",      h->models};
	int n = 7, fd;

	/* Ctrl-C is for the test alone, which then ends the daemon in an orderly way; a test that
	 * is killed takes the daemon along. */
	setpgid(0, 0);
	fd = open(h->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd < 0)
		_exit(126);
	dup2(fd, 1);
	dup2(fd, 2);
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, 0);
	close(fd);
	if (h->workers) {
		argv[n++] = "--workers";
		argv[n++] = h->workers;
	}
	if (!h->real_sys) {
		argv[n++] = "--sysroot";
		argv[n++] = h->sys;
	}
	if (h->config) {
		argv[n++] = "--config";
		argv[n++] = h->config;
	}
	if (h->max_fds) {
		struct rlimit r = {h->max_fds, h->max_fds};

		setrlimit(RLIMIT_NOFILE, &r);
	}
	if (h->uid && (setgid(h->uid) || setuid(h->uid)))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* forgotten when the user changes */
	setenv("ASAN_OPTIONS", "exitcode=99", 0);
	setenv("UBSAN_OPTIONS", "print_stacktrace=1", 0);
	setenv("TSAN_OPTIONS", "exitcode=66", 0);
	execv(h->neapd, (char *const *)(uintptr_t)argv);
	_exit(127);
}

static bool dead(struct harness *h, int *ret_status)
{
	if (h->pid > 0 && waitpid(h->pid, ret_status, WNOHANG) == h->pid) {
		h->pid = 0;
		return true;
	}
	return false;
}

unsigned harness_log_count(const struct harness *h, const char *text)
{
	FILE *f = fopen(h->log, "r");
	char line[2048];
	unsigned n = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

static int spawn(struct harness *h)
{
	h->pid = fork();
	if (h->pid < 0) {
		h->pid = 0;
		return -errno;
	}
	if (!h->pid)
		exec_daemon(h);
	return 0;
}

int harness_launch(struct harness *h, int timeout_ms)
{
	struct neap_options opt = {.socket = h->socket, .no_reconnect = true, .name = "harness"};
	double until = now_s() + timeout_ms / 1000.0;
	int ret, status;

	ret = spawn(h);
	if (ret < 0)
		return ret;
	for (;;) {
		struct neap *n;

		ret = neap_connect(&opt, &n);
		if (!ret) {
			neap_close(n);
			return 0;
		}
		if (dead(h, &status))
			return -ECHILD;
		if (now_s() > until)
			return ret;
		sleep_ms(5);
	}
}

void harness_start(struct harness *h)
{
	int ret = harness_launch(h, START_MS);

	CHECK(ret == 0, "the daemon does not start: %s", neap_last_error(NULL));
}

static void check_reports(const struct harness *h)
{
	static const char *const marks[] = {"AddressSanitizer", "LeakSanitizer", "ThreadSanitizer",
					    "runtime error:", "UndefinedBehaviorSanitizer"};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		CHECK(!harness_log_count(h, marks[i]), "the log has: %s", marks[i]);
}

void harness_check(struct harness *h)
{
	int status = 0;

	CHECK(h->pid > 0, "the daemon was not started");
	CHECK(!dead(h, &status), "the daemon died: status 0x%x", (unsigned)status);
	check_reports(h);
}

void harness_stop(struct harness *h)
{
	double until = now_s() + STOP_MS / 1000.0;
	int status = 0;

	harness_check(h);
	kill(h->pid, SIGTERM);
	while (!dead(h, &status)) {
		CHECK(now_s() < until, "the daemon does not end after SIGTERM");
		sleep_ms(5);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the daemon ended with %s %d",
	      WIFSIGNALED(status) ? "signal" : "exit",
	      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	check_reports(h);
}

void harness_kill(struct harness *h)
{
	CHECK(h->pid > 0);
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
	h->pid = 0;
}

void harness_done(struct harness *h)
{
	if (h->pid > 0)
		harness_stop(h);
	harness_clean(h);
}

/* ---- talking ---- */

struct neap *harness_connect(struct harness *h, const struct neap_options *opt)
{
	struct neap_options o = opt ? *opt : (struct neap_options){0};
	struct neap *n = NULL;
	int ret;

	o.socket = h->socket;
	ret = neap_connect(&o, &n);
	CHECK(ret == 0, "connect: %s", neap_last_error(NULL));
	return n;
}

char *harness_control(struct harness *h, const char *command, int *ret_error)
{
	struct neap_options opt = {.no_reconnect = true, .name = "harness"};
	struct neap *n = harness_connect(h, &opt);
	char *json = NULL;
	int ret = neap_control(n, command, &json);

	if (ret_error)
		*ret_error = ret;
	else
		CHECK(ret == 0, "%s: %s", command, neap_last_error(n));
	neap_close(n);
	return json;
}

double harness_wakeups(const struct harness *h)
{
	char path[512], line[256];
	double all = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)h->pid);
	d = opendir(path);
	CHECK(d);
	while ((e = readdir(d))) {
		unsigned long n;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)h->pid, e->d_name);
		f = fopen(path, "r");
		CHECK(f);
		while (fgets(line, sizeof(line), f)) {
			char *colon = strstr(line, "ctxt_switches:");

			if (colon && sscanf(colon + strlen("ctxt_switches:"), "%lu", &n) == 1)
				all += (double)n;
		}
		fclose(f);
	}
	closedir(d);
	return all;
}

unsigned harness_daemon_fds(const struct harness *h)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)h->pid);
	d = opendir(path);
	CHECK(d, "%s: %s", path, strerror(errno));
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}
