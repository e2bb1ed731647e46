// SPDX-License-Identifier: MIT
/*
 * The kernel's own fake mains and battery (NEAP_TEST_POWER_KO names test_power.ko), the module and
 * the daemon on the real /sys: when mains are lost and when they come back the daemon knows within a
 * second and answers at another level. It is idle meanwhile, when it looks at its sensors every five
 * seconds only: what it learns sooner it was told.
 */
#include "tests/system/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PARAMETERS "/sys/module/test_power/parameters/"
#define TOLD_MS    1000
#define ROUNDS     3

static struct oracle oracle;
static struct neap *asker; /* stays connected: to connect takes its time on an emulated machine */
static uint64_t seed = 11;

static void set(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0, "%s: %s", path, strerror(errno));
	CHECK(write(fd, value, strlen(value)) > 0, "%s: %s", path, strerror(errno));
	close(fd);
}

static bool status_has(const char *text)
{
	char *json;
	bool has;

	CHECK_OK(neap_control(asker, "status", &json));
	has = strstr(json, text) != NULL;
	free(json);
	return has;
}

/* Writes, and waits until the status says @want: milliseconds. */
static double told_after(const char *name, const char *value, const char *want)
{
	double start;

	/* Idle long enough for the slow look, so that the quick one of a busy daemon is over. */
	sleep_ms(600);
	CHECK(!status_has(want), "%s already", want);
	start = now_s();
	set(name, value);
	while (!status_has(want))
		CHECK(now_s() - start < 10, "%s=%s is never seen", name, value);
	return (now_s() - start) * 1e3;
}

/* Mains lost, charge fallen, mains back. True: each was known in time. */
static bool supply_round(struct user *u)
{
	struct neap_completion full = user_run(u, &oracle, &seed), least, again;
	double lost, low, back;

	lost = told_after("ac_online", "off", "\"source\":\"battery\"");
	low = told_after("battery_capacity", "5", "\"charge_permille\":50");
	least = user_run(u, &oracle, &seed);
	CHECK(least.level < full.level && least.reason == NEAP_REASON_ENERGY,
	      "level %u, then %u by %s", full.level, least.level, neap_reason_name(least.reason));
	set("battery_capacity", "80");
	back = told_after("ac_online", "on", "\"source\":\"mains\"");
	again = user_run(u, &oracle, &seed);
	CHECK(again.level == full.level, "level %u, at first %u", again.level, full.level);
	printf("  mains lost: known after %.1f ms, charge fallen: %.1f ms, mains back: %.1f ms\n",
	       lost, low, back);
	return lost < TOLD_MS && low < TOLD_MS && back < TOLD_MS;
}

/*
 * An emulated machine may be kept waiting by its host in one round. Who looked every five seconds
 * only would have all three in time in one round of 125.
 */
static void supply_events(struct harness *h)
{
	int rounds = 1;
	struct user u;

	user_open(&u, h, "quick", NULL);
	while (!supply_round(&u))
		CHECK(++rounds <= ROUNDS, "not known within %d ms in %d rounds", TOLD_MS, ROUNDS);
	user_close(&u);
}

static void load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0, "%s: %s", path, strerror(errno));
	CHECK(syscall(SYS_finit_module, fd, "", 0) == 0, "%s: %s", path, strerror(errno));
	close(fd);
	set("ac_online", "on");
	set("usb_online", "off");
	set("battery_status", "discharging");
	set("battery_status", "charging");
	set("battery_capacity", "80");
	sleep_ms(500); /* the events of the registration */
}

int main(void)
{
	struct harness h = {.workers = "2", .real_sys = true};
	const char *path = getenv("NEAP_TEST_POWER_KO");

	harness_init(&h);
	if (!path || access(path, R_OK) || access("/dev/neap-server", R_OK | W_OK))
		harness_skip("needs the kernel module, and NEAP_TEST_POWER_KO=test_power.ko");
	load(path);
	model_install(&h, "quick", &model_quick);
	harness_start(&h);
	model_wait(&h, "quick");
	oracle_open_installed(&oracle, &h, "quick");
	asker = harness_connect(&h, NULL);
	RUN_CASE(&h, supply_events);
	neap_close(asker);
	oracle_close(&oracle);
	harness_done(&h);
	CHECK(syscall(SYS_delete_module, "test_power", O_NONBLOCK) == 0, "%s", strerror(errno));
	return 0;
}
