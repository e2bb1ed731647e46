/* SPDX-License-Identifier: MIT */
/*
 * Power of the machine: the package's RAPL counter (powercap, microjoules since some time, wrapping
 * at max_energy_range_uj), else the first hwmon power1_input or power1_average (microwatts).
 */
#include "daemon/sensors/sensor.h"

#include <stdio.h>
#include <unistd.h>

#define MAX_HWMON      16
#define MIN_SPACING_US 1000 /* closer readings of a counter say nothing */

struct energy {
	int fd;
	bool counter;
	int64_t range_uj, last_uj, last_us;
	int32_t power_mw;
};

static int energy_find(void *priv, const char *sysroot, char detail[SENSOR_DETAIL_BYTES])
{
	static const char *const files[] = {"power1_input", "power1_average"};
	struct energy *e = priv;
	int fd;

	*e = (struct energy){.fd = -1, .last_us = -1, .power_mw = -1};
	e->fd = sensor_open(sysroot, "/sys/class/powercap/intel-rapl:0/energy_uj");
	fd = sensor_open(sysroot, "/sys/class/powercap/intel-rapl:0/max_energy_range_uj");
	if (fd >= 0) {
		if (sensor_number(fd, &e->range_uj) < 0)
			e->range_uj = 0;
		close(fd);
	}
	if (e->fd >= 0) {
		e->counter = true;
		snprintf(detail, SENSOR_DETAIL_BYTES, "intel-rapl:0");
		return 0;
	}
	for (unsigned i = 0; i < MAX_HWMON; i++) {
		for (size_t f = 0; f < NE_ARRAY_SIZE(files); f++) {
			e->fd = sensor_open(sysroot, "/sys/class/hwmon/hwmon%u/%s", i, files[f]);
			if (e->fd >= 0) {
				snprintf(detail, SENSOR_DETAIL_BYTES, "hwmon%u/%s", i, files[f]);
				return 0;
			}
		}
	}
	snprintf(detail, SENSOR_DETAIL_BYTES, "no RAPL, no hwmon power: energy is modelled");
	return -ENOENT;
}

static int energy_read(void *priv, int64_t now_us, struct sensor_values *ret)
{
	struct energy *e = priv;
	int64_t v, uj, us;

	NE_RETURN_IF(sensor_number(e->fd, &v));
	if (v < 0)
		return -EINVAL;
	if (!e->counter) {
		e->power_mw = v / 1000 < INT32_MAX ? (int32_t)(v / 1000) : -1;
	} else if (e->last_us < 0 || now_us - e->last_us >= MIN_SPACING_US) {
		us = now_us - e->last_us;
		uj = v - e->last_uj;
		if (uj < 0)
			uj += e->range_uj;
		if (e->last_us >= 0 && uj >= 0 && uj < INT64_MAX / 1000)
			e->power_mw = (int32_t)NE_MIN(uj * 1000 / us, INT32_MAX);
		e->last_uj = v;
		e->last_us = now_us;
	}
	ret->power_mw = e->power_mw;
	return 0;
}

static void energy_close(void *priv)
{
	close(((struct energy *)priv)->fd);
}

const struct sensor_ops sensor_energy = {
	.name = "energy",
	.priv_bytes = sizeof(struct energy),
	.find = energy_find,
	.read = energy_read,
	.close = energy_close,
};
