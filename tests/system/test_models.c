// SPDX-License-Identifier: MIT
/*
 * A model's file is replaced, damaged, removed and given another shape while clients use it. What is
 * in flight finishes on the version that it started on; a damaged file disturbs nothing.
 */
#include "tests/system/model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPLACEMENTS 12
#define IN_FLIGHT    4

static const struct model_spec other = {.side = 8, .blocks = 1, .seed = 1001};
static const struct model_spec larger = {.side = 12, .blocks = 1, .seed = 3};

static void path_of(struct harness *h, const char *name, char path[256])
{
	snprintf(path, 256, "%s/%s.neap", h->models, name);
}

/* Runs until the generation is not @from any more; every answer must agree with @a or @b. */
static uint32_t run_until_changed(struct user *u, uint32_t from, struct oracle *a, struct oracle *b,
				  uint64_t *state)
{
	double until = now_s() + 20;
	struct neap_completion c;

	do {
		int ret;

		CHECK(now_s() < until, "the file is not taken up");
		input_fill(neap_buffer_data(u->in), a->in_bytes, state);
		ret = neap_run(u->n, &u->rq, &c);
		CHECK(ret == 0, "%s", neap_strerror(ret));
		CHECK(oracle_agrees(a, c.level, neap_buffer_data(u->in),
				    neap_buffer_data(u->out)) ||
			      oracle_agrees(b, c.level, neap_buffer_data(u->in),
					    neap_buffer_data(u->out)),
		      "the answer is of neither version");
	} while (c.generation == from);
	return c.generation;
}

static void replaced_in_use(struct harness *h)
{
	struct oracle oracle[2];
	uint64_t state = 12;
	uint32_t generation;
	struct neap_completion c;
	struct user u;

	model_install(h, "m", &model_quick);
	oracle_open_installed(&oracle[0], h, "m");
	model_wait(h, "m");
	user_open(&u, h, "m", NULL);
	generation = user_run(&u, &oracle[0], &state).generation;
	for (int i = 1; i <= REPLACEMENTS; i++) {
		model_install(h, "m", i & 1 ? &other : &model_quick);
		if (i == 1)
			oracle_open_installed(&oracle[1], h, "m");
		generation = run_until_changed(&u, generation, &oracle[0], &oracle[1], &state);
		c = user_run(&u, &oracle[i & 1], &state);
		CHECK(c.generation == generation);
	}
	user_close(&u);
	oracle_close(&oracle[0]);
	oracle_close(&oracle[1]);
}

/* Requests are in flight at the very moment; all come back right. */
static void replaced_in_flight(struct harness *h)
{
	static const struct model_spec slow2 = {.side = 96, .blocks = 4, .seed = 55};
	struct neap_completion c[IN_FLIGHT];
	struct oracle first, second;
	uint64_t state = 5;
	unsigned got = 0;
	struct user u;

	model_install(h, "s", &model_slow);
	oracle_open_installed(&first, h, "s");
	model_wait(h, "s");
	user_open(&u, h, "s", NULL);
	input_fill(neap_buffer_data(u.in), first.in_bytes, &state);
	for (int i = 0; i < IN_FLIGHT; i++)
		CHECK_OK(neap_submit(u.n, &u.rq));
	model_install(h, "s", &slow2);
	oracle_open_installed(&second, h, "s");
	while (got < IN_FLIGHT) {
		int r = neap_wait(u.n, c, IN_FLIGHT, 60000);

		CHECK(r > 0);
		for (int i = 0; i < r; i++, got++)
			CHECK(c[i].status == 0, "%s", neap_strerror(c[i].status));
	}
	user_close(&u);
	oracle_close(&first);
	oracle_close(&second);
}

