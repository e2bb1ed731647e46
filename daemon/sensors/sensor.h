/* SPDX-License-Identifier: MIT */
/* What one sensor is, and helpers for reading small files below the system root. */
#ifndef NEAPD_SENSOR_H
#define NEAPD_SENSOR_H

#include "daemon/sensors/sensors.h"

#define SENSOR_PATH_BYTES   512
#define SENSOR_DETAIL_BYTES 320

/*
 * A sensor keeps its state in @priv (owned by the table, freed with free() after close()). find()
 * opens what there is: 0, or -ENOENT with the reason in @detail; it is called again every
 * SENSOR_RETRY_US while it fails. read() fills its fields of the values; < 0 = it went away. watch(),
 * which may be NULL, is called after find(): it puts into the epoll set what tells of a change, until
 * read() has looked.
 */
struct sensor_ops {
	const char *name;
	size_t priv_bytes;
	int (*find)(void *priv, const char *sysroot, char detail[SENSOR_DETAIL_BYTES]);
	int (*read)(void *priv, int64_t now_us, struct sensor_values *ret);
	void (*close)(void *priv);
	void (*watch)(void *priv, int epoll_fd);
};

#define SENSOR_RETRY_US 10000000

extern const struct sensor_ops sensor_psi, sensor_load, sensor_supply, sensor_thermal,
	sensor_energy, sensor_cpufreq, sensor_module;

/* Opens SYSROOT/PATH read-only; a negative errno. */
int sensor_open(const char *sysroot, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads an open file again from its start into a string without its line end. */
int sensor_text(int fd, char *ret, size_t bytes);
int sensor_number(int fd, int64_t *ret);
/* Reads SYSROOT/PATH once. */
int sensor_text_at(const char *sysroot, char *ret, size_t bytes, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
