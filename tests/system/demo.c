// SPDX-License-Identifier: MIT
/*
 * make demo: neapd serves real Fashion-MNIST images while the conditions change under it, and
 * shows what it chose and why: idle; all CPUs busy; a pretended battery at 80 %, 30 % and 10 %; a
 * tight latency budget. Prints bars and writes the same figures as JSON.
 *
 * The battery is a fake sysfs tree (--sysroot); the budgets are set as an administrator would. They
 * are derived from what the daemon measured on this machine, so that the phases differ on a slow
 * computer as they do on a fast one. Everything lives in a private directory that goes away at the
 * end, also on Ctrl-C.
 */
#include "tests/system/harness.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/neap/evaluate.h"
#include "engine/model/container.h"

#define REQUESTS    2000u
#define PHASES      6u
#define RATE_HZ     125.0 /* requests a second: a camera or two */
#define DEADLINE_US 2000  /* the application's */
#define MODEL       "fashion"
#define MAX_LEVELS  256u
#define REASONS     6u
#define BAR         40u
#define CAPACITY_WH 10.0 /* of harness_supply()'s battery */
#define RESERVE     0.1  /* of the charge; the budget's default */

struct level { /* as the daemon measured it here */
	unsigned depth, width_permille;
	double time_us, energy_uj, accuracy;
};

struct figures {
	unsigned n, right, in_time, degraded;
	double latency_us[REQUESTS];
	unsigned level[MAX_LEVELS], reason[REASONS];
};

struct demo {
	struct harness h;
	struct data_set data;
	struct sample_feeder *feeder;
	struct neap *n;
	struct neap_model *model;
	struct neap_buffer *in, *out;
	struct level level[MAX_LEVELS];
	unsigned n_level, best;
	unsigned sent; /* of REQUESTS */
	pid_t *busy;
	unsigned n_busy;
	cJSON *phases;
	bool terminal, utf8;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* ---- talking to the daemon ---- */

static cJSON *ask(struct demo *d, const char *command)
{
	char *text = NULL;
	int ret = neap_control(d->n, command, &text);
	cJSON *j;

	CHECK(ret == 0, "%s: %s", command, neap_last_error(d->n));
	j = cJSON_Parse(text);
	CHECK(j, "%s: not JSON: %s", command, text);
	free(text);
	return j;
}

static double number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static void budget(struct demo *d, const char *name, unsigned value)
{
	char command[96];

	snprintf(command, sizeof(command), "budget set %s %u", name, value);
	cJSON_Delete(ask(d, command));
}

static void read_levels(struct demo *d)
{
	cJSON *j = ask(d, "models");
	const cJSON *m, *l;

	cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(j, "models"))
	{
		const cJSON *name = cJSON_GetObjectItemCaseSensitive(m, "name");

		if (!cJSON_IsString(name) || strcmp(name->valuestring, MODEL))
			continue;
		cJSON_ArrayForEach(l, cJSON_GetObjectItemCaseSensitive(m, "levels"))
		{
			struct level *to = &d->level[d->n_level];

			if (d->n_level == MAX_LEVELS)
				break;
			to->depth = (unsigned)number(l, "depth");
			to->width_permille = (unsigned)number(l, "width_permille");
			to->time_us = number(l, "time_us");
			to->energy_uj = number(l, "energy_uj");
			to->accuracy = number(l, "accuracy");
			if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(l, "front")) &&
			    to->accuracy >= d->level[d->best].accuracy)
				d->best = d->n_level;
			d->n_level++;
		}
	}
	cJSON_Delete(j);
	CHECK(d->n_level > 0, "the daemon serves no model " MODEL);
}

