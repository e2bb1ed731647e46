// SPDX-License-Identifier: MIT
/*
 * Which memory is shared. Without the kernel module: memfds, and the status says why. With it: its
 * buffers, the same answers, over limits a clear text, over a restart the same buffers, memfds of
 * clients that cannot have others, and with strict_buffers inputs that the daemon owns.
 */
#include "tests/system/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMITS "/sys/devices/virtual/misc/neap/buffers/"

static bool with_module;

/* What a descriptor is: "/memfd:neap-buffer (deleted)" or "/dmabuf:". */
static bool is_dmabuf(int fd)
{
	char link[64], name[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	CHECK(n > 0);
	name[n] = 0;
	CHECK(strstr(name, "dmabuf") || strstr(name, "memfd"), "%s", name);
	return strstr(name, "dmabuf") != NULL;
}

static bool status_has(struct harness *h, const char *text)
{
	int error;
	char *json = harness_control(h, "status", &error);
	bool has;

	CHECK(json, "%d", error);
	has = strstr(json, text) != NULL;
	free(json);
	return has;
}

static void status_says_which_and_why(struct harness *h)
{
	if (with_module) {
		CHECK(status_has(h, "\"transport\":{\"name\":\"device\""));
		return;
	}
	CHECK(status_has(h, "\"transport\":{\"name\":\"memfd\",\"why\":\"no /dev/neap-server"));
	CHECK(status_has(h, "\"budgets\":{\"name\":\"files\""));
}

static void buffers_are_of_that_kind(struct harness *h)
{
	uint64_t state = 3;
	struct oracle o;
	struct user u;

	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", NULL);
	CHECK(is_dmabuf(neap_buffer_fd(u.in)) == with_module);
	CHECK(is_dmabuf(neap_buffer_fd(u.out)) == with_module);
	for (int i = 0; i < 50; i++)
		user_run(&u, &o, &state);
	user_close(&u);
	oracle_close(&o);
}

/* A client that gets no device buffers is served all the same, beside one that does. */
static void memfds_are_taken_as_well(struct harness *h)
{
	uint64_t state = 4;
	struct oracle o;
	struct user u;

	oracle_open_installed(&o, h, "quick");
	setenv("NEAP_NO_DEVICE", "1", 1);
	user_open(&u, h, "quick", NULL);
	unsetenv("NEAP_NO_DEVICE");
	CHECK(!is_dmabuf(neap_buffer_fd(u.in)));
	user_run(&u, &o, &state);
	user_close(&u);
	oracle_close(&o);
}

static void buffers_live_over_restarts(struct harness *h)
{
	struct neap_options opt = {.reconnect_ms = 60000};
	uint64_t state = 5;
	struct oracle o;
	struct user u;

	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", &opt);
	for (int i = 0; i < 3; i++) {
		user_run(&u, &o, &state);
		if (i & 1)
			harness_stop(h);
		else
			harness_kill(h);
		harness_start(h);
	}
	user_run(&u, &o, &state);
	CHECK(is_dmabuf(neap_buffer_fd(u.in)) == with_module);
	if (with_module)
		CHECK(status_has(h, "\"transport\":{\"name\":\"device\""),
		      "the new daemon has not got the node");
	user_close(&u);
	oracle_close(&o);
}

static void write_number(const char *path, const char *value)
{
	FILE *f = fopen(path, "w");

	CHECK(f, "%s: %s", path, strerror(errno));
	fputs(value, f);
	CHECK(fclose(f) == 0, "%s: %s", path, strerror(errno));
}

static void read_number(const char *path, char *ret, size_t bytes)
{
	FILE *f = fopen(path, "r");

	CHECK(f && fgets(ret, (int)bytes, f), "%s", path);
	fclose(f);
}

static void limits_are_named(struct harness *h)
{
	static const char *const names[] = {"max_bytes", "limit_bytes_per_uid", "limit_bytes"};
	struct neap_buffer *b;
	struct neap *n;
	char old[32];

	if (!with_module) {
		printf("  without the module there are no such limits\n");
		return;
	}
	n = harness_connect(h, NULL);
	for (int i = 0; i < 3; i++) {
		char path[128];

		snprintf(path, sizeof(path), LIMITS "%s", names[i]);
		read_number(path, old, sizeof(old));
		write_number(path, "65536");
		CHECK(neap_buffer_new(n, 65537, NEAP_BUFFER_INPUT, &b) == -EDQUOT);
		CHECK(strstr(neap_last_error(n), path), "%s", neap_last_error(n));
		CHECK_OK(neap_buffer_new(n, 65536, NEAP_BUFFER_INPUT, &b));
		neap_buffer_free(b);
		write_number(path, old);
	}
	neap_close(n);
}

static void strict_buffers_are_owned(struct harness *h)
{
	const char *before = h->config;
	char path[128];
	uint64_t state = 6;
	struct oracle o;
	struct user u;

	snprintf(path, sizeof(path), "%s/strict.ini", h->dir);
	write_number(path, "[neapd]\nstrict_buffers = yes\n");
	harness_stop(h);
	h->config = path;
	harness_start(h);
	model_wait(h, "quick");
	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", NULL);
	for (int i = 0; i < 20; i++)
		user_run(&u, &o, &state);
	CHECK(status_number(h, "counters.owned") == (with_module ? 20 : 0));
	CHECK(status_number(h, "counters.own_refused") == 0);
	user_close(&u);
	oracle_close(&o);
	harness_stop(h);
	h->config = before;
	harness_start(h);
	model_wait(h, "quick");
}

/* What an administrator can ask for: the module is there, and is not used. */
static void memfd_on_request(struct harness *h)
{
	harness_stop(h);
	setenv("NEAPD_NO_DEVICE", "1", 1);
	harness_start(h);
	unsetenv("NEAPD_NO_DEVICE");
	CHECK(status_has(h,
			 "\"transport\":{\"name\":\"memfd\",\"why\":\"NEAPD_NO_DEVICE is set\""));
	model_wait(h, "quick");
	serves(h);
	harness_stop(h);
	harness_start(h);
	model_wait(h, "quick");
}

int main(void)
{
	struct harness h = {.workers = "2"};

	with_module = access("/dev/neap", R_OK | W_OK) == 0 &&
		      access("/dev/neap-server", R_OK | W_OK) == 0;
	printf("transport: %s\n", with_module ? "device" : "memfd");
	harness_init(&h);
	model_install(&h, "quick", &model_quick);
	harness_start(&h);
	model_wait(&h, "quick");
	RUN_CASE(&h, status_says_which_and_why);
	RUN_CASE(&h, buffers_are_of_that_kind);
	RUN_CASE(&h, memfds_are_taken_as_well);
	RUN_CASE(&h, buffers_live_over_restarts);
	RUN_CASE(&h, limits_are_named);
	RUN_CASE(&h, strict_buffers_are_owned);
	RUN_CASE(&h, memfd_on_request);
	harness_done(&h);
	return 0;
}