/* Renamed into place damaged: the old version stays. */
static void damaged(struct harness *h)
{
	char path[256], temp[300];
	uint64_t state = 88;
	uint32_t generation;
	struct oracle o;
	struct user u;
	struct stat st;
	char *bytes;
	FILE *f;

	model_install(h, "m", &model_quick);
	oracle_open_installed(&o, h, "m");
	sleep_ms(600);
	user_open(&u, h, "m", NULL);
	generation = user_run(&u, &o, &state).generation;
	path_of(h, "m", path);
	CHECK(stat(path, &st) == 0);
	bytes = malloc((size_t)st.st_size);
	f = fopen(path, "r");
	CHECK(bytes && f && fread(bytes, 1, (size_t)st.st_size, f) == (size_t)st.st_size);
	fclose(f);
	snprintf(temp, sizeof(temp), "%s.tmp", path);
	for (int kind = 0; kind < 4; kind++) {
		size_t n = (size_t)st.st_size;

		if (kind == 0)
			n /= 2; /* cut */
		else if (kind == 1)
			n = 0;
		else if (kind == 2)
			bytes[n / 2] ^= 0x10; /* one bit */
		else
			memset(bytes, 0xff, 64); /* the header */
		f = fopen(temp, "w");
		CHECK(f && fwrite(bytes, 1, n, f) == n);
		fclose(f);
		CHECK(rename(temp, path) == 0);
		for (int i = 0; i < 20; i++) {
			struct neap_completion c = user_run(&u, &o, &state);

			CHECK(c.generation == generation, "a damaged file was taken up");
			sleep_ms(30);
		}
		harness_check(h);
	}
	free(bytes);
	/* A good one again is taken up. */
	model_install(h, "m", &model_quick);
	run_until_changed(&u, generation, &o, &o, &state);
	user_close(&u);
	oracle_close(&o);
}

/* Waits until a run ends in @want. */
static void becomes(struct user *u, int want, const char *what)
{
	double until = now_s() + 20;
	struct neap_completion c;
	int ret;

	for (;;) {
		ret = neap_run(u->n, &u->rq, &c);
		if (ret == want)
			return;
		CHECK(now_s() < until, "%s: %s", what, neap_strerror(ret));
		sleep_ms(20);
	}
}

static void removed(struct harness *h)
{
	char path[256];
	struct user u;

	model_install(h, "m", &model_quick);
	user_open(&u, h, "m", NULL);
	becomes(&u, 0, "before");
	path_of(h, "m", path);
	CHECK(unlink(path) == 0);
	becomes(&u, -ESTALE, "the file is gone");
	model_install(h, "m", &other);
	becomes(&u, 0, "there again");
	user_close(&u);
}

/* Another shape: the buffers do not fit it any more. */
static void another_shape(struct harness *h)
{
	struct neap_model *m;
	struct user u;

	model_install(h, "m", &model_quick);
	user_open(&u, h, "m", NULL);
	becomes(&u, 0, "before");
	model_install(h, "m", &larger);
	becomes(&u, -ESTALE, "larger inputs");
	CHECK_OK(neap_model_open(u.n, "m", &m));
	CHECK(neap_model_info(m)->in_bytes >= 12 * 12 * 4);
	neap_model_close(m);
	model_install(h, "m", &model_quick);
	user_close(&u);
	sleep_ms(500);
	user_open(&u, h, "m", NULL);
	becomes(&u, 0, "opened again");
	user_close(&u);
}

/* Things in the folder that are no models. */
static void other_files(struct harness *h)
{
	char path[256];
	int fd;

	path_of(h, "folder", path);
	CHECK(mkdir(path, 0755) == 0);
	path_of(h, "pipe", path);
	CHECK(mkfifo(path, 0644) == 0);
	path_of(h, "link", path);
	CHECK(symlink("/dev/zero", path) == 0);
	path_of(h, "dangling", path);
	CHECK(symlink("/nonexistent", path) == 0);
	path_of(h, "name with spaces and a length that is beyond what a name on the wire can have",
		path);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	CHECK(fd >= 0);
	close(fd);
	sleep_ms(500);
	harness_check(h);
	CHECK(kill(h->pid, SIGHUP) == 0);
	sleep_ms(500);
}

int main(void)
{
	struct harness h = {0};

	harness_init(&h);
	model_install(&h, "quick", &model_quick);
	harness_start(&h);
	model_wait(&h, "quick");
	RUN_CASE(&h, replaced_in_use);
	RUN_CASE(&h, replaced_in_flight);
	RUN_CASE(&h, damaged);
	RUN_CASE(&h, removed);
	RUN_CASE(&h, another_shape);
	RUN_CASE(&h, other_files);
	harness_done(&h);
	return 0;
}
