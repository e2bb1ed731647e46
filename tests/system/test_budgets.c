// SPDX-License-Identifier: MIT
/*
 * Budgets set by neapctl and by writing the files, and a battery in a fake sysfs, change the levels
 * that requests get. Also neapctl itself: exit codes, JSON, who may change what.
 */
#include "tests/system/model.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct oracle quick;
static uint64_t state = 77;
static char neapctl[PATH_MAX];

/* Beside the daemon under test, or in the build that this test is of. */
static void find_neapctl(void)
{
	const char *build = getenv("NEAP_BUILD");
	char self[PATH_MAX - 32];
	ssize_t n;

	if (build && *build) {
		snprintf(neapctl, sizeof(neapctl), "%s/bin/neapctl", build);
	} else {
		n = readlink("/proc/self/exe", self, sizeof(self) - 1);
		CHECK(n > 0);
		self[n] = 0;
		for (int up = 0; up < 3; up++)
			*strrchr(self, '/') = 0;
		snprintf(neapctl, sizeof(neapctl), "%s/bin/neapctl", self);
	}
	CHECK(access(neapctl, X_OK) == 0, "%s: %s", neapctl, strerror(errno));
}

/* Runs neapctl with @args; what it prints goes to @text (may be NULL). The exit code. */
static int ctl(struct harness *h, const char *args, char *text, size_t bytes)
{
	char command[2 * PATH_MAX];
	size_t n;
	int status;
	FILE *f;

	snprintf(command, sizeof(command), "%s --socket %s %s 2>&1", neapctl, h->socket, args);
	f = popen(command, "r");
	CHECK(f);
	if (text) {
		n = fread(text, 1, bytes - 1, f);
		text[n] = 0;
	}
	while (fgetc(f) != EOF)
		;
	status = pclose(f);
	CHECK(WIFEXITED(status), "%s: 0x%x", command, (unsigned)status);
	return WEXITSTATUS(status);
}

static void set(struct harness *h, const char *name, unsigned value)
{
	char args[96], text[512];
	int r;

	snprintf(args, sizeof(args), "budget set %s %u", name, value);
	r = ctl(h, args, text, sizeof(text));
	CHECK(r == 0, "%s: %s", args, text);
}

static struct neap_completion ask(struct harness *h)
{
	struct neap_completion c;
	struct user u;

	user_open(&u, h, "quick", NULL);
	c = user_run(&u, &quick, &state);
	user_close(&u);
	return c;
}

static void caps(struct harness *h)
{
	struct neap_completion c = ask(h);

	CHECK(c.level == 5 && c.reason == NEAP_REASON_FULL, "level %u reason %s", c.level,
	      neap_reason_name(c.reason));
	set(h, "depth_max", 1);
	c = ask(h);
	CHECK(c.depth == 0 && c.reason == NEAP_REASON_CAP, "depth %u reason %s", c.depth,
	      neap_reason_name(c.reason));
	set(h, "depth_max", 0);
	set(h, "width_max_permille", 400);
	c = ask(h);
	CHECK(c.width_permille <= 400 && c.reason == NEAP_REASON_CAP, "width %u", c.width_permille);
	set(h, "width_max_permille", 0);
	c = ask(h);
	CHECK(c.level == 5 && c.reason == NEAP_REASON_FULL);
}

static void latency(struct harness *h)
{
	struct neap_completion c;

	set(h, "latency_us", 1);
	c = ask(h);
	CHECK(c.level < 5 && c.reason == NEAP_REASON_TIME && c.degraded, "level %u reason %s",
	      c.level, neap_reason_name(c.reason));
	set(h, "latency_us", 0);
	c = ask(h);
	CHECK(c.level == 5);
}

/* Waits until a request gets @level_most at most, or at least @level_least, for @reason. */
static void becomes(struct harness *h, unsigned least, unsigned most, enum neap_reason reason,
		    const char *what)
{
	double until = now_s() + 15;
	struct neap_completion c;

	do {
		c = ask(h);
		if (c.level >= least && c.level <= most && c.reason == reason)
			return;
		sleep_ms(100);
	} while (now_s() < until);
	CHECK(false, "%s: level %u, reason %s", what, c.level, neap_reason_name(c.reason));
}

