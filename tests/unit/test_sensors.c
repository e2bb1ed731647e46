/* SPDX-License-Identifier: MIT */
/* Sensors read from a fake /proc and /sys tree, with values taken from real machines. */
#include "daemon/sensors/sensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char root[64];

/* Writes ROOT/PATH, making its folders. */
static void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/neap-sysroot-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static struct sensor_values read_once(void)
{
	struct sensor_values v;
	struct sensors *s;

	assert_int_equal(sensors_new(root, &s, NULL), 0);
	sensors_read(s, 1000000, &v);
	sensors_free(s);
	return v;
}

static void nothing_there_is_mains_without_end(void **state)
{
	struct sensor_values v = read_once();

	(void)state;
	assert_false(v.supply_known);
	assert_false(v.supply.on_battery);
	assert_int_equal(v.supply.charge_permille, 1000);
	assert_true(v.load1 < 0 && v.psi_cpu_some < 0);
	assert_int_equal(v.temperature_mc, INT32_MIN);
	assert_int_equal(v.power_mw, -1);
}

static void load_and_pressure(void **state)
{
	struct sensor_values v;

	(void)state;
	put("/proc/loadavg", "1.57 0.90 0.41 3/412 90211\n");
	put("/proc/pressure/cpu", "some avg10=10.62 avg60=3.98 avg300=1.13 total=5662156\n"
				  "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	v = read_once();
	assert_true(fabsf(v.load1 - 1.57f) < 1e-4f);
	assert_true(fabsf(v.psi_cpu_some - 0.1062f) < 1e-5f);
}

#define CLASS "/sys/class/power_supply"

static void battery_by_energy(void **state)
{
	struct sensor_values v;

	(void)state;
	put(CLASS "/AC/type", "Mains\n");
	put(CLASS "/AC/online", "0\n");
	put(CLASS "/BAT0/type", "Battery\n");
	put(CLASS "/BAT0/status", "Discharging\n");
	put(CLASS "/BAT0/capacity", "37\n");
	put(CLASS "/BAT0/energy_full", "20000000\n");
	put(CLASS "/BAT0/power_now", "4200000\n");
	v = read_once();
	assert_true(v.supply_known && v.supply.on_battery);
	assert_int_equal(v.supply.charge_permille, 370);
	assert_int_equal(v.supply.capacity_mwh, 20000);
	assert_int_equal(v.draw_mw, 4200);
	put(CLASS "/AC/online", "1\n");
	put(CLASS "/BAT0/status", "Charging\n");
	v = read_once();
	assert_false(v.supply.on_battery);
	assert_int_equal(v.draw_mw, -1);
}

/* A Pi with a UPS HAT: no mains supply, charge in uAh, negative current while discharging. */
static void battery_by_charge(void **state)
{
	struct sensor_values v;

	(void)state;
	put(CLASS "/hat/type", "Battery\n");
	put(CLASS "/hat/status", "Discharging\n");
	put(CLASS "/hat/capacity", "80\n");
	put(CLASS "/hat/charge_full", "5000000\n");
	put(CLASS "/hat/voltage_now", "3700000\n");
	put(CLASS "/hat/current_now", "-1000000\n");
	v = read_once();
	assert_true(v.supply.on_battery);
	assert_int_equal(v.supply.capacity_mwh, 18500);
	assert_int_equal(v.draw_mw, 3700);
}

static void a_mouse_is_no_supply(void **state)
{
	struct sensor_values v;

	(void)state;
	put(CLASS "/hid-mouse/type", "Battery\n");
	put(CLASS "/hid-mouse/scope", "Device\n");
	put(CLASS "/hid-mouse/status", "Discharging\n");
	put(CLASS "/hid-mouse/capacity", "5\n");
	v = read_once();
	assert_false(v.supply_known);
	assert_false(v.supply.on_battery);
}

static void nonsense_does_no_harm(void **state)
{
	struct sensor_values v;

	(void)state;
	put("/proc/loadavg", "");
	put("/proc/pressure/cpu", "\xff\xfe");
	put(CLASS "/B/type", "Battery\n");
	put(CLASS "/B/status", "Discharging\n");
	put(CLASS "/B/capacity", "4000\n");
	put(CLASS "/B/energy_full", "9223372036854775807\n");
	put(CLASS "/B/power_now", "-9223372036854775809\n");
	put("/sys/class/thermal/thermal_zone0/temp", "99999999999999999999\n");
	v = read_once();
	assert_int_equal(v.supply.charge_permille, 1000);
	assert_true(v.load1 < 0 && v.psi_cpu_some < 0);
}

static void hottest_zone_and_mean_clock(void **state)
{
	struct sensor_values v;

	(void)state;
	put("/sys/class/thermal/thermal_zone0/temp", "41000\n");
	put("/sys/class/thermal/thermal_zone3/temp", "67500\n");
	put("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "600000\n");
	put("/sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq", "1800000\n");
	v = read_once();
	assert_int_equal(v.temperature_mc, 67500);
	assert_int_equal(v.cpu_khz, 1200000);
}

static void energy_counter_gives_power_and_wraps(void **state)
{
	struct sensor_values v;
	struct sensors *s;

	(void)state;
	put("/sys/class/powercap/intel-rapl:0/max_energy_range_uj", "1000000\n");
	put("/sys/class/powercap/intel-rapl:0/energy_uj", "900000\n");
	assert_int_equal(sensors_new(root, &s, NULL), 0);
	sensors_read(s, 1000000, &v);
	assert_int_equal(v.power_mw, -1); /* one reading of a counter says nothing */
	put("/sys/class/powercap/intel-rapl:0/energy_uj", "950000\n");
	sensors_read(s, 1010000, &v);
	assert_int_equal(v.power_mw, 5000); /* 50 mJ in 10 ms */
	put("/sys/class/powercap/intel-rapl:0/energy_uj", "50000\n");
	sensors_read(s, 1020000, &v);
	assert_int_equal(v.power_mw, 10000);
	sensors_free(s);
}

static void a_supply_that_appears_is_found(void **state)
{
	struct sensor_values v;
	struct sensor_info info;
	struct sensors *s;
	unsigned present = 0;

	(void)state;
	assert_int_equal(sensors_new(root, &s, NULL), 0);
	sensors_read(s, 0, &v);
	assert_false(v.supply_known);
	put(CLASS "/BAT0/type", "Battery\n");
	put(CLASS "/BAT0/status", "Discharging\n");
	put(CLASS "/BAT0/capacity", "50\n");
	sensors_read(s, 60000000, &v);
	assert_true(v.supply_known && v.supply.on_battery);
	for (unsigned i = 0; sensors_info(s, i, &info) == 0; i++)
		present += info.present;
	assert_int_equal(present, 1);
	sensors_free(s);
}

#define SUPPLY "/sys/devices/virtual/misc/neap/supply"

static void put_module(const char *source, const char *charge, const char *left, const char *draw)
{
	put(SUPPLY "/source", source);
	put(SUPPLY "/charge_permille", charge);
	put(SUPPLY "/energy_mwh", left);
	put(SUPPLY "/draw_mw", draw);
}

static void the_module_tells_the_supply(void **state)
{
	struct sensor_values v;

	(void)state;
	put_module("battery\n", "250\n", "5000\n", "3300\n");
	v = read_once();
	assert_true(v.supply_known && v.supply.on_battery);
	assert_int_equal(v.supply.charge_permille, 250);
	assert_int_equal(v.supply.capacity_mwh, 20000); /* a quarter is left: 5 Wh */
	assert_int_equal(v.draw_mw, 3300);
	put_module("mains\n", "1000\n", "0\n", "0\n");
	v = read_once();
	assert_true(v.supply_known);
	assert_false(v.supply.on_battery);
	assert_int_equal(v.supply.capacity_mwh, 0);
	assert_int_equal(v.draw_mw, -1);
}

/* "unknown" says nothing, so what the class says stays. */
static void the_module_wins_unless_it_does_not_know(void **state)
{
	struct sensor_values v;

	(void)state;
	put(CLASS "/BAT0/type", "Battery\n");
	put(CLASS "/BAT0/status", "Discharging\n");
	put(CLASS "/BAT0/capacity", "50\n");
	put_module("unknown\n", "1000\n", "0\n", "0\n");
	v = read_once();
	assert_true(v.supply.on_battery);
	assert_int_equal(v.supply.charge_permille, 500);
	put_module("mains\n", "510\n", "0\n", "0\n");
	v = read_once();
	assert_false(v.supply.on_battery);
	assert_int_equal(v.supply.charge_permille, 510);
}

static void a_module_that_talks_nonsense_goes_away(void **state)
{
	struct sensor_values v;

	(void)state;
	put_module("battery\n", "two\n", "-5\n", "99999999999999999999\n");
	v = read_once();
	assert_false(v.supply_known);
	put_module("battery\n", "4000\n", "9223372036854775807\n", "-1\n");
	v = read_once();
	assert_true(v.supply.on_battery);
	assert_int_equal(v.supply.charge_permille, 1000);
	assert_int_equal(v.draw_mw, -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_there_is_mains_without_end),
		TEST(load_and_pressure),
		TEST(battery_by_energy),
		TEST(battery_by_charge),
		TEST(a_mouse_is_no_supply),
		TEST(nonsense_does_no_harm),
		TEST(hottest_zone_and_mean_clock),
		TEST(energy_counter_gives_power_and_wraps),
		TEST(a_supply_that_appears_is_found),
		TEST(the_module_tells_the_supply),
		TEST(the_module_wins_unless_it_does_not_know),
		TEST(a_module_that_talks_nonsense_goes_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
