/* SPDX-License-Identifier: MIT */
/* The hottest thermal zone, in millidegrees Celsius. */
#include "daemon/sensors/sensor.h"

#include <stdio.h>
#include <unistd.h>

#define MAX_ZONES 32

struct thermal {
	unsigned n;
	int fd[MAX_ZONES];
};

static int thermal_find(void *priv, const char *sysroot, char detail[SENSOR_DETAIL_BYTES])
{
	struct thermal *t = priv;

	t->n = 0;
	for (unsigned i = 0; i < MAX_ZONES; i++) {
		int fd = sensor_open(sysroot, "/sys/class/thermal/thermal_zone%u/temp", i);

		if (fd >= 0)
			t->fd[t->n++] = fd;
	}
	snprintf(detail, SENSOR_DETAIL_BYTES, t->n ? "%u zones" : "no thermal zone", t->n);
	return t->n ? 0 : -ENOENT;
}

static int thermal_read(void *priv, int64_t now_us, struct sensor_values *ret)
{
	struct thermal *t = priv;
	int64_t v;

	(void)now_us;
	/* A zone may refuse to be read for a while (its device sleeps): that is no reading. */
	for (unsigned i = 0; i < t->n; i++)
		if (sensor_number(t->fd[i], &v) == 0 && v > INT32_MIN && v < INT32_MAX)
			ret->temperature_mc = NE_MAX(ret->temperature_mc, (int32_t)v);
	return 0;
}

static void thermal_close(void *priv)
{
	struct thermal *t = priv;

	for (unsigned i = 0; i < t->n; i++)
		close(t->fd[i]);
}

const struct sensor_ops sensor_thermal = {
	.name = "thermal",
	.priv_bytes = sizeof(struct thermal),
	.find = thermal_find,
	.read = thermal_read,
	.close = thermal_close,
};
