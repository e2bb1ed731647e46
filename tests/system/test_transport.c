// SPDX-License-Identifier: MIT
/*
 * Which memory is shared. Without the kernel module: memfds, and the status says why. With it: its
 * buffers, the same answers, over limits a clear text, over a restart the same buffers, memfds of
 * clients that cannot have others, and with strict_buffers inputs that the daemon owns. A daemon that
 * comes back without the module says what is wrong with the buffers of before.
 */
#include "tests/system/model.h"
#include "tests/system/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "neap/uapi/neap_ioctl.h"

#define LIMITS  "/sys/devices/virtual/misc/neap/buffers/"
#define BUDGETS "/sys/devices/virtual/misc/neap/budget/"

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

/* One number of budget/ in sysfs. */
static void set_budget(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), BUDGETS "%s", name);
	write_number(path, value);
}

static void budgets_are_the_modules(struct harness *h)
{
	char text[32], *json;
	uint64_t state = 10;
	struct oracle o;
	struct user u;
	uint16_t full;
	int error;

	if (!with_module) {
		printf("  needs the module\n");
		return;
	}
	harness_stop(h);
	h->real_sys = true;
	harness_start(h);
	model_wait(h, "quick");
	CHECK(status_has(h, "\"budgets\":{\"name\":\"sysfs\""));
	json = harness_control(h, "budget set latency_us 4321", &error);
	CHECK(json, "%d", error);
	free(json);
	read_number(BUDGETS "latency_us", text, sizeof(text));
	CHECK(!strcmp(text, "4321\n"), "%s", text);
	json = harness_control(h, "budget set latency_us 60000001", &error);
	CHECK(!json || error == -ERANGE, "%d", error);
	free(json);
	set_budget("latency_us", "0");
	/* By the state page: not even an event is awaited. */
	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", NULL);
	full = user_run(&u, &o, &state).depth;
	for (int i = 0; i < 10; i++) {
		set_budget("depth_max", "1");
		CHECK(user_run(&u, &o, &state).depth == 0);
		set_budget("depth_max", "0");
		CHECK(user_run(&u, &o, &state).depth == full);
	}
	user_close(&u);
	oracle_close(&o);
	harness_stop(h);
	h->real_sys = false;
	harness_start(h);
	model_wait(h, "quick");
}

/* From here on the daemon owns inputs while models run. */
static void restart_strict(struct harness *h)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/strict.ini", h->dir);
	write_number(path, "[neapd]\nstrict_buffers = yes\n");
	harness_stop(h);
	h->config = path;
	harness_start(h);
	model_wait(h, "slow");
}

static void strict_buffers_are_owned(struct harness *h)
{
	uint64_t state = 6;
	struct oracle o;
	struct user u;

	restart_strict(h);
	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", NULL);
	for (int i = 0; i < 20; i++)
		user_run(&u, &o, &state);
	CHECK(status_number(h, "counters.owned") == (with_module ? 20 : 0));
	CHECK(status_number(h, "counters.own_refused") == 0);
	user_close(&u);
	oracle_close(&o);
}

/* Pages of it are in a pipe, whose reader could see them change: it cannot be owned. */
static void pinned_inputs_are_served_and_counted(struct harness *h)
{
	double owned = status_number(h, "counters.owned");
	uint64_t state = 7;
	struct iovec page;
	struct oracle o;
	struct user u;
	int fds[2];

	if (!with_module) {
		printf("  nothing is owned without the module\n");
		return;
	}
	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", NULL);
	user_run(&u, &o, &state);
	CHECK(pipe(fds) == 0);
	page = (struct iovec){neap_buffer_data(u.in), 64};
	CHECK(vmsplice(fds[1], &page, 1, 0) == 64, "%s", strerror(errno));
	for (int i = 0; i < 5; i++)
		user_run(&u, &o, &state);
	CHECK(status_number(h, "counters.own_refused") == 5);
	CHECK(status_number(h, "counters.owned") == owned + 1);
	close(fds[0]);
	close(fds[1]);
	user_run(&u, &o, &state);
	CHECK(status_number(h, "counters.own_refused") == 5);
	CHECK(status_number(h, "counters.owned") == owned + 2);
	user_close(&u);
	oracle_close(&o);
}

/* One word of the input, between two values, as fast as it goes. */
struct toggle {
	volatile float *word;
	bool stop; /* atomic */
};

static void *toggle_main(void *arg)
{
	struct toggle *t = arg;

	for (unsigned i = 0; !__atomic_load_n(&t->stop, __ATOMIC_RELAXED); i++)
		*t->word = i & 1 ? 4 : -4;
	return NULL;
}

/* Does the answer fit the input with one of the two values? */
static bool fits_either(struct oracle *o, float *word, const struct neap_cqe *c, const void *in,
			const void *out)
{
	*word = 4;
	if (oracle_agrees(o, c->level, in, out))
		return true;
	*word = -4;
	return oracle_agrees(o, c->level, in, out);
}

/*
 * A client that has handed one buffer over twice and changes it while two workers compute on it: what
 * the end of one run gives back must not be what the other still reads.
 */
