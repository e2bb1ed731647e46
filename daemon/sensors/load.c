/* SPDX-License-Identifier: MIT */
/* The load average of one minute. */
#include "daemon/sensors/sensor.h"

#include <stdio.h>
#include <unistd.h>

struct load {
	int fd;
};

static int load_find(void *priv, const char *sysroot, char detail[SENSOR_DETAIL_BYTES])
{
	struct load *l = priv;

	snprintf(detail, SENSOR_DETAIL_BYTES, "/proc/loadavg");
	l->fd = sensor_open(sysroot, "/proc/loadavg");
	return l->fd < 0 ? l->fd : 0;
}

static int load_read(void *priv, int64_t now_us, struct sensor_values *ret)
{
	struct load *l = priv;
	char text[64];
	float load1;

	(void)now_us;
	NE_RETURN_IF(sensor_text(l->fd, text, sizeof(text)));
	if (sscanf(text, "%f", &load1) == 1)
		ret->load1 = load1;
	return 0;
}

static void load_close(void *priv)
{
	close(((struct load *)priv)->fd);
}

const struct sensor_ops sensor_load = {
	.name = "load",
	.priv_bytes = sizeof(struct load),
	.find = load_find,
	.read = load_read,
	.close = load_close,
};
