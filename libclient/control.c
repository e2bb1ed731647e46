// SPDX-License-Identifier: MIT
/* Commands to the daemon: a line of text there, a JSON text back in a sealed memfd. */
#include <string.h>
#include <unistd.h>

#include "libclient/internal.h"

int neap_control(struct neap *n, const char *command, char **ret_json)
{
	struct neap_msg_control m = {.h.type = NEAP_MSG_CONTROL};
	size_t len = strlen(command);
	int ret, fd;

	if (!len || len >= sizeof(m.text))
		return client_fail(n, -EINVAL, "a command has 1 to %zu characters",
				   sizeof(m.text) - 1);
	memcpy(m.text, command, len + 1);
	/* Not repeated when the daemon dies over it: it may have been carried out. */
	ret = client_session_call(n, &m.h, sizeof(m.h) + len + 1, -1, CLIENT_CONTROL_NS);
	if (ret < 0)
		return ret;
	fd = client_session_take_fd(n, 0);
	ret = client_region_read(fd, NEAP_WIRE_JSON_BYTES, ret_json);
	if (fd >= 0)
		close(fd);
	if (ret < 0)
		return client_fail(n, ret, "the daemon's answer is not a sealed text: %s",
				   strerror(-ret));
	return 0;
}
