/* SPDX-License-Identifier: MIT */
/* Pressure stall information: the share of time in which some task waited for a CPU. */
#include "daemon/sensors/sensor.h"

#include <stdio.h>
#include <unistd.h>

struct psi {
	int fd;
};

static int psi_find(void *priv, const char *sysroot, char detail[SENSOR_DETAIL_BYTES])
{
	struct psi *p = priv;

	p->fd = sensor_open(sysroot, "/proc/pressure/cpu");
	if (p->fd < 0) {
		snprintf(detail, SENSOR_DETAIL_BYTES, "no /proc/pressure/cpu (boot with psi=1)");
		return p->fd;
	}
	snprintf(detail, SENSOR_DETAIL_BYTES, "/proc/pressure/cpu");
	return 0;
}

static int psi_read(void *priv, int64_t now_us, struct sensor_values *ret)
{
	struct psi *p = priv;
	char text[160];
	float avg10;

	(void)now_us;
	NE_RETURN_IF(sensor_text(p->fd, text, sizeof(text)));
	if (sscanf(text, "some avg10=%f", &avg10) == 1)
		ret->psi_cpu_some = avg10 / 100;
	return 0;
}

static void psi_close(void *priv)
{
	close(((struct psi *)priv)->fd);
}

const struct sensor_ops sensor_psi = {
	.name = "psi",
	.priv_bytes = sizeof(struct psi),
	.find = psi_find,
	.read = psi_read,
	.close = psi_close,
};
