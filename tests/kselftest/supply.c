// SPDX-License-Identifier: GPL-2.0-only
/*
 * The supply's state, driven by the kernel's own fake mains and battery: NEAP_TEST_POWER_KO names
 * test_power.ko, which this test loads and unloads. What the module learns it learns from events: a
 * reader in poll() wakes within a second of each, and sleeps in between.
 */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

#define PARAMETERS "/sys/module/test_power/parameters/"

static int load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return r;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "test_power", O_NONBLOCK) ? -errno : 0;
}

static bool set(const char *name, const char *value)
{
	char path[128];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, value, strlen(value)) > 0;
	close(fd);
	return ok;
}

/* Reads a file of supply/ that is open: poll() wakes for changes after this. */
static const char *reread(int fd)
{
	static char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	return text;
}

/* Did the file change to @want within @ms, and did poll() say so? Milliseconds that it took, or -1. */
static int wait_change(int fd, const char *want, int ms)
{
	struct timespec a, b;
	struct pollfd p = {.fd = fd, .events = POLLPRI};
	int left = ms;

	clock_gettime(CLOCK_MONOTONIC, &a);
	while (left > 0) {
		if (poll(&p, 1, left) <= 0)
			return -1;
		clock_gettime(CLOCK_MONOTONIC, &b);
		left = ms - (int)((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
		if (!strcmp(reread(fd), want))
			return ms - left;
	}
	return -1;
}

FIXTURE(supply)
{
	int source, charge;
	bool there;
};

FIXTURE_SETUP(supply)
{
	const char *path = getenv("NEAP_TEST_POWER_KO");

	self->source = open(SYSFS "supply/source", O_RDONLY | O_CLOEXEC);
	self->charge = open(SYSFS "supply/charge_permille", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(self->source, 0);
	ASSERT_GE(self->charge, 0);
	self->there = path && access(path, R_OK) == 0 && load(path) == 0;
	if (!self->there)
		return;
	/* Three supplies come, one after the other; what they settle at is the starting point. */
	ASSERT_TRUE(set("ac_online", "on"));
	ASSERT_TRUE(set("usb_online", "off"));
	ASSERT_TRUE(set("battery_status", "charging"));
	ASSERT_TRUE(set("battery_capacity", "80"));
	for (int i = 0; i < 300; i++) {
		if (!strcmp(reread(self->source), "mains") && !strcmp(reread(self->charge), "800"))
			break;
		usleep(10000);
	}
	EXPECT_STREQ("mains", reread(self->source));
	EXPECT_STREQ("800", reread(self->charge));
	usleep(300000); /* late events of the registration */
	reread(self->source);
	reread(self->charge);
}

FIXTURE_TEARDOWN(supply)
{
	if (self->there)
		EXPECT_EQ(0, unload());
}

TEST_F(supply, mains_lost_charge_falling_mains_back)
{
	char text[8];
	int ms;

	if (!self->there)
		SKIP(return, "NEAP_TEST_POWER_KO does not name a test_power.ko that loads");
	/* Nothing happens: nobody is woken. */
	EXPECT_EQ(-1, wait_change(self->source, "battery", 1500));

	ASSERT_TRUE(set("ac_online", "off"));
	ASSERT_TRUE(set("battery_status", "discharging"));
	ms = wait_change(self->source, "battery", 1000);
	EXPECT_GE(ms, 0);
	for (int percent = 79; percent >= 20; percent -= 20) {
		char want[8];

		snprintf(text, sizeof(text), "%d", percent);
		snprintf(want, sizeof(want), "%d", percent * 10);
		ASSERT_TRUE(set("battery_capacity", text));
		EXPECT_GE(wait_change(self->charge, want, 1000), 0);
	}
	EXPECT_STREQ("battery", reread(self->source));
	ASSERT_TRUE(set("ac_online", "on"));
	ASSERT_TRUE(set("battery_status", "charging"));
	EXPECT_GE(wait_change(self->source, "mains", 1000), 0);
	EXPECT_EQ(0, read_sysfs("supply/draw_mw"));
	ksft_print_msg("the loss of mains was told after %d ms\n", ms);
}

TEST_F(supply, the_state_page_says_the_same)
{
	volatile struct neap_state *page;
	uint32_t changes;
	int server;

	if (!self->there)
		SKIP(return, "NEAP_TEST_POWER_KO does not name a test_power.ko that loads");
	server = open_server();
	ASSERT_GE(server, 0);
	page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, server, 0);
	ASSERT_NE(MAP_FAILED, (void *)page);
	EXPECT_EQ(NEAP_SUPPLY_MAINS, page->source);
	EXPECT_EQ(800, page->charge_permille);
	changes = page->supply_changes;
	ASSERT_TRUE(set("ac_online", "off"));
	ASSERT_TRUE(set("battery_status", "discharging"));
	EXPECT_GE(wait_change(self->source, "battery", 1000), 0);
	EXPECT_EQ(NEAP_SUPPLY_BATTERY, page->source);
	EXPECT_NE(changes, page->supply_changes);
	munmap((void *)page, PAGE);
	close(server);
}

/* A supply that goes away gives no event: the timer that copies the load averages notices. */
TEST_F(supply, taken_away)
{
	int server;

	if (!self->there)
		SKIP(return, "NEAP_TEST_POWER_KO does not name a test_power.ko that loads");
	server = open_server();
	ASSERT_GE(server, 0);
	EXPECT_EQ(0, unload());
	self->there = false;
	for (int i = 0; i < 1500 && strcmp(reread(self->source), "unknown"); i++)
		usleep(10000);
	EXPECT_STREQ("unknown", reread(self->source));
	EXPECT_STREQ("1000", reread(self->charge));
	close(server);
}

TEST_HARNESS_MAIN