static void battery(struct harness *h)
{
	set(h, "reserve_permille", 200);
	harness_supply(h, false, 80);
	becomes(h, 5, 5, NEAP_REASON_FULL, "battery at 80 %");
	harness_supply(h, false, 10);
	becomes(h, 0, 2, NEAP_REASON_ENERGY, "battery below its reserve");
	harness_supply(h, true, 10);
	becomes(h, 5, 5, NEAP_REASON_FULL, "on mains");
	/* Power: a battery that shall last for ever gives next to nothing. */
	harness_supply(h, false, 21);
	set(h, "autonomy_min", 525600);
	becomes(h, 0, 4, NEAP_REASON_ENERGY, "a year from 1 % of 10 Wh");
	set(h, "autonomy_min", 0);
	harness_supply(h, true, 100);
	becomes(h, 5, 5, NEAP_REASON_FULL, "on mains again");
}

/* People write the files as well. */
static void files(struct harness *h)
{
	char path[256], text[64];
	double until;
	FILE *f;

	snprintf(path, sizeof(path), "%s/budget/depth_max", h->run);
	f = fopen(path, "w");
	CHECK(f, "%s: %s", path, strerror(errno));
	fprintf(f, "1\n");
	fclose(f);
	becomes(h, 0, 2, NEAP_REASON_CAP, "depth_max written as a file");
	CHECK(ctl(h, "budget get depth_max", text, sizeof(text)) == 0 && !strcmp(text, "1\n"), "%s",
	      text);
	/* Nonsense is put right and changes nothing. */
	f = fopen(path, "w");
	CHECK(f);
	fprintf(f, "many\n");
	fclose(f);
	for (until = now_s() + 10;; sleep_ms(20)) {
		f = fopen(path, "r");
		CHECK(f && fgets(text, sizeof(text), f));
		fclose(f);
		if (!strcmp(text, "1\n"))
			break;
		CHECK(now_s() < until, "the file has: %s", text);
	}
	set(h, "depth_max", 0);
	f = fopen(path, "r");
	CHECK(f && fgets(text, sizeof(text), f) && !strcmp(text, "0\n"), "the file has: %s", text);
	fclose(f);
}

static void floors(struct harness *h)
{
	struct neap_completion c;
	struct user u;

	/* A floor wins over energy. */
	set(h, "reserve_permille", 1000);
	harness_supply(h, false, 50);
	becomes(h, 0, 2, NEAP_REASON_ENERGY, "all is reserve");
	user_open(&u, h, "quick", NULL);
	u.rq.min_accuracy = 0.75f;
	c = user_run(&u, &quick, &state);
	CHECK(c.accuracy >= 0.7499f, "accuracy %.3f under a floor of 0.75", (double)c.accuracy);
	user_close(&u);
	set(h, "reserve_permille", 100);
	harness_supply(h, true, 50);
	becomes(h, 5, 5, NEAP_REASON_FULL, "on mains");
}

/* ---- neapctl ---- */

static void exit_codes(struct harness *h)
{
	static const struct {
		const char *args;
		int code;
	} cases[] = {
		{"status", 0},
		{"models", 0},
		{"top --once", 0},
		{"top", 0}, /* no terminal: once */
		{"budget", 0},
		{"budget get", 0},
		{"budget get latency_us", 0},
		{"--help", 0},
		{"--version", 0},
		{"", 2},
		{"nonsense", 2},
		{"status more", 2},
		{"budget set latency_us", 2},
		{"budget let latency_us 5", 2},
		{"--nonsense status", 2},
		{"load", 2},
		{"top --interval 0", 2},
		{"budget get nothing", 1},
		{"budget set nothing 5", 1},
		{"budget set latency_us x", 1},
		{"budget set latency_us 99999999999", 1},
		{"load /nonexistent.neap", 1},
		{"load /dev/null", 1},
		{"unload nothing", 1},
		{"--socket /nonexistent status", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1024];
		int r = ctl(h, cases[i].args, text, sizeof(text));

		CHECK(r == cases[i].code, "neapctl %s: exit %d: %s", cases[i].args, r, text);
		CHECK(text[0], "neapctl %s says nothing", cases[i].args);
	}
}

static void json(struct harness *h)
{
	static const struct {
		const char *args, *key;
	} cases[] = {
		{"status --json", "transport"},
		{"models --json", "models"},
		{"top --json", "sessions"},
		{"budget --json", "budget"},
		{"budget get cpu_permille --json", "value"},
		{"budget set cpu_permille 0 --json", "cpu_permille"},
	};
	static char text[200000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cJSON *j;

		CHECK(ctl(h, cases[i].args, text, sizeof(text)) == 0, "%s", text);
		j = cJSON_Parse(text);
		CHECK(j, "neapctl %s is not JSON: %s", cases[i].args, text);
		CHECK(cJSON_HasObjectItem(j, cases[i].key), "neapctl %s has no %s", cases[i].args,
		      cases[i].key);
		cJSON_Delete(j);
	}
}

