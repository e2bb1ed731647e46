// SPDX-License-Identifier: MIT
/* Asking the daemon, and saying what to do where it does not answer. */
#include "tools/neapctl/ctl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "neap/neap.h"

static void explain(int error, const char *detail, char *why, size_t bytes)
{
	const char *more = "";

	if (error == -EPERM)
		more = " (try sudo)";
	snprintf(why, bytes, "%s%s", *detail ? detail : neap_strerror(error), more);
}

int ctl_ask(const struct ctl *c, const char *command, cJSON **ret, char *why, size_t why_bytes)
{
	struct neap_options opt = {
		.socket = c->socket, .name = "neapctl", .no_reconnect = true, .entries = 8};
	struct neap *n;
	char *text = NULL;
	cJSON *j;
	int r = neap_connect(&opt, &n);

	if (r < 0) {
		explain(r, neap_last_error(NULL), why, why_bytes);
		return r;
	}
	r = neap_control(n, command, &text);
	if (r < 0)
		explain(r, neap_last_error(n), why, why_bytes);
	neap_close(n);
	if (r < 0)
		return r;
	j = cJSON_Parse(text);
	free(text);
	if (!cJSON_IsObject(j)) {
		cJSON_Delete(j);
		snprintf(why, why_bytes,
			 "the daemon's answer is not JSON; is it of another version "
			 "than this neapctl (%s)?",
			 neap_version());
		return -EBADMSG;
	}
	*ret = j;
	return 0;
}

int ctl_ask_or_tell(const struct ctl *c, const char *command, cJSON **ret)
{
	char why[512];

	if (ctl_ask(c, command, ret, why, sizeof(why)) < 0) {
		fprintf(stderr, "neapctl: %s\n", why);
		return CTL_FAILED;
	}
	return CTL_OK;
}

int ctl_print_json(const cJSON *j)
{
	char *text = cJSON_Print(j);

	if (!text) {
		fprintf(stderr, "neapctl: out of memory\n");
		return CTL_FAILED;
	}
	puts(text);
	free(text);
	return CTL_OK;
}

double ctl_number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? v->valuedouble : (double)NAN;
}

const char *ctl_text(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

bool ctl_true(const cJSON *o, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, key));
}
