// SPDX-License-Identifier: MIT
/* The text of neapctl top: the same on the screen and with --once. */
#include "tools/neapctl/ctl.h"

#include <math.h>

#define BAR 30

static double sum(const cJSON *list)
{
	double s = 0;
	const cJSON *v;

	cJSON_ArrayForEach(v, list) if (cJSON_IsNumber(v)) s += v->valuedouble;
	return s;
}

static void render_models(const cJSON *list, FILE *to)
{
	struct table *t = table_new("MODEL|>PER SECOND|>ANSWERED|>LEVEL|REASON|>P50|>P99|>IN TIME|"
				    ">DEGRADED");
	const cJSON *m;

	cJSON_ArrayForEach(m, list)
	{
		table_row(t);
		table_cell(t, "%s", ctl_text(m, "name"));
		table_number(t, ctl_number(m, "per_s"), 1, "");
		table_number(t, ctl_number(m, "answered"), 0, "");
		table_number(t, ctl_number(m, "last_level"), 0, "");
		table_cell(t, "%s", ctl_text(m, "last_reason"));
		table_number(t, ctl_number(m, "p50_us"), 0, " us");
		table_number(t, ctl_number(m, "p99_us"), 0, " us");
		table_number(t, ctl_number(m, "deadline_hit_rate") * 100, 1, " %");
		table_number(t, ctl_number(m, "degraded"), 0, "");
	}
	table_print(t, to);
}

/* Shares of the levels and of the reasons since the daemon started. */
static void render_shares(const cJSON *m, FILE *to)
{
	const cJSON *levels = cJSON_GetObjectItemCaseSensitive(m, "levels");
	const cJSON *reasons = cJSON_GetObjectItemCaseSensitive(m, "reasons"), *v;
	double all = sum(levels);
	struct table *t;
	int i = 0;

	if (!(all > 0))
		return;
	t = table_new("LEVELS|>SHARE|");
	cJSON_ArrayForEach(v, levels)
	{
		double share = cJSON_IsNumber(v) ? v->valuedouble / all : 0;

		if (share > 0) {
			table_row(t);
			table_cell(t, "%s %d", ctl_text(m, "name"), i);
			table_number(t, share * 100, 1, " %");
			table_cell(t, "%s", table_bar(share, BAR));
		}
		i++;
	}
	all = sum(reasons);
	cJSON_ArrayForEach(v, reasons)
	{
		if (!cJSON_IsNumber(v) || !(v->valuedouble > 0))
			continue;
		table_row(t);
		table_cell(t, "  %s", v->string ? v->string : "");
		table_number(t, v->valuedouble / all * 100, 1, " %");
		table_cell(t, "%s", table_bar(v->valuedouble / all, BAR));
	}
	fputc('\n', to);
	table_print(t, to);
}

static void render_sessions(const cJSON *list, FILE *to)
{
	struct table *t = table_new("CLIENT|>PID|>UID|>PER SECOND|>ANSWERED|>FAILED|>IN FLIGHT|"
				    ">SHARED|>LEVEL|REASON|>P50|>P99");
	const cJSON *s;

	cJSON_ArrayForEach(s, list)
	{
		table_row(t);
		table_cell(t, "%s", ctl_text(s, "name"));
		table_number(t, ctl_number(s, "pid"), 0, "");
		table_number(t, ctl_number(s, "uid"), 0, "");
		table_number(t, ctl_number(s, "per_s"), 1, "");
		table_number(t, ctl_number(s, "answered"), 0, "");
		table_number(t, ctl_number(s, "failed"), 0, "");
		table_number(t, ctl_number(s, "in_flight"), 0, "");
		table_number(t, ctl_number(s, "shared_bytes") / 1024, 0, " K");
		table_number(t, ctl_number(s, "last_level"), 0, "");
		table_cell(t, "%s", ctl_text(s, "last_reason"));
		table_number(t, ctl_number(s, "p50_us"), 0, " us");
		table_number(t, ctl_number(s, "p99_us"), 0, " us");
	}
	table_print(t, to);
}

void top_render(const cJSON *top, FILE *to)
{
	const cJSON *models = cJSON_GetObjectItemCaseSensitive(top, "models"), *m;
	const cJSON *sessions = cJSON_GetObjectItemCaseSensitive(top, "sessions");

	fprintf(to, "supply: %s   in flight: %.0f   clients: %d\n\n", ctl_text(top, "supply"),
		ctl_number(top, "in_flight"), cJSON_GetArraySize(sessions));
	render_models(models, to);
	cJSON_ArrayForEach(m, models) render_shares(m, to);
	fputc('\n', to);
	render_sessions(sessions, to);
}
