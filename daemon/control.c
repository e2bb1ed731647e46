/* SPDX-License-Identifier: MIT */
/*
 * Commands of neapctl: a line of words in, JSON out (docs/protocol.md lists both). The counters are
 * read under the lock; building the JSON there too is fine, people ask at most a few times a second.
 */
#include "daemon/log.h"
#include "daemon/server.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_WORDS 4

static long resident_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size, resident = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A non-finite or absent number becomes null. */
static void add_known(cJSON *to, const char *name, double value, bool known)
{
	if (known)
		cJSON_AddNumberToObject(to, name, value);
	else
		cJSON_AddNullToObject(to, name);
}

static void add_counters(cJSON *to, const struct metrics *m)
{
	cJSON *o = cJSON_AddObjectToObject(to, "counters");

	cJSON_AddNumberToObject(o, "sessions", (double)m->sessions);
	cJSON_AddNumberToObject(o, "sessions_refused", (double)m->sessions_refused);
	cJSON_AddNumberToObject(o, "protocol_errors", (double)m->protocol_errors);
	cJSON_AddNumberToObject(o, "bad_entries", (double)m->bad_entries);
	cJSON_AddNumberToObject(o, "buffers_refused", (double)m->buffers_refused);
	cJSON_AddNumberToObject(o, "requests", (double)m->requests);
	cJSON_AddNumberToObject(o, "answered", (double)m->answered);
	cJSON_AddNumberToObject(o, "failed", (double)m->failed);
	cJSON_AddNumberToObject(o, "cancelled", (double)m->cancelled);
	cJSON_AddNumberToObject(o, "degraded", (double)m->degraded);
	cJSON_AddNumberToObject(o, "with_deadline", (double)m->with_deadline);
	cJSON_AddNumberToObject(o, "late", (double)m->late);
	cJSON_AddNumberToObject(o, "wakes", (double)m->wakes);
	cJSON_AddNumberToObject(o, "owned", (double)m->owned);
	cJSON_AddNumberToObject(o, "own_refused", (double)m->own_refused);
}

static void add_sensors(struct server *srv, cJSON *to)
{
	const struct sensor_values *v = &srv->sensed;
	cJSON *list = cJSON_AddArrayToObject(to, "sensors"), *o;
	struct sensor_info info;

	for (unsigned i = 0; sensors_info(srv->sensors, i, &info) >= 0; i++) {
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "name", info.name);
		cJSON_AddBoolToObject(o, "present", info.present);
		cJSON_AddStringToObject(o, "detail", info.detail ? info.detail : "");
		cJSON_AddItemToArray(list, o);
	}
	o = cJSON_AddObjectToObject(to, "supply");
	cJSON_AddBoolToObject(o, "known", v->supply_known);
	cJSON_AddStringToObject(o, "source", v->supply.on_battery ? "battery" : "mains");
	add_known(o, "charge_permille", v->supply.charge_permille, v->supply_known);
	add_known(o, "capacity_mwh", v->supply.capacity_mwh, v->supply.capacity_mwh > 0);
	add_known(o, "draw_mw", v->draw_mw, v->draw_mw >= 0);
	cJSON_AddBoolToObject(o, "low_battery", srv->governor.low_battery);
	o = cJSON_AddObjectToObject(to, "machine");
	add_known(o, "load1", (double)v->load1, v->load1 >= 0);
	add_known(o, "psi_cpu_some", (double)v->psi_cpu_some, v->psi_cpu_some >= 0);
	add_known(o, "temperature_c", v->temperature_mc / 1000.0, v->temperature_mc != INT32_MIN);
	add_known(o, "power_mw", v->power_mw, v->power_mw >= 0);
	add_known(o, "cpu_khz", v->cpu_khz, v->cpu_khz > 0);
}

static const char *kernel_set(struct server *srv)
{
	for (unsigned i = 0; i < MODELS_MAX; i++) {
		struct model *m = models_at(srv->models, i);

		if (m && m->current)
			return ne_program_cpu(m->current->program);
	}
	return "none: no model is loaded";
}

static void add_part(cJSON *to, const char *key, const char *name, const char *why)
{
	cJSON *o = cJSON_AddObjectToObject(to, key);

	cJSON_AddStringToObject(o, "name", name);
	cJSON_AddStringToObject(o, "why", why);
}