/* Until the daemon's sensors have seen the supply. */
static void await_supply(struct demo *d, bool battery, unsigned percent)
{
	double until = now_s() + 20;

	while (!interrupted) {
		cJSON *j = ask(d, "status");
		const cJSON *s = cJSON_GetObjectItemCaseSensitive(j, "supply");
		const cJSON *source = cJSON_GetObjectItemCaseSensitive(s, "source");
		bool is = cJSON_IsString(source) &&
			  !strcmp(source->valuestring, battery ? "battery" : "mains") &&
			  (!battery || lround(number(s, "charge_permille") / 10) == (long)percent);

		cJSON_Delete(j);
		if (is)
			return;
		CHECK(now_s() < until, "the daemon does not see the battery");
		sleep_ms(100);
	}
}

static void supply(struct demo *d, bool battery, unsigned percent)
{
	harness_supply(&d->h, !battery, percent);
	await_supply(d, battery, percent);
}

/* ---- conditions ---- */

static void busy_stop(struct demo *d)
{
	for (unsigned i = 0; i < d->n_busy; i++) {
		kill(d->busy[i], SIGKILL);
		waitpid(d->busy[i], NULL, 0);
	}
	free(d->busy);
	d->busy = NULL;
	d->n_busy = 0;
}

/* Two processes a CPU that compute for ever. */
static void busy_start(struct demo *d)
{
	long n = 2 * sysconf(_SC_NPROCESSORS_ONLN);

	d->busy = calloc((size_t)n, sizeof(*d->busy));
	CHECK(d->busy);
	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid) {
			volatile double x = 1;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				x = x * 1.0000001 + 1e-9;
		}
		d->busy[d->n_busy++] = pid;
	}
	sleep_ms(300);
}

/*
 * Minutes for which the battery shall last, so that at 30 % there is power for a mix of levels: a
 * little more than the cheapest needs at this rate. At 80 % there is more than three times as much.
 */
static unsigned autonomy_min(const struct demo *d)
{
	double most = d->level[d->best].energy_uj, least = most, w;

	for (unsigned i = 0; i < d->n_level; i++)
		least = fmin(least, d->level[i].energy_uj);
	w = (least + 0.3 * (most - least)) * 1e-6 * RATE_HZ;
	return (unsigned)fmin(fmax((0.3 - RESERVE) * CAPACITY_WH / w * 60, 1), 525600);
}

/* Less than the best level takes with its waking up and its spread. */
static unsigned tight_us(const struct demo *d)
{
	return (unsigned)fmax(20, 0.75 * d->level[d->best].time_us + 15);
}

struct phase {
	const char *name;
	void (*begin)(struct demo *d, char *what, size_t bytes);
	void (*end)(struct demo *d);
};

static void begin_idle(struct demo *d, char *what, size_t bytes)
{
	supply(d, false, 100);
	snprintf(what, bytes, "on mains, no budgets, nothing else runs");
}

static void begin_busy(struct demo *d, char *what, size_t bytes)
{
	busy_start(d);
	snprintf(what, bytes, "%u other processes compute", d->n_busy);
}

static void begin_battery(struct demo *d, unsigned percent, char *what, size_t bytes)
{
	unsigned minutes = autonomy_min(d);

	budget(d, "autonomy_min", minutes);
	supply(d, true, percent);
	snprintf(what, bytes, "%u %% of %.0f Wh shall last %u h; reserve %.0f %%", percent,
		 CAPACITY_WH, minutes / 60, RESERVE * 100);
}

static void begin_80(struct demo *d, char *what, size_t bytes)
{
	begin_battery(d, 80, what, bytes);
}

static void begin_30(struct demo *d, char *what, size_t bytes)
{
	begin_battery(d, 30, what, bytes);
}

static void begin_10(struct demo *d, char *what, size_t bytes)
{
	begin_battery(d, 10, what, bytes);
}

static void end_battery(struct demo *d)
{
	budget(d, "autonomy_min", 0);
	supply(d, false, 100);
}

static void begin_tight(struct demo *d, char *what, size_t bytes)
{
	budget(d, "latency_us", tight_us(d));
	snprintf(what, bytes, "on mains, latency_us = %u", tight_us(d));
}

