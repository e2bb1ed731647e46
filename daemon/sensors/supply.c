/* SPDX-License-Identifier: MIT */
/*
 * Mains and battery from the power_supply class (Documentation/ABI/testing/sysfs-class-power):
 * capacities in microwatt-hours or microampere-hours, power in microwatts, current in microamperes,
 * voltage in microvolts. On battery = a system battery discharges, or no mains is online while a
 * battery is there. Batteries of devices (scope Device: mice, headsets) do not count.
 */
#include "daemon/sensors/sensor.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLASS        "/sys/class/power_supply"
#define MAX_SUPPLIES 8

struct supply {
	char sysroot[SENSOR_PATH_BYTES];
	unsigned n_battery, n_mains;
	char battery[MAX_SUPPLIES][64], mains[MAX_SUPPLIES][64];
};

static bool number_at(const struct supply *s, const char *name, const char *file, int64_t *ret)
{
	char text[64], *end;

	if (sensor_text_at(s->sysroot, text, sizeof(text), CLASS "/%s/%s", name, file) < 0)
		return false;
	*ret = NE_MAX(strtoll(text, &end, 10), -INT64_MAX); /* so that llabs() is safe */
	return end != text && *end == '\0';
}

static bool text_is(const struct supply *s, const char *name, const char *file, const char *want)
{
	char text[64];

	return sensor_text_at(s->sysroot, text, sizeof(text), CLASS "/%s/%s", name, file) == 0 &&
	       !strcmp(text, want);
}

static void classify(struct supply *s, const char *name)
{
	if (strlen(name) >= sizeof(s->battery[0]) || text_is(s, name, "scope", "Device"))
		return;
	if (text_is(s, name, "type", "Battery") || text_is(s, name, "type", "UPS")) {
		if (s->n_battery < MAX_SUPPLIES)
			strcpy(s->battery[s->n_battery++], name);
	} else if (text_is(s, name, "type", "Mains") || text_is(s, name, "type", "USB") ||
		   text_is(s, name, "type", "Wireless")) {
		if (s->n_mains < MAX_SUPPLIES)
			strcpy(s->mains[s->n_mains++], name);
	}
}

static int supply_find(void *priv, const char *sysroot, char detail[SENSOR_DETAIL_BYTES])
{
	struct supply *s = priv;
	char path[SENSOR_PATH_BYTES];
	struct dirent *e;
	DIR *dir;

	memset(s, 0, sizeof(*s));
	if ((size_t)snprintf(path, sizeof(path), "%s" CLASS, sysroot) >= sizeof(path))
		return -ENAMETOOLONG;
	strcpy(s->sysroot, sysroot);
	dir = opendir(path);
	if (!dir) {
		snprintf(detail, SENSOR_DETAIL_BYTES, "no " CLASS);
		return -ENOENT;
	}
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			classify(s, e->d_name);
	closedir(dir);
	if (!s->n_battery && !s->n_mains) {
		snprintf(detail, SENSOR_DETAIL_BYTES,
			 "nothing in " CLASS ": taken as mains without end");
		return -ENOENT;
	}
	snprintf(detail, SENSOR_DETAIL_BYTES, "%.64s%s%.64s", s->n_mains ? s->mains[0] : "no mains",
		 ", ", s->n_battery ? s->battery[0] : "no battery");
	return 0;
}

/* Milliwatt-hours of a battery when full; 0 = unknown. */
static int64_t full_mwh(const struct supply *s, const char *name)
{
	int64_t v, uv;

	if (number_at(s, name, "energy_full", &v) || number_at(s, name, "energy_full_design", &v))
		return v > 0 ? v / 1000 : 0;
	if ((number_at(s, name, "charge_full", &v) ||
	     number_at(s, name, "charge_full_design", &v)) &&
	    (number_at(s, name, "voltage_min_design", &uv) ||
	     number_at(s, name, "voltage_now", &uv)) &&
	    v > 0 && uv > 0 && v < INT64_C(1) << 31 && uv < INT64_C(1) << 31)
		return v * uv / 1000000000; /* uAh * uV = 1e-12 Wh */
	return 0;
}

static int64_t draw_mw(const struct supply *s, const char *name)
{
	int64_t v, uv;

	if (number_at(s, name, "power_now", &v))
		return llabs(v) / 1000;
	if (number_at(s, name, "current_now", &v) && number_at(s, name, "voltage_now", &uv) &&
	    llabs(v) < INT64_C(1) << 31 && uv > 0 && uv < INT64_C(1) << 31)
		return llabs(v) * uv / 1000000000; /* uA * uV = 1e-12 W */
	return -1;
}

static int supply_read(void *priv, int64_t now_us, struct sensor_values *ret)
{
	struct supply *s = priv;
	bool mains_online = false, discharging = false, seen = false;
	int64_t v, charge_sum = 0, mwh, mwh_sum = 0, draw, draw_sum = -1;

	(void)now_us;
	for (unsigned i = 0; i < s->n_mains; i++) {
		if (number_at(s, s->mains[i], "online", &v)) {
			seen = true;
			mains_online |= v != 0;
		}
	}
	for (unsigned i = 0; i < s->n_battery; i++) {
		if (!number_at(s, s->battery[i], "capacity", &v))
			continue;
		seen = true;
		charge_sum += NE_CLAMP(v, 0, 100);
		mwh = full_mwh(s, s->battery[i]);
		mwh_sum += NE_CLAMP(mwh, 0, INT32_MAX / MAX_SUPPLIES);
		discharging |= text_is(s, s->battery[i], "status", "Discharging");
		draw = draw_mw(s, s->battery[i]);
		if (draw >= 0)
			draw_sum = NE_MAX(draw_sum, 0) + NE_MIN(draw, INT32_MAX / MAX_SUPPLIES);
	}
	if (!seen)
		return -ENOENT;
	ret->supply_known = true;
	ret->supply.on_battery = s->n_battery && (discharging || (s->n_mains && !mains_online));
	if (s->n_battery)
		ret->supply.charge_permille = (uint32_t)(charge_sum * 10 / s->n_battery);
	ret->supply.capacity_mwh = (uint32_t)mwh_sum;
	ret->draw_mw = ret->supply.on_battery ? (int32_t)draw_sum : -1;
	return 0;
}

static void supply_close(void *priv)
{
	(void)priv;
}

const struct sensor_ops sensor_supply = {
	.name = "supply",
	.priv_bytes = sizeof(struct supply),
	.find = supply_find,
	.read = supply_read,
	.close = supply_close,
};