static void a_buffer_with_two_handles_is_owned_once(struct harness *h)
{
	int fd = raw_device_buffer(1 << 16);
	double refused = status_number(h, "counters.own_refused");
	uint64_t state = 8;
	struct toggle t = {0};
	uint32_t second, spare;
	char *spare_data;
	float *copy;
	struct oracle o;
	pthread_t thread;
	struct raw r;
	size_t at;

	if (fd < 0 || !with_module) {
		printf("  nothing is owned without the module\n");
		if (fd >= 0)
			close(fd);
		return;
	}
	oracle_open_installed(&o, h, "slow");
	raw_ready(&r, h, "slow", 8);
	munmap(r.in_data, r.in_bytes);
	r.in_data = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(r.in_data != MAP_FAILED && r.in_bytes <= 1 << 16);
	r.in_bytes = 1 << 16;
	r.in = raw_add(&r, fd, r.in_bytes, NEAP_WIRE_BUF_READ);
	second = raw_add(&r, fd, r.in_bytes, NEAP_WIRE_BUF_READ);
	spare = raw_buffer(&r, r.out_bytes, NEAP_WIRE_BUF_WRITE, &spare_data);
	close(fd);
	input_fill(r.in_data, o.in_bytes, &state);
	copy = malloc(o.in_bytes);
	CHECK(copy);
	memcpy(copy, r.in_data, o.in_bytes);
	at = o.in_bytes / sizeof(float) / 2;
	t.word = (float *)(void *)r.in_data + at;
	*t.word = 4;
	CHECK(pthread_create(&thread, NULL, toggle_main, &t) == 0);
	for (uint64_t i = 0; i < (h->emulated ? 20 : 60); i++) {
		struct neap_sqe sqe = raw_sqe(&r, i);
		struct neap_cqe c;

		raw_push(&r, &sqe);
		sqe.in_buf = second;
		sqe.user_data = 1000;
		sqe.confidence = 1; /* leaves at the first exit: ends while the other one runs */
		sqe.out_buf = spare;
		raw_push(&r, &sqe);
		for (int k = 0; k < 2; k++) {
			CHECK(raw_complete(&r, &c, 60000) && c.status == 0, "%d", c.status);
			if (c.user_data == i)
				CHECK(fits_either(&o, &copy[at], &c, copy, r.out_data),
				      "computed from an input that changed");
		}
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(status_number(h, "counters.own_refused") == refused);
	munmap(spare_data, r.out_bytes);
	raw_close(&r);
	oracle_close(&o);
	free(copy);
}

/*
 * A daemon that comes back without the module: it has no use for the buffers that clients have, and
 * says so; new ones are memfds.
 */
static void without_the_node_buffers_are_refused_clearly(struct harness *h)
{
	struct neap_options opt = {.reconnect_ms = 60000};
	struct neap_completion c;
	uint64_t state = 9;
	struct oracle o;
	struct user u;

	oracle_open_installed(&o, h, "quick");
	user_open(&u, h, "quick", &opt);
	user_run(&u, &o, &state);
	harness_stop(h);
	setenv("NEAPD_NO_DEVICE", "1", 1);
	harness_start(h);
	unsetenv("NEAPD_NO_DEVICE");
	model_wait(h, "quick");
	if (with_module) {
		CHECK(neap_run(u.n, &u.rq, &c) == -ENODEV, "%s", neap_strerror(c.status));
		CHECK(strstr(neap_last_error(u.n), "neapctl status"), "%s", neap_last_error(u.n));
		neap_buffer_free(u.in);
		neap_buffer_free(u.out);
		CHECK_OK(neap_buffer_new(u.n, neap_model_info(u.m)->in_bytes, NEAP_BUFFER_INPUT,
					 &u.in));
		CHECK_OK(neap_buffer_new(u.n, neap_model_info(u.m)->out_bytes, NEAP_BUFFER_OUTPUT,
					 &u.out));
		CHECK(!is_dmabuf(neap_buffer_fd(u.in)));
		u.rq.in = u.in;
		u.rq.out = u.out;
	}
	user_run(&u, &o, &state);
	user_close(&u);
	oracle_close(&o);
	harness_stop(h);
	harness_start(h);
	model_wait(h, "slow");
}

/* Starts the daemon again; the status must say that it uses memfds because of @why. */
static void falls_back(struct harness *h, const char *why)
{
	harness_start(h);
	model_wait(h, "quick");
	CHECK(status_has(h, "\"transport\":{\"name\":\"memfd\"") && status_has(h, why), "%s", why);
	serves(h);
	harness_stop(h);
}

static void nodes_that_cannot_be_had(struct harness *h)
{
	int node;

	if (!with_module || geteuid() != 0) {
		printf("  needs the module, and root\n");
		return;
	}
	harness_stop(h);
	node = open("/dev/neap-server", O_RDWR | O_CLOEXEC);
	CHECK(node >= 0, "%s", strerror(errno));
	falls_back(h, "in use by another process");
	close(node);
	h->uid = 65534;
	CHECK(chown(h->run, h->uid, h->uid) == 0);
	falls_back(h, "no permission for /dev/neap-server");
	h->uid = 0;
	CHECK(chown(h->run, 0, 0) == 0);
	harness_start(h);
	model_wait(h, "quick");
	CHECK(status_has(h, "\"transport\":{\"name\":\"device\""));
}

/* By whoever was the server before. */
static void revoked_buffers_are_refused(struct harness *h)
{
	struct neap_msg_buf_add add = {
		.h.type = NEAP_MSG_BUF_ADD, .bytes = 4096, .flags = NEAP_WIRE_BUF_READ};
	struct neap_buf_revoke revoke = {.fd = raw_device_buffer(4096)};
	struct raw_reply reply;
	struct raw r;
	int node;

	if (revoke.fd < 0 || !with_module) {
		if (revoke.fd >= 0)
			close(revoke.fd);
		printf("  needs the module\n");
		return;
	}
	harness_stop(h);
	node = open("/dev/neap-server", O_RDWR | O_CLOEXEC);
	CHECK(node >= 0 && ioctl(node, NEAP_IOC_BUF_REVOKE, &revoke) == 0, "%s", strerror(errno));
	close(node);
	harness_start(h);
	model_wait(h, "quick");
	raw_connect(&r, h);
	raw_hello(&r);
	raw_call(&r, &add.h, sizeof(add), &revoke.fd, 1, &reply);
	CHECK(reply.m.h.status == -ESTALE && strstr(reply.m.goodbye.text, "revoked"), "%d %s",
	      reply.m.h.status, reply.m.goodbye.text);
	raw_close(&r);
	close(revoke.fd);
}

/* What hostile clients may send to a daemon that has the module. */
static void descriptors_that_are_refused(struct harness *h)
{
	struct neap_msg_buf_add add = {.h.type = NEAP_MSG_BUF_ADD, .bytes = 8192};
	struct raw_reply reply;
	struct raw r;
	int fd = raw_device_buffer(4096), other, ends[2];

	if (fd < 0 || !with_module) {
		if (fd >= 0)
			close(fd);
		printf("  needs the module\n");
		return;
	}
	raw_connect(&r, h);
	raw_hello(&r);
	/* Too small. */
	add.flags = NEAP_WIRE_BUF_READ;
	raw_call(&r, &add.h, sizeof(add), &fd, 1, &reply);
	CHECK(reply.m.h.status == -EINVAL && strstr(reply.m.goodbye.text, "4096 bytes"), "%s",
	      reply.m.goodbye.text);
	/* The nodes themselves, and what is no memory at all. */
	CHECK(pipe(ends) == 0);
	other = open("/dev/neap", O_RDWR | O_CLOEXEC);
	add.bytes = 4096;
	for (int i = 0; i < 3; i++) {
		int bad = i == 0 ? other : ends[i - 1];

		raw_call(&r, &add.h, sizeof(add), &bad, 1, &reply);
		CHECK(reply.m.h.status == -EINVAL && strstr(reply.m.goodbye.text, "memory file"),
		      "%d: %d %s", i, reply.m.h.status, reply.m.goodbye.text);
	}
	/* A ring region needs a seal that a buffer of the module has not got. */
	{
		struct neap_msg_rings rings = {.h.type = NEAP_MSG_RINGS, .entries = 8};

		raw_call(&r, &rings.h, sizeof(rings), &fd, 1, &reply);
		CHECK(reply.m.h.status == -EINVAL, "%d", reply.m.h.status);
	}
	/* The session goes on, and the daemon has closed what it did not want. */
	raw_rings(&r, 8);
	raw_add(&r, fd, 4096, NEAP_WIRE_BUF_READ | NEAP_WIRE_BUF_WRITE);
	close(fd);
	close(other);
	close(ends[0]);
	close(ends[1]);
	raw_close(&r);
	status_wait(h, "sessions", 1, 20000);
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
	model_install(&h, "slow", &model_slow);
	harness_start(&h);
	model_wait(&h, "slow");
	RUN_CASE(&h, status_says_which_and_why);
	RUN_CASE(&h, buffers_are_of_that_kind);
	RUN_CASE(&h, memfds_are_taken_as_well);
	RUN_CASE(&h, buffers_live_over_restarts);
	RUN_CASE(&h, limits_are_named);
	RUN_CASE(&h, budgets_are_the_modules);
	RUN_CASE(&h, nodes_that_cannot_be_had);
	RUN_CASE(&h, revoked_buffers_are_refused);
	RUN_CASE(&h, descriptors_that_are_refused);
	RUN_CASE(&h, without_the_node_buffers_are_refused_clearly);
	RUN_CASE(&h, strict_buffers_are_owned);
	RUN_CASE(&h, pinned_inputs_are_served_and_counted);
	RUN_CASE(&h, a_buffer_with_two_handles_is_owned_once);
	RUN_CASE(&h, memfd_on_request);
	harness_done(&h);
	return 0;
}