/* A model's name and a client's name reach a terminal: no control characters. */
static void hostile_names(struct harness *h)
{
	struct neap_options opt = {.name = "\x1b[2J\x07"
					   "evil\n"};
	struct neap *n = harness_connect(h, &opt);
	static char text[100000];

	CHECK(ctl(h, "top --once", text, sizeof(text)) == 0, "%s", text);
	CHECK(strstr(text, "evil"), "%s", text);
	CHECK(!strchr(text, 0x1b) && !strchr(text, 7), "an escape sequence reaches the terminal");
	neap_close(n);
}

static void load_and_unload(struct harness *h)
{
	char from[256], to[256], args[300], text[512];
	struct neap_model *m;
	struct neap *n;

	model_install(h, "extra", &model_quick);
	snprintf(from, sizeof(from), "%s/extra.neap", h->models);
	snprintf(to, sizeof(to), "%s/outside.neap", h->dir);
	CHECK(rename(from, to) == 0);
	n = harness_connect(h, NULL);
	CHECK(neap_model_open(n, "outside", &m) == -ENOENT);
	snprintf(args, sizeof(args), "load %s", to);
	CHECK(ctl(h, args, text, sizeof(text)) == 0, "%s", text);
	CHECK_OK(neap_model_open(n, "outside", &m));
	CHECK(ctl(h, "unload outside", text, sizeof(text)) == 0, "%s", text);
	neap_model_close(m);
	CHECK(neap_model_open(n, "outside", &m) == -ENOENT);
	neap_close(n);
}

/* Another user may look, where the socket lets him, but change nothing. */
static void other_users(struct harness *h)
{
	static const char *const commands[] = {"budget set latency_us 5", "load /x", "unload quick",
					       "drain"};
	struct stat st;
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		printf("not run: only root can take another user's place\n");
		return;
	}
	CHECK(stat(h->socket, &st) == 0);
	CHECK(!(st.st_mode & S_IWOTH) || getgrnam("neap") == NULL, "mode %o of the socket",
	      st.st_mode & 0777);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		struct neap_options opt = {.no_reconnect = true};
		struct neap *n;
		char *text = NULL;
		gid_t group = st.st_gid;

		CHECK(chmod(h->socket, 0666) == 0);
		CHECK(setgroups(1, &group) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
		n = harness_connect(h, &opt);
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
			int r = neap_control(n, commands[i], &text);

			CHECK(r == -EPERM, "%s: %s", commands[i], neap_strerror(r));
			CHECK(neap_last_error(n)[0]);
		}
		CHECK_OK(neap_control(n, "status", &text));
		free(text);
		neap_close(n);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0, "status 0x%x", (unsigned)status);
	chmod(h->socket, st.st_mode & 0777);
}

static void drain(struct harness *h)
{
	char text[256];
	int status;

	CHECK(ctl(h, "drain", text, sizeof(text)) == 0, "%s", text);
	for (int i = 0; waitpid(h->pid, &status, WNOHANG) != h->pid; i++) {
		CHECK(i < 2000, "the daemon does not end after drain");
		sleep_ms(10);
	}
	h->pid = 0;
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "0x%x", (unsigned)status);
	CHECK(ctl(h, "status", text, sizeof(text)) == 1);
	CHECK(strstr(text, "systemctl start"), "no advice: %s", text);
	harness_start(h);
}

int main(void)
{
	struct harness h = {0};

	harness_init(&h);
	find_neapctl();
	model_install(&h, "quick", &model_quick);
	oracle_open_installed(&quick, &h, "quick");
	harness_supply(&h, true, 100);
	harness_start(&h);
	model_wait(&h, "quick");
	RUN_CASE(&h, caps);
	RUN_CASE(&h, latency);
	RUN_CASE(&h, battery);
	RUN_CASE(&h, files);
	RUN_CASE(&h, floors);
	RUN_CASE(&h, exit_codes);
	RUN_CASE(&h, json);
	RUN_CASE(&h, hostile_names);
	RUN_CASE(&h, load_and_unload);
	RUN_CASE(&h, other_users);
	RUN_CASE(&h, drain);
	harness_done(&h);
	oracle_close(&quick);
	return 0;
}