static void end_tight(struct demo *d)
{
	budget(d, "latency_us", 0);
}

static const struct phase phases[PHASES] = {
	{"idle", begin_idle, NULL},
	{"all CPUs busy", begin_busy, busy_stop},
	{"battery at 80 %", begin_80, NULL},
	{"battery at 30 %", begin_30, NULL},
	{"battery at 10 %", begin_10, end_battery},
	{"tight latency budget", begin_tight, end_tight},
};

/* ---- one phase ---- */

static void progress(struct demo *d, const char *name)
{
	unsigned full = d->sent * 30 / REQUESTS;

	if (!d->terminal)
		return;
	printf("\r  [");
	for (unsigned i = 0; i < 30; i++)
		fputs(i < full ? (d->utf8 ? "\xe2\x96\x88" : "#") : " ", stdout);
	printf("] %u of %u  %s\033[K", d->sent, REQUESTS, name);
	fflush(stdout);
}

static void pause_until(double when)
{
	struct timespec t = {(time_t)when, (long)(fmod(when, 1) * 1e9)};

	/* A signal ends it: the loop looks at it. */
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void one_request(struct demo *d, struct figures *f)
{
	struct neap_request rq = {.model = d->model,
				  .in = d->in,
				  .out = d->out,
				  .deadline_us = DEADLINE_US,
				  .user_data = d->sent};
	struct neap_completion c;
	double t;
	int ret;

	sample_feed(d->feeder, d->sent, neap_buffer_data(d->in));
	t = now_s();
	ret = neap_run(d->n, &rq, &c);
	f->latency_us[f->n++] = (now_s() - t) * 1e6;
	CHECK(ret == 0, "image %u: %s", d->sent, neap_strerror(ret));
	f->right += c.top_index == (uint32_t)d->data.y[d->sent];
	f->in_time += !c.late;
	f->degraded += c.degraded;
	f->level[c.level % MAX_LEVELS]++;
	f->reason[(unsigned)c.reason % REASONS]++;
	d->sent++;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double latency_at(const struct figures *f, double q)
{
	return f->n ? f->latency_us[(unsigned)(q * (f->n - 1) + 0.5)] : 0;
}

static void bar(const struct demo *d, unsigned part, unsigned all)
{
	unsigned full = (part * BAR + all / 2) / all;

	if (part && !full)
		full = 1;
	for (unsigned i = 0; i < full; i++)
		fputs(d->utf8 ? "\xe2\x96\x88" : "#", stdout);
}

static void print_phase(const struct demo *d, const char *name, const char *what,
			const struct figures *f)
{
	if (d->terminal)
		printf("\r\033[K");
	printf("%s: %s\n", name, what);
	for (unsigned i = 0; i < MAX_LEVELS; i++) {
		if (!f->level[i])
			continue;
		printf("  level %-3u exit %u, width %3u %%, %6.1f us  %4u ", i, d->level[i].depth,
		       d->level[i].width_permille / 10, d->level[i].time_us, f->level[i]);
		bar(d, f->level[i], f->n);
		printf("\n");
	}
	printf("  because of");
	for (unsigned i = 0; i < REASONS; i++)
		if (f->reason[i])
			printf(" %s %.0f %%", neap_reason_name((enum neap_reason)i),
			       100.0 * f->reason[i] / f->n);
	printf("\n  accuracy %.1f %%   p50 %.0f us   p99 %.0f us   in time %.1f %%\n\n",
	       100.0 * f->right / f->n, latency_at(f, 0.5), latency_at(f, 0.99),
	       100.0 * f->in_time / f->n);
	fflush(stdout);
}

static void record_phase(struct demo *d, const char *name, const struct figures *f)
{
	cJSON *o = cJSON_CreateObject(), *levels, *reasons;
	char key[16];

	cJSON_AddStringToObject(o, "name", name);
	cJSON_AddNumberToObject(o, "requests", f->n);
	cJSON_AddNumberToObject(o, "accuracy", (double)f->right / f->n);
	cJSON_AddNumberToObject(o, "p50_us", latency_at(f, 0.5));
	cJSON_AddNumberToObject(o, "p99_us", latency_at(f, 0.99));
	cJSON_AddNumberToObject(o, "deadline_hit_rate", (double)f->in_time / f->n);
	cJSON_AddNumberToObject(o, "degraded", f->degraded);
	levels = cJSON_AddObjectToObject(o, "levels");
	for (unsigned i = 0; i < MAX_LEVELS; i++) {
		snprintf(key, sizeof(key), "%u", i);
		if (f->level[i])
			cJSON_AddNumberToObject(levels, key, f->level[i]);
	}
	reasons = cJSON_AddObjectToObject(o, "reasons");
	for (unsigned i = 0; i < REASONS; i++)
		if (f->reason[i])
			cJSON_AddNumberToObject(reasons, neap_reason_name((enum neap_reason)i),
						f->reason[i]);
	cJSON_AddItemToArray(d->phases, o);
}

static void run_phase(struct demo *d, unsigned index)
{
	static struct figures f;
	const struct phase *p = &phases[index];
	unsigned until = (index + 1) * REQUESTS / PHASES;
	char what[128] = "";
	double next;

	memset(&f, 0, sizeof(f));
	progress(d, p->name);
	p->begin(d, what, sizeof(what));
	next = now_s();
	while (d->sent < until && !interrupted) {
		pause_until(next);
		next = fmax(next + 1 / RATE_HZ, now_s() - 0.1);
		one_request(d, &f);
		if (d->sent % 20 == 0)
			progress(d, p->name);
	}
	if (p->end)
		p->end(d);
	if (interrupted)
		return;
	qsort(f.latency_us, f.n, sizeof(f.latency_us[0]), by_value);
	print_phase(d, p->name, what, &f);
	record_phase(d, p->name, &f);
}

/* ---- the whole ---- */

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "demo: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	return -EINVAL;
}

/* The model's file and the images; the feeder turns one into the other's input. */
static int open_data(struct demo *d, const char *models)
{
	struct ne_model *m = NULL;
	struct ne_error err = {""};
	char path[PATH_MAX];
	int ret;

	if (snprintf(path, sizeof(path), "%s/" MODEL ".neap", models) >= (int)sizeof(path))
		return complain("the path of the models is too long");
	ret = ne_container_load(path, NULL, &m, &err);
	if (ret < 0)
		return complain("%s: %s (\"make models\" trains it, which takes about an hour)",
				path, err.text);
	ret = data_open("fashion-mnist:test", &d->data, &err);
	if (ret < 0) {
		ne_model_free(m);
		return complain("the images: %s (apt install dataset-fashion-mnist)", err.text);
	}
	ret = d->data.n < REQUESTS ? complain("only %zu images", d->data.n) : 0;
	if (!ret && sample_feeder_new(m, &d->data, &d->feeder, &err) < 0)
		ret = complain("the model does not take the images: %s", err.text);
	ne_model_free(m);
	return ret;
}

static int start(struct demo *d, const char *build, const char *models)
{
	struct neap_options opt = {.socket = d->h.socket, .name = "demo"};
	char real[PATH_MAX];
	int ret = harness_prepare(&d->h, build);

	if (ret < 0)
		return complain("%s: %s", d->h.neapd, strerror(-ret));
	if (!realpath(models, real))
		return complain("%s: %s", models, strerror(errno));
	/* The daemon serves the folder itself, through a link in the private directory. */
	if (rmdir(d->h.models) < 0 || symlink(real, d->h.models) < 0)
		return complain("%s: %s", d->h.models, strerror(errno));
	harness_supply(&d->h, true, 100);
	ret = harness_launch(&d->h, 60000);
	if (ret < 0)
		return complain("neapd does not start: %s", neap_last_error(NULL));
	ret = neap_connect(&opt, &d->n);
	if (ret < 0)
		return complain("%s", neap_last_error(NULL));
	ret = neap_model_open(d->n, MODEL, &d->model);
	if (!ret)
		ret = neap_buffer_new(d->n, neap_model_info(d->model)->in_bytes, NEAP_BUFFER_INPUT,
				      &d->in);
	if (!ret)
		ret = neap_buffer_new(d->n, neap_model_info(d->model)->out_bytes,
				      NEAP_BUFFER_OUTPUT, &d->out);
	return ret < 0 ? complain("%s", neap_last_error(d->n)) : 0;
}

static int write_json(struct demo *d, const char *path)
{
	cJSON *status = ask(d, "status"), *o = cJSON_CreateObject();
	const cJSON *t = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(status, "transport"), "name");
	char *text;
	FILE *f;
	int ret = 0;

	cJSON_AddStringToObject(o, "transport", cJSON_IsString(t) ? t->valuestring : "");
	cJSON_AddNumberToObject(o, "requests", d->sent);
	cJSON_AddItemToObject(o, "phases", d->phases);
	d->phases = NULL;
	text = cJSON_Print(o);
	f = fopen(path, "w");
	if (!text || !f || fprintf(f, "%s\n", text) < 0)
		ret = complain("%s: %s", path, strerror(errno));
	if (f && fclose(f) && !ret)
		ret = complain("%s: %s", path, strerror(errno));
	free(text);
	cJSON_Delete(o);
	cJSON_Delete(status);
	return ret;
}

