/* SPDX-License-Identifier: MIT */
/* The table of sensors. Owns each sensor's state; files stay open and are read again by pread. */
#include "daemon/sensors/sensor.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static const struct sensor_ops *const table[] = {
	&sensor_psi,    &sensor_load,    &sensor_supply, &sensor_thermal,
	&sensor_energy, &sensor_cpufreq, &sensor_module,
};

#define N_SENSORS NE_ARRAY_SIZE(table)

struct sensors {
	char *sysroot;
	int watch_fd; /* epoll set of what the sensors' watch() put there; -1: none */
	struct slot {
		void *priv;
		bool present;
		int64_t retry_us; /* when to look again */
		char detail[SENSOR_DETAIL_BYTES];
	} slot[N_SENSORS];
};

int sensor_open(const char *sysroot, const char *fmt, ...)
{
	char rel[SENSOR_PATH_BYTES], path[SENSOR_PATH_BYTES];
	va_list ap;
	int n, fd;

	va_start(ap, fmt);
	n = vsnprintf(rel, sizeof(rel), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(rel))
		return -ENAMETOOLONG;
	n = snprintf(path, sizeof(path), "%s%s", sysroot, rel);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int sensor_text(int fd, char *ret, size_t bytes)
{
	ssize_t n = pread(fd, ret, bytes - 1, 0);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

int sensor_number(int fd, int64_t *ret)
{
	char text[64], *end;
	long long v;

	NE_RETURN_IF(sensor_text(fd, text, sizeof(text)));
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return -EINVAL;
	*ret = v;
	return 0;
}

int sensor_text_at(const char *sysroot, char *ret, size_t bytes, const char *fmt, ...)
{
	char rel[SENSOR_PATH_BYTES];
	va_list ap;
	int fd, r;

	va_start(ap, fmt);
	r = vsnprintf(rel, sizeof(rel), fmt, ap);
	va_end(ap);
	if (r < 0 || (size_t)r >= sizeof(rel))
		return -ENAMETOOLONG;
	fd = sensor_open(sysroot, "%s", rel);
	if (fd < 0)
		return fd;
	r = sensor_text(fd, ret, bytes);
	close(fd);
	return r;
}

static void look_for(struct sensors *s, unsigned i)
{
	struct slot *slot = &s->slot[i];

	slot->detail[0] = '\0';
	slot->present = table[i]->find(slot->priv, s->sysroot, slot->detail) == 0;
	if (slot->present && table[i]->watch && s->watch_fd >= 0)
		table[i]->watch(slot->priv, s->watch_fd);
}

int sensors_new(const char *sysroot, struct sensors **ret, struct ne_error *err)
{
	struct sensors *s = calloc(1, sizeof(*s));

	if (!s)
		return ne_fail(err, ENOMEM, "sensors: out of memory");
	s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	s->sysroot = strdup(sysroot ? sysroot : "");
	if (!s->sysroot)
		goto nomem;
	for (unsigned i = 0; i < N_SENSORS; i++) {
		s->slot[i].priv = calloc(1, table[i]->priv_bytes);
		if (!s->slot[i].priv)
			goto nomem;
		look_for(s, i);
	}
	*ret = s;
	return 0;
nomem:
	sensors_free(s);
	return ne_fail(err, ENOMEM, "sensors: out of memory");
}

void sensors_free(struct sensors *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < N_SENSORS; i++) {
		if (s->slot[i].present)
			table[i]->close(s->slot[i].priv);
		free(s->slot[i].priv);
	}
	if (s->watch_fd >= 0)
		close(s->watch_fd);
	free(s->sysroot);
	free(s);
}

void sensors_read(struct sensors *s, int64_t now_us, struct sensor_values *ret)
{
	*ret = (struct sensor_values){
		.supply = {.charge_permille = 1000},
		.draw_mw = -1,
		.load1 = -1,
		.psi_cpu_some = -1,
		.temperature_mc = INT32_MIN,
		.power_mw = -1,
	};
	for (unsigned i = 0; i < N_SENSORS; i++) {
		struct slot *slot = &s->slot[i];

		if (!slot->present && now_us >= slot->retry_us) {
			look_for(s, i);
			slot->retry_us = now_us + SENSOR_RETRY_US;
		}
		if (slot->present && table[i]->read(slot->priv, now_us, ret) < 0) {
			table[i]->close(slot->priv);
			memset(slot->priv, 0, table[i]->priv_bytes);
			slot->present = false;
			snprintf(slot->detail, sizeof(slot->detail), "went away");
		}
	}
}

int sensors_fd(const struct sensors *s)
{
	return s->watch_fd;
}

int sensors_info(const struct sensors *s, unsigned i, struct sensor_info *ret)
{
	if (i >= N_SENSORS)
		return -ENOENT;
	*ret = (struct sensor_info){
		.name = table[i]->name,
		.present = s->slot[i].present,
		.detail = s->slot[i].detail,
	};
	return 0;
}
