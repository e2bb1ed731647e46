// SPDX-License-Identifier: MIT
/* Commands to the daemon: a line of text there, a JSON text back in a sealed memfd. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/internal.h"

/*
 * The text of {"error": "why"} to neap_last_error(). Only this shape, which the protocol fixes: the
 * library has no other use for a JSON reader. Escapes other than \" and \\ become spaces.
 */
static void take_reason(struct neap *n, const char *json)
{
	const char *p = strstr(json, "\"error\"");
	char text[sizeof(n->error)];
	size_t len = 0;

	p = p ? strchr(p + strlen("\"error\""), '"') : NULL;
	if (!p)
		return;
	for (p++; *p && *p != '"' && len < sizeof(text) - 1; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			text[len++] = (*p == '"' || *p == '\\' || *p == '/') ? *p : ' ';
		} else {
			text[len++] = *p;
		}
	}
	text[len] = 0;
	if (len)
		client_fail(n, 0, "%s", text);
}

int neap_control(struct neap *n, const char *command, char **ret_json)
{
	struct neap_msg_control m = {.h.type = NEAP_MSG_CONTROL};
	size_t len = strlen(command);
	char *json = NULL;
	int ret, got, fd;

	if (!len || len >= sizeof(m.text))
		return client_fail(n, -EINVAL, "a command has 1 to %zu characters",
				   sizeof(m.text) - 1);
	memcpy(m.text, command, len + 1);
	/* Not repeated when the daemon dies over it: it may have been carried out. */
	ret = client_session_call(n, &m.h, sizeof(m.h) + len + 1, -1, CLIENT_CONTROL_NS);
	if (ret == -ECONNRESET || ret == -ETIMEDOUT)
		return ret;
	fd = client_session_take_fd(n, 0);
	got = client_region_read(fd, NEAP_WIRE_JSON_BYTES, &json);
	if (fd >= 0)
		close(fd);
	if (ret < 0) {
		if (!got)
			take_reason(n, json);
		free(json);
		return ret;
	}
	if (got < 0)
		return client_fail(n, got, "the daemon's answer is not a sealed text: %s",
				   strerror(-got));
	*ret_json = json;
	return 0;
}
