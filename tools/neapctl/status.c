// SPDX-License-Identifier: MIT
/* neapctl status: what runs, with which parts, and what the sensors say. */
#include "tools/neapctl/ctl.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Names and reasons come from elsewhere: no control characters on the terminal. */
static void line(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line(const char *label, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	printf("%-12s%s\n", label, text);
}

static void part(const char *label, const cJSON *o)
{
	const char *why = ctl_text(o, "why");

	line(label, "%s%s%s%s", ctl_text(o, "name"), *why ? " (" : "", why, *why ? ")" : "");
}

static void supply(const cJSON *s)
{
	char text[256];
	size_t n;

	if (!ctl_true(s, "known")) {
		line("supply", "no battery found: taken as mains");
		return;
	}
	n = (size_t)snprintf(text, sizeof(text), "%s", ctl_text(s, "source"));
	if (n >= sizeof(text))
		return;
	if (isfinite(ctl_number(s, "charge_permille")))
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", %.1f %% charged",
				      ctl_number(s, "charge_permille") / 10);
	if (n < sizeof(text) && isfinite(ctl_number(s, "capacity_mwh")))
		n += (size_t)snprintf(text + n, sizeof(text) - n, " of %.1f Wh",
				      ctl_number(s, "capacity_mwh") / 1000);
	if (n < sizeof(text) && isfinite(ctl_number(s, "draw_mw")))
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", drawing %.2f W",
				      ctl_number(s, "draw_mw") / 1000);
	if (n < sizeof(text) && ctl_true(s, "low_battery"))
		snprintf(text + n, sizeof(text) - n, ", at its reserve: smallest levels only");
	line("supply", "%s", text);
}

static void machine(const cJSON *m)
{
	struct table *t = table_new("load|cpu pressure|temperature|power|cpu clock");

	table_number(t, ctl_number(m, "load1"), 2, "");
	table_number(t, ctl_number(m, "psi_cpu_some"), 1, " %");
	table_number(t, ctl_number(m, "temperature_c"), 1, " C");
	table_number(t, ctl_number(m, "power_mw") / 1000, 2, " W");
	table_number(t, ctl_number(m, "cpu_khz") / 1e6, 2, " GHz");
	printf("\n");
	table_print(t, stdout);
}

static void sensors(const cJSON *list)
{
	struct table *t = table_new("sensor|present|detail");
	const cJSON *s;

	cJSON_ArrayForEach(s, list)
	{
		table_row(t);
		table_cell(t, "%s", ctl_text(s, "name"));
		table_cell(t, "%s", ctl_true(s, "present") ? "yes" : "no");
		table_cell(t, "%s", ctl_text(s, "detail"));
	}
	printf("\n");
	table_print(t, stdout);
}

static void counters(const cJSON *o)
{
	const cJSON *v;

	printf("\n");
	cJSON_ArrayForEach(v, o) if (cJSON_IsNumber(v) && v->string)
		printf("%-18s%12.0f\n", v->string, v->valuedouble);
}

static void uptime(double s)
{
	if (s < 120)
		line("up", "%.0f s", s);
	else if (s < 7200)
		line("up", "%.0f min", s / 60);
	else
		line("up", "%.1f h", s / 3600);
}

static void print(const cJSON *j)
{
	line("neapd", "%s, process %.0f, %s", ctl_text(j, "version"), ctl_number(j, "pid"),
	     ctl_text(j, "state"));
	uptime(ctl_number(j, "uptime_s"));
	line("socket", "%s", ctl_text(j, "socket"));
	part("transport", cJSON_GetObjectItemCaseSensitive(j, "transport"));
	part("budgets", cJSON_GetObjectItemCaseSensitive(j, "budgets"));
	part("loop", cJSON_GetObjectItemCaseSensitive(j, "loop"));
	line("kernels", "%s", ctl_text(j, "kernels"));
	line("workers", "%.0f, %.0f idle", ctl_number(j, "workers"), ctl_number(j, "workers_idle"));
	line("memory", "%.1f MB resident, %.1f MB shared with clients",
	     ctl_number(j, "rss_kb") / 1024, ctl_number(j, "shared_bytes") / 1048576);
	line("clients", "%.0f, %.0f requests in flight", ctl_number(j, "sessions"),
	     ctl_number(j, "in_flight"));
	line("time ratio", "%.2f (measured to predicted)", ctl_number(j, "time_ratio"));
	supply(cJSON_GetObjectItemCaseSensitive(j, "supply"));
	machine(cJSON_GetObjectItemCaseSensitive(j, "machine"));
	sensors(cJSON_GetObjectItemCaseSensitive(j, "sensors"));
	counters(cJSON_GetObjectItemCaseSensitive(j, "counters"));
}

int ctl_status(const struct ctl *c, int argc, char **argv)
{
	cJSON *j;
	int r;

	(void)argc;
	(void)argv;
	r = ctl_ask_or_tell(c, "status", &j);
	if (r)
		return r;
	if (c->json)
		r = ctl_print_json(j);
	else
		print(j);
	cJSON_Delete(j);
	return r;
}
