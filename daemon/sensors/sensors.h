/* SPDX-License-Identifier: MIT */
/*
 * What the daemon knows of the machine. Each sensor is one file and one line in the table of
 * sensors.c; each reads below a system root so that tests can point it at a fake tree.
 */
#ifndef NEAPD_SENSORS_H
#define NEAPD_SENSORS_H

#include "engine/governor/governor.h"

struct sensors;

struct sensor_values {
	struct ne_gov_supply supply;
	bool supply_known;      /* false: no supply found, taken as mains */
	int32_t draw_mw;        /* of the battery while discharging; -1 = unknown */
	float load1;            /* load average, 1 minute; < 0 = unknown */
	float psi_cpu_some;     /* share of time, 0..1, 10 s average; < 0 = unknown */
	int32_t temperature_mc; /* hottest zone, millidegrees; INT32_MIN = unknown */
	int32_t power_mw;       /* of the package, from an energy counter; -1 = unknown */
	uint32_t cpu_khz;       /* mean of scaling_cur_freq; 0 = unknown */
};

/* @sysroot: prefix of /proc and /sys; "" = the real ones. Finds what is there; never fails for an
 * absent sensor. */
int sensors_new(const char *sysroot, struct sensors **ret, struct ne_error *err);
void sensors_free(struct sensors *s);

/* Reads all sensors (a few preads, about 10 us); looks for new supplies where there are none. */
void sensors_read(struct sensors *s, int64_t now_us, struct sensor_values *ret);

/* Readable (POLLIN) when something changed that cannot wait for the next look: then sensors_read().
 * -1: nothing tells. */
int sensors_fd(const struct sensors *s);

/* Names and states for `neapctl status`: -ENOENT past the last. */
struct sensor_info {
	const char *name; /* "psi", "load", "supply", "thermal", "energy", "cpufreq",
			   * "module" */
	bool present;
	const char *detail; /* path or reason */
};
int sensors_info(const struct sensors *s, unsigned i, struct sensor_info *ret);

#endif
