// SPDX-License-Identifier: GPL-2.0-only
/* Every file below the device, with good and bad values, and poll. */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <poll.h>
#include <sys/stat.h>

static const struct {
	const char *name;
	long long max;
} writable[] = {
	{"budget/latency_us", 60000000},
	{"budget/power_mw_mains", 1000000},
	{"budget/power_mw_battery", 1000000},
	{"budget/cpu_permille", 1024000},
	{"budget/autonomy_min", 525600},
	{"budget/reserve_permille", 1000},
	{"budget/depth_max", 16},
	{"budget/width_max_permille", 1000},
	{"buffers/limit_bytes", -1},
	{"buffers/limit_bytes_per_uid", -1},
	{"buffers/max_bytes", -1},
};

#define N_WRITABLE (sizeof(writable) / sizeof(writable[0]))

TEST(good_values)
{
	for (size_t i = 0; i < N_WRITABLE; i++) {
		long long before = read_sysfs(writable[i].name);
		long long max = writable[i].max >= 0 ? writable[i].max : 1 << 20;

		ASSERT_GE(before, 0);
		EXPECT_EQ(0, write_sysfs_number(writable[i].name, max));
		EXPECT_EQ(max, read_sysfs(writable[i].name));
		EXPECT_EQ(0, write_sysfs(writable[i].name, "0\n"));
		EXPECT_EQ(0, read_sysfs(writable[i].name));
		EXPECT_EQ(0, write_sysfs_number(writable[i].name, before));
	}
}

TEST(bad_values)
{
	static const char *const nonsense[] = {"x", "-1", "1 2", "0x10", "1.5", "\n", " 3", "3k"};

	for (size_t i = 0; i < N_WRITABLE; i++) {
		long long before = read_sysfs(writable[i].name);

		for (size_t k = 0; k < sizeof(nonsense) / sizeof(nonsense[0]); k++) {
			EXPECT_EQ(-EINVAL, write_sysfs(writable[i].name, nonsense[k]))
			{
				TH_LOG("%s < \"%s\"", writable[i].name, nonsense[k]);
			}
		}
		EXPECT_EQ(-ERANGE, write_sysfs(writable[i].name, "99999999999999999999"));
		EXPECT_EQ(-ERANGE, write_sysfs(writable[i].name, "18446744073709551615"));
		if (writable[i].max >= 0)
			EXPECT_EQ(-ERANGE,
				  write_sysfs_number(writable[i].name, writable[i].max + 1));
		EXPECT_EQ(before, read_sysfs(writable[i].name));
	}
}

TEST(read_only_files)
{
	static const char *const names[] = {
		"buffers/used_bytes",    "buffers/peak_bytes",    "buffers/count",
		"buffers/revoked_total", "buffers/refused_total", "supply/charge_permille",
		"supply/energy_mwh",     "supply/draw_mw",        "supply/source"};
	char path[256];
	struct stat st;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), SYSFS "%s", names[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0444, st.st_mode & 0777);
		if (strcmp(names[i], "supply/source"))
			EXPECT_GE(read_sysfs(names[i]), 0);
	}
}

TEST(only_root_writes)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		_exit(write_sysfs("budget/latency_us", "1") == -EACCES ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST(poll_wakes_on_a_write)
{
	for (size_t i = 0; i < N_WRITABLE; i++) {
		long long before = read_sysfs(writable[i].name);
		struct pollfd p = {.events = POLLPRI};
		char path[256], text[32];

		snprintf(path, sizeof(path), SYSFS "%s", writable[i].name);
		p.fd = open(path, O_RDONLY);
		ASSERT_GE(p.fd, 0);
		ASSERT_GT(pread(p.fd, text, sizeof(text), 0), 0);
		EXPECT_EQ(0, poll(&p, 1, 0));
		EXPECT_EQ(0, write_sysfs_number(writable[i].name, before));
		EXPECT_EQ(1, poll(&p, 1, 1000));
		EXPECT_TRUE(p.revents & POLLPRI);
		close(p.fd);
	}
}

TEST(peak_follows_use)
{
	int client = open_client(), fd;
	long long max = read_sysfs("buffers/max_bytes");

	fd = alloc_buf(client, (uint64_t)max / 2);
	ASSERT_GE(fd, 0);
	EXPECT_GE(read_sysfs("buffers/peak_bytes"), max / 2);
	close(fd);
	EXPECT_GE(read_sysfs("buffers/peak_bytes"), max / 2);
	close(client);
}

TEST_HARNESS_MAIN