static int do_status(struct server *srv, char **word, cJSON *to, struct ne_error *err)
{
	(void)word;
	(void)err;
	cJSON_AddStringToObject(to, "version", NEAP_VERSION);
	cJSON_AddNumberToObject(to, "pid", getpid());
	cJSON_AddNumberToObject(to, "uptime_s", (double)(loop_now_us() - srv->start_us) * 1e-6);
	cJSON_AddStringToObject(to, "state", srv->draining ? "draining" : "serving");
	cJSON_AddStringToObject(to, "socket", srv->config->socket);
	add_part(to, "transport", srv->transport->name, srv->transport_why);
	add_part(to, "budgets", budget_kind(srv->budget), budget_dir(srv->budget));
	add_part(to, "loop", loop_name(srv->loop), loop_why(srv->loop));
	cJSON_AddNumberToObject(to, "workers", srv->n_worker);
	cJSON_AddNumberToObject(to, "workers_idle", srv->n_idle);
	cJSON_AddStringToObject(to, "kernels", kernel_set(srv));
	cJSON_AddNumberToObject(to, "sessions", srv->n_session);
	cJSON_AddNumberToObject(to, "in_flight", srv->in_flight);
	cJSON_AddNumberToObject(to, "shared_bytes",
				(double)__atomic_load_n(&srv->bytes, __ATOMIC_RELAXED));
	cJSON_AddNumberToObject(to, "rss_kb", (double)resident_kb());
	cJSON_AddNumberToObject(to, "time_ratio", srv->governor.predictor.ratio);
	add_sensors(srv, to);
	add_counters(to, &srv->metrics);
	return 0;
}

static void add_reasons(cJSON *to, const uint64_t *reason)
{
	cJSON *o = cJSON_AddObjectToObject(to, "reasons");

	for (int i = 0; i < NE_REASON_COUNT; i++)
		cJSON_AddNumberToObject(o, ne_reason_name((enum ne_reason)i), (double)reason[i]);
}

static void add_times(cJSON *to, const struct metrics_histogram *h)
{
	add_known(to, "p50_us", metrics_histogram_quantile(h, 0.5), h->count > 0);
	add_known(to, "p99_us", metrics_histogram_quantile(h, 0.99), h->count > 0);
}

static cJSON *describe_level(const struct model *m, uint32_t i)
{
	const struct model_version *v = m->current;
	const struct ne_level *l = ne_program_level(v->program, i);
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "level", i);
	cJSON_AddNumberToObject(o, "depth", l->depth);
	cJSON_AddNumberToObject(o, "width_permille", v->level[i].width_permille);
	cJSON_AddBoolToObject(o, "front", v->level[i].eligible);
	cJSON_AddNumberToObject(o, "macs", (double)l->macs);
	add_known(o, "accuracy", (double)l->accuracy, l->accuracy >= 0);
	cJSON_AddNumberToObject(o, "time_us", (double)v->level[i].time_us);
	cJSON_AddNumberToObject(o, "energy_uj", (double)v->level[i].energy_uj);
	cJSON_AddNumberToObject(o, "count", (double)m->metrics->level[i]);
	return o;
}

static cJSON *describe_model(const struct model *m)
{
	const struct model_version *v = m->current;
	cJSON *o = cJSON_CreateObject(), *levels;

	cJSON_AddStringToObject(o, "name", m->name);
	cJSON_AddStringToObject(o, "path", m->path);
	cJSON_AddNumberToObject(o, "generation", v->generation);
	cJSON_AddNumberToObject(o, "file_bytes", (double)v->file_bytes);
	cJSON_AddNumberToObject(o, "packed_bytes", (double)ne_program_packed_bytes(v->program));
	cJSON_AddNumberToObject(o, "stream_bytes", (double)ne_program_state_bytes(v->program));
	cJSON_AddNumberToObject(o, "exits", v->n_exit);
	cJSON_AddNumberToObject(o, "users", m->users);
	cJSON_AddNumberToObject(o, "in_bytes", (double)v->io.in_bytes);
	cJSON_AddNumberToObject(o, "out_bytes", (double)v->io.out_bytes);
	cJSON_AddStringToObject(o, "kernels", ne_program_cpu(v->program));
	cJSON_AddStringToObject(o, "energy", "modelled");
	cJSON_AddNumberToObject(o, "answered", (double)m->metrics->answered);
	cJSON_AddNumberToObject(o, "failed", (double)m->metrics->failed);
	cJSON_AddNumberToObject(o, "refused_time", (double)m->metrics->refused_time);
	cJSON_AddNumberToObject(o, "degraded", (double)m->metrics->degraded);
	cJSON_AddNumberToObject(o, "with_deadline", (double)m->metrics->with_deadline);
	cJSON_AddNumberToObject(o, "late", (double)m->metrics->late);
	cJSON_AddNumberToObject(o, "energy_uj", m->metrics->energy_uj);
	add_reasons(o, m->metrics->reason);
	levels = cJSON_AddArrayToObject(o, "levels");
	for (uint32_t i = 0; i < v->n_level; i++)
		cJSON_AddItemToArray(levels, describe_level(m, i));
	return o;
}