static void finish(struct demo *d)
{
	busy_stop(d);
	neap_buffer_free(d->in);
	neap_buffer_free(d->out);
	neap_model_close(d->model);
	neap_close(d->n);
	sample_feeder_free(d->feeder);
	if (d->data.x)
		data_close(&d->data);
	cJSON_Delete(d->phases);
	harness_clean(&d->h);
}

static int run(struct demo *d, const char *build, const char *models, const char *json)
{
	double began = now_s();
	int ret = open_data(d, models);

	if (!ret)
		ret = start(d, build, models);
	if (ret < 0)
		return 1;
	read_levels(d);
	printf("neapd serves %s at %u levels: %.1f to %.1f us, accuracy %.1f to %.1f %%.\n"
	       "%u test images of Fashion-MNIST, %.0f a second, deadline %.0f ms.\n\n",
	       MODEL, d->n_level, d->level[0].time_us, d->level[d->best].time_us,
	       100 * d->level[0].accuracy, 100 * d->level[d->best].accuracy, REQUESTS, RATE_HZ,
	       DEADLINE_US / 1000.0);
	for (unsigned i = 0; i < PHASES && !interrupted; i++)
		run_phase(d, i);
	if (interrupted) {
		fprintf(stderr, "%sdemo: interrupted; the daemon is ended, nothing is left\n",
			d->terminal ? "\r\033[K" : "");
		return 130;
	}
	if (write_json(d, json) < 0)
		return 1;
	printf("%u requests in %.0f s; the figures are in %s\n", d->sent, now_s() - began, json);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"build", required_argument, NULL, 'b'},
						{"models", required_argument, NULL, 'm'},
						{"json", required_argument, NULL, 'j'},
						{NULL, 0, NULL, 0}};
	const char *build = "build", *models = "models", *json = "build/demo.json";
	struct sigaction sa = {.sa_handler = on_signal};
	static struct demo d;
	int o, ret;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'b') {
			build = optarg;
		} else if (o == 'm') {
			models = optarg;
		} else if (o == 'j') {
			json = optarg;
		} else {
			fprintf(stderr, "usage: demo [--build DIR] [--models DIR] [--json FILE]\n");
			return 2;
		}
	}
	setlocale(LC_CTYPE, "");
	d.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	d.terminal = isatty(STDOUT_FILENO);
	d.phases = cJSON_CreateArray();
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	ret = run(&d, build, models, json);
	finish(&d);
	return ret;
}
