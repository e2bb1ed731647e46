// SPDX-License-Identifier: GPL-2.0-only
/* Many threads at the budgets: never over a limit, nothing lost, nothing of another's seen. */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <pthread.h>
#include <time.h>

#define THREADS 8
#define ROUNDS  200
#define SECONDS 8 /* at most: a kernel with KASAN under emulation is slow, the harness allows 30 */
#define LIMIT   (24 * PAGE)

struct worker {
	int client;
	unsigned seed, rounds, given, refused, dirty, over;
};

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	time_t end = seconds() + SECONDS;

	for (; w->rounds < ROUNDS && seconds() < end; w->rounds++) {
		size_t bytes = (1 + (size_t)rand_r(&w->seed) % 8) * PAGE;
		int fd = alloc_buf(w->client, bytes);
		unsigned char *map;

		if (fd < 0) {
			w->refused += fd == -EDQUOT;
			continue;
		}
		w->given++;
		w->over += read_sysfs("buffers/used_bytes") > (long long)LIMIT;
		map = map_buf(fd, bytes);
		if (map == MAP_FAILED) {
			w->dirty++;
			continue;
		}
		for (size_t k = 0; k < bytes; k += 64)
			w->dirty += map[k] != 0;
		memset(map, 0xee, bytes);
		munmap(map, bytes);
		close(fd);
	}
	return NULL;
}

TEST(limit_holds_under_contention)
{
	long long limit = read_sysfs("buffers/limit_bytes");
	long long used = read_sysfs("buffers/used_bytes");
	struct worker w[THREADS];
	pthread_t t[THREADS];
	unsigned rounds = 0, given = 0, refused = 0;

	ASSERT_EQ(0, used);
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes", LIMIT));
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.client = open_client(), .seed = (unsigned)i};
		ASSERT_GE(w[i].client, 0);
		pthread_create(&t[i], NULL, work, &w[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		rounds += w[i].rounds;
		given += w[i].given;
		refused += w[i].refused;
		EXPECT_EQ(0, w[i].dirty);
		EXPECT_EQ(0, w[i].over);
		close(w[i].client);
	}
	EXPECT_EQ(rounds, given + refused);
	EXPECT_GT(given, 0);
	EXPECT_TRUE(wait_sysfs("buffers/used_bytes", 0, 3000));
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes", limit));
}

/* Mapping, touching and closing one buffer from many threads while the server plays with it. */
static volatile bool stop;

static void *map_and_touch(void *arg)
{
	int fd = *(int *)arg;

	while (!stop) {
		unsigned char *map = map_buf(fd, 8 * PAGE);

		if (map == MAP_FAILED)
			return (void *)1;
		for (int i = 0; i < 8; i++)
			map[(size_t)i * PAGE]++;
		munmap(map, 8 * PAGE);
	}
	return NULL;
}

TEST(mapping_against_ownership)
{
	int client = open_client(), server = open_server(), fd, status, ready[2], rounds = 0;
	pid_t pid;

	ASSERT_GE(server, 0);
	fd = alloc_buf(client, 8 * PAGE);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		pthread_t t[4];
		void *bad = NULL, *r;
		char byte;

		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, map_and_touch, &fd);
		if (read(ready[0], &byte, 1) != 1)
			_exit(2);
		stop = true;
		for (int i = 0; i < 4; i++) {
			pthread_join(t[i], &r);
			bad = r ? r : bad;
		}
		_exit(bad ? 1 : 0);
	}
	for (time_t end = seconds() + SECONDS; seconds() < end && rounds < 300; rounds++) {
		ASSERT_EQ(0, set_owner(server, fd, NEAP_OWNER_SERVER));
		ASSERT_EQ(0, set_owner(server, fd, NEAP_OWNER_CLIENT));
	}
	ASSERT_EQ(1, write(ready[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
	close(server);
	close(client);
}

TEST_HARNESS_MAIN