static int do_models(struct server *srv, char **word, cJSON *to, struct ne_error *err)
{
	cJSON *list = cJSON_AddArrayToObject(to, "models");

	(void)word;
	(void)err;
	for (unsigned i = 0; i < MODELS_MAX; i++) {
		struct model *m = models_at(srv->models, i);

		if (m && m->current)
			cJSON_AddItemToArray(list, describe_model(m));
	}
	return 0;
}

static cJSON *top_session(const struct session *s, int64_t now)
{
	const struct metrics_session *m = &s->metrics;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "session", (double)s->id);
	cJSON_AddStringToObject(o, "name", s->name);
	cJSON_AddNumberToObject(o, "uid", s->uid);
	cJSON_AddNumberToObject(o, "pid", s->pid);
	cJSON_AddNumberToObject(o, "per_s", metrics_rate_now(&m->rate, now));
	cJSON_AddNumberToObject(o, "answered", (double)m->answered);
	cJSON_AddNumberToObject(o, "failed", (double)m->failed);
	cJSON_AddNumberToObject(o, "in_flight", s->rings.in_flight);
	cJSON_AddNumberToObject(o, "shared_bytes", (double)s->bytes);
	add_known(o, "last_level", m->last_level, m->answered > 0);
	cJSON_AddStringToObject(o, "last_reason",
				m->answered ? ne_reason_name(m->last_reason) : "");
	add_times(o, &m->total_us);
	return o;
}

static cJSON *top_model(const struct model *m, int64_t now)
{
	const struct metrics_model *x = m->metrics;
	cJSON *o = cJSON_CreateObject(), *levels;

	cJSON_AddStringToObject(o, "name", m->name);
	cJSON_AddNumberToObject(o, "per_s", metrics_rate_now(&x->rate, now));
	cJSON_AddNumberToObject(o, "answered", (double)x->answered);
	add_known(o, "last_level", x->last_level, x->answered > 0);
	cJSON_AddStringToObject(o, "last_reason",
				x->answered ? ne_reason_name(x->last_reason) : "");
	cJSON_AddNumberToObject(o, "degraded", (double)x->degraded);
	cJSON_AddNumberToObject(o, "late", (double)x->late);
	add_known(o, "deadline_hit_rate",
		  1 - (double)x->late / (double)NE_MAX(x->with_deadline, 1u), x->with_deadline > 0);
	add_times(o, &x->total_us);
	add_reasons(o, x->reason);
	levels = cJSON_AddArrayToObject(o, "levels");
	for (uint32_t i = 0; i < m->current->n_level; i++)
		cJSON_AddItemToArray(levels, cJSON_CreateNumber((double)x->level[i]));
	return o;
}

static int do_top(struct server *srv, char **word, cJSON *to, struct ne_error *err)
{
	int64_t now = loop_now_us();
	cJSON *list = cJSON_AddArrayToObject(to, "sessions");

	(void)word;
	(void)err;
	for (unsigned i = 0; i < SERVER_MAX_SESSIONS; i++)
		if (srv->session[i])
			cJSON_AddItemToArray(list, top_session(srv->session[i], now));
	list = cJSON_AddArrayToObject(to, "models");
	for (unsigned i = 0; i < MODELS_MAX; i++) {
		struct model *m = models_at(srv->models, i);

		if (m && m->current)
			cJSON_AddItemToArray(list, top_model(m, now));
	}
	cJSON_AddNumberToObject(to, "in_flight", srv->in_flight);
	cJSON_AddStringToObject(to, "supply", srv->sensed.supply.on_battery ? "battery" : "mains");
	return 0;
}

static void budget_in_force(struct server *srv)
{
	ne_governor_set_budget(&srv->governor, budget_get(srv->budget), loop_now_us());
}

static int do_budget_get(struct server *srv, char **word, cJSON *to, struct ne_error *err)
{
	cJSON *list = cJSON_AddArrayToObject(to, "budget");
	struct budget_entry e;

	(void)word;
	(void)err;
	if (budget_refresh(srv->budget) > 0)
		budget_in_force(srv);
	for (unsigned i = 0; budget_entry(srv->budget, i, &e) >= 0; i++) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "name", e.name);
		cJSON_AddNumberToObject(o, "value", e.value);
		cJSON_AddStringToObject(o, "unit", e.unit);
		cJSON_AddNumberToObject(o, "min", e.min);
		cJSON_AddNumberToObject(o, "max", e.max);
		cJSON_AddNumberToObject(o, "default", e.fallback);
		cJSON_AddItemToArray(list, o);
	}
	return 0;
}

static int do_budget_set(struct server *srv, char **word, cJSON *to, struct ne_error *err)
{
	struct budget_entry e;

	NE_RETURN_IF(budget_set(srv->budget, word[2], word[3], err));
	budget_in_force(srv);
	for (unsigned i = 0; budget_entry(srv->budget, i, &e) >= 0; i++)
		if (!strcmp(e.name, word[2]))
			cJSON_AddNumberToObject(to, e.name, e.value);
	log_info("budget %s is %s by command", word[2], word[3]);
	return 0;
}

