/* SPDX-License-Identifier: MIT */
/* Mean clock of the CPUs, in kHz, from cpufreq's policies. */
#include "daemon/sensors/sensor.h"

#include <stdio.h>
#include <unistd.h>

#define MAX_POLICIES 64

struct cpufreq {
	unsigned n;
	int fd[MAX_POLICIES];
};

static int cpufreq_find(void *priv, const char *sysroot, char detail[SENSOR_DETAIL_BYTES])
{
	struct cpufreq *c = priv;

	c->n = 0;
	for (unsigned i = 0; i < MAX_POLICIES; i++) {
		int fd = sensor_open(
			sysroot, "/sys/devices/system/cpu/cpufreq/policy%u/scaling_cur_freq", i);

		if (fd >= 0)
			c->fd[c->n++] = fd;
	}
	snprintf(detail, SENSOR_DETAIL_BYTES, c->n ? "%u policies" : "no cpufreq policy", c->n);
	return c->n ? 0 : -ENOENT;
}

static int cpufreq_read(void *priv, int64_t now_us, struct sensor_values *ret)
{
	struct cpufreq *c = priv;
	int64_t v, sum = 0;
	unsigned n = 0;

	(void)now_us;
	for (unsigned i = 0; i < c->n; i++) {
		if (sensor_number(c->fd[i], &v) == 0 && v > 0 && v < INT32_MAX) {
			sum += v;
			n++;
		}
	}
	ret->cpu_khz = n ? (uint32_t)(sum / n) : 0;
	return 0;
}

static void cpufreq_close(void *priv)
{
	struct cpufreq *c = priv;

	for (unsigned i = 0; i < c->n; i++)
		close(c->fd[i]);
}

const struct sensor_ops sensor_cpufreq = {
	.name = "cpufreq",
	.priv_bytes = sizeof(struct cpufreq),
	.find = cpufreq_find,
	.read = cpufreq_read,
	.close = cpufreq_close,
};