static int do_load(struct server *srv, char **word, cJSON *to, struct ne_error *err)
{
	NE_RETURN_IF(models_load(srv->models, word[1], err));
	cJSON_AddStringToObject(to, "loaded", word[1]);
	return 0;
}

static int do_unload(struct server *srv, char **word, cJSON *to, struct ne_error *err)
{
	NE_RETURN_IF(models_unload(srv->models, word[1], err));
	cJSON_AddStringToObject(to, "unloaded", word[1]);
	return 0;
}

static int do_drain(struct server *srv, char **word, cJSON *to, struct ne_error *err)
{
	(void)word;
	(void)err;
	server_drain(srv);
	cJSON_AddTrueToObject(to, "draining");
	pthread_mutex_lock(&srv->lock);
	cJSON_AddNumberToObject(to, "in_flight", srv->in_flight);
	pthread_mutex_unlock(&srv->lock);
	return 0;
}

static const struct command {
	const char *name, *sub; /* the words that it begins with */
	unsigned words;
	bool mutates; /* root and the daemon's own user alone */
	bool locks;   /* the lock is held while it runs */
	int (*run)(struct server *srv, char **word, cJSON *to, struct ne_error *err);
	const char *usage;
} commands[] = {
	{"status", NULL, 1, false, true, do_status, "status"},
	{"models", NULL, 1, false, true, do_models, "models"},
	{"top", NULL, 1, false, true, do_top, "top"},
	{"budget", "get", 2, false, true, do_budget_get, "budget get"},
	{"budget", "set", 4, true, true, do_budget_set, "budget set NAME VALUE"},
	{"load", NULL, 2, true, false, do_load, "load PATH"},
	{"unload", NULL, 2, true, false, do_unload, "unload NAME"},
	{"drain", NULL, 1, true, false, do_drain, "drain"},
};

/* A path may hold spaces: the last word of "load" is the rest of the line. */
static unsigned split(char *text, char *word[MAX_WORDS])
{
	unsigned n = 0;

	while (n < MAX_WORDS) {
		text += strspn(text, " \t\n");
		if (!*text)
			break;
		word[n++] = text;
		if (n == 2 && !strcmp(word[0], "load"))
			break;
		text += strcspn(text, " \t\n");
		if (!*text)
			break;
		*text++ = 0;
	}
	if (n == MAX_WORDS && *(text + strspn(text, " \t\n")))
		n++;
	return n;
}

static const struct command *find_command(char **word, unsigned n, struct ne_error *err)
{
	if (!n) {
		ne_fail(err, EINVAL, "an empty command");
		return NULL;
	}
	for (unsigned i = 0; i < NE_ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->name, word[0]) || (c->sub && (n < 2 || strcmp(c->sub, word[1]))))
			continue;
		if (n == c->words)
			return c;
		ne_fail(err, EINVAL, "usage: %s", c->usage);
		return NULL;
	}
	ne_fail(err, EINVAL,
		"unknown command '%.64s': there are status, models, top, budget get, budget set, "
		"load, unload, drain",
		word[0]);
	return NULL;
}

static int run_command(struct server *srv, const struct command *c, char **word, cJSON *to,
		       struct ne_error *err)
{
	int r;

	pthread_mutex_lock(&srv->lock);
	srv->metrics.commands++;
	if (!c->locks)
		pthread_mutex_unlock(&srv->lock);
	r = c->run(srv, word, to, err);
	if (c->locks)
		pthread_mutex_unlock(&srv->lock);
	return r;
}

int control_run(struct server *srv, uid_t uid, const char *text, char **ret_json,
		struct ne_error *err)
{
	char copy[NEAP_WIRE_MSG_BYTES], *word[MAX_WORDS];
	const struct command *c;
	cJSON *to = cJSON_CreateObject();
	int r;

	snprintf(copy, sizeof(copy), "%s", text);
	c = find_command(word, split(copy, word), err);
	if (!c)
		r = -EINVAL;
	else if (c->mutates && uid != 0 && uid != geteuid())
		r = ne_fail(err, EPERM, "'%s' is for root and the daemon's user alone", c->usage);
	else
		r = run_command(srv, c, word, to, err);
	if (r < 0) {
		cJSON_Delete(to);
		to = cJSON_CreateObject();
		cJSON_AddStringToObject(to, "error", err->text);
	}
	*ret_json = cJSON_PrintUnformatted(to);
	cJSON_Delete(to);
	if (!*ret_json && r >= 0)
		r = ne_fail(err, ENOMEM, "no memory for the answer");
	return r;
}
