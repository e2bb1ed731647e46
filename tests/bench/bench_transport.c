// SPDX-License-Identifier: MIT
/*
 * One transport against the other, in one run: buffers of the kernel module (/dev/neap) and memfds.
 *
 *   round trip   a small request and its answer, p50 and p99; both kinds of buffers with one daemon,
 *                in turns, so that everything else is the same; then with strict_buffers
 *   allocation   1 MiB and 16 MiB: made, mapped, every page touched, given back
 *   BUF_OWN      taking a buffer from a client that has touched all of it, giving it back, and the
 *                faults until both have all pages again
 *   hostile      a client that changes its input while the daemon computes (answers that fit no
 *                state of the input), that punches holes, that hoards (bytes it holds above the
 *                limit for one client)
 *
 * Without the module there are memfds alone. $NEAP_BENCH_MACHINE says what the machine is.
 */
#include "tests/system/model.h"
#include "tests/system/raw.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "neap/uapi/neap_ioctl.h"

#define LIMIT       "/sys/devices/virtual/misc/neap/buffers/limit_bytes_per_uid"
#define PAGE        4096ul
#define ROUNDS      4000 /* round trips of each kind */
#define ALLOCATIONS 40
#define OWNINGS     60
#define ANSWERS     400 /* that are attacked, of each kind */
#define HOLES       100
#define HOARD_STEP  ((size_t)4 << 20)
#define HOARD_MORE \
	((size_t)64 << 20) /* above the limit: then the benchmark stops, not the client */

enum kind { MEMFD, DEVICE, STRICT, N_KINDS };
static const char *const kind_name[] = {"memfd", "device", "device_strict"};

static bool with_module;
static cJSON *json;

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double quantile(double *v, size_t n, double q)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[(size_t)((double)(n - 1) * q)];
}

static cJSON *object(cJSON *in, const char *key)
{
	cJSON *o = cJSON_GetObjectItemCaseSensitive(in, key);

	return o ? o : cJSON_AddObjectToObject(in, key);
}

static unsigned times(const struct harness *h, unsigned n)
{
	return h->emulated ? n / 4 : n;
}

/* ---- round trips ---- */

struct pair {
	struct user u[2]; /* by enum kind */
	struct oracle o;
	double *us[2], *added[2];
};

static void pair_open(struct pair *p, struct harness *h, unsigned n)
{
	oracle_open_installed(&p->o, h, "quick");
	for (int k = MEMFD; k <= DEVICE; k++) {
		if (k == MEMFD)
			setenv("NEAP_NO_DEVICE", "1", 1);
		user_open(&p->u[k], h, "quick", NULL);
		unsetenv("NEAP_NO_DEVICE");
		p->us[k] = calloc(n, sizeof(double));
		p->added[k] = calloc(n, sizeof(double));
		CHECK(p->us[k] && p->added[k]);
	}
}

static void pair_close(struct pair *p)
{
	for (int k = MEMFD; k <= DEVICE; k++) {
		user_close(&p->u[k]);
		free(p->us[k]);
		free(p->added[k]);
	}
	oracle_close(&p->o);
}

/* @ret_added: what of it was not computing. */
static double round_trip_us(struct user *u, double *ret_added)
{
	struct neap_completion c;
	double t = now_s(), us;

	CHECK_OK(neap_run(u->n, &u->rq, &c));
	us = (now_s() - t) * 1e6;
	*ret_added = us - c.run_us;
	return us;
}

static void add_round_trip(const char *name, const struct pair *p, enum kind k, unsigned n,
			   double ret[2])
{
	cJSON *o = object(object(json, "round_trip"), name);
	double added = quantile(p->added[k], n, 0.5);

	ret[0] = quantile(p->us[k], n, 0.5);
	ret[1] = quantile(p->us[k], n, 0.99);
	cJSON_AddNumberToObject(o, "p50_us", ret[0]);
	cJSON_AddNumberToObject(o, "p99_us", ret[1]);
	cJSON_AddNumberToObject(o, "added_p50_us", added);
	printf("  %-24s %9.1f %9.1f %9.1f\n", name, ret[0], ret[1], added);
}

static void round_trips(struct harness *h, bool strict)
{
	unsigned n = times(h, ROUNDS);
	double figure[2][2];
	uint64_t state = 17;
	struct pair p;

	pair_open(&p, h, n);
	for (int k = MEMFD; k <= DEVICE; k++)
		for (int i = 0; i < 20; i++)
			user_run(&p.u[k], &p.o, &state);
	for (unsigned i = 0; i < n; i++)
		for (int k = MEMFD; k <= DEVICE; k++)
			p.us[k][i] = round_trip_us(&p.u[k], &p.added[k][i]);
	if (!strict)
		printf("round trip, us                   p50       p99   p50 less computing\n");
	add_round_trip(strict ? "memfd_beside_strict" : "memfd", &p, MEMFD, n, figure[MEMFD]);
	if (with_module) {
		cJSON *o = object(json, "round_trip");

		add_round_trip(strict ? "device_strict" : "device", &p, DEVICE, n, figure[DEVICE]);
		cJSON_AddNumberToObject(o, strict ? "strict_ratio_p50" : "ratio_p50",
					figure[DEVICE][0] / figure[MEMFD][0]);
		cJSON_AddNumberToObject(o, strict ? "strict_ratio_p99" : "ratio_p99",
					figure[DEVICE][1] / figure[MEMFD][1]);
		printf("  %-24s %9.3f %9.3f\n", strict ? "strict / memfd" : "device / memfd",
		       figure[DEVICE][0] / figure[MEMFD][0], figure[DEVICE][1] / figure[MEMFD][1]);
	}
	pair_close(&p);
}

/* ---- allocation ---- */

static int new_buffer(enum kind k, size_t bytes)
{
	return k == MEMFD ? raw_memfd(bytes, F_SEAL_SHRINK | F_SEAL_GROW)
			  : raw_device_buffer(bytes);
}

static char *map_buffer(int fd, size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED, "%s", strerror(errno));
	return p;
}

static void touch_all(volatile char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE)
		p[i]++;
}

static double allocation_us(enum kind k, size_t bytes)
{
	double t = now_s();
	int fd = new_buffer(k, bytes);
	char *p = map_buffer(fd, bytes);

	touch_all(p, bytes);
	munmap(p, bytes);
	close(fd);
	return (now_s() - t) * 1e6;
}

static void allocations(const struct harness *h)
{
	static const size_t sizes[] = {1 << 20, 16 << 20};
	unsigned n = times(h, ALLOCATIONS);

	printf("allocation, mapping, first touch, release, us\n");
	for (size_t s = 0; s < 2; s++) {
		double us[2][ALLOCATIONS];
		char name[32];
		cJSON *o;

		for (unsigned i = 0; i < n; i++)
			for (int k = MEMFD; k <= (with_module ? DEVICE : MEMFD); k++)
				us[k][i] = allocation_us((enum kind)k, sizes[s]);
		snprintf(name, sizeof(name), "%zu MiB", sizes[s] >> 20);
		o = object(object(json, "allocate"), name);
		for (int k = MEMFD; k <= (with_module ? DEVICE : MEMFD); k++) {
			double p50 = quantile(us[k], n, 0.5);

			snprintf(name, sizeof(name), "%s_us", kind_name[k]);
			cJSON_AddNumberToObject(o, name, p50);
			printf("  %-7s %-16s %9.0f\n", k ? "" : o->string, kind_name[k], p50);
		}
	}
}

/* ---- BUF_OWN ---- */

/* The client of a buffer, in a process of its own: the server's mappings are exempt. */
static void touch_on_demand(int fd, size_t bytes, int from, int to)
{
	char *p = map_buffer(fd, bytes), byte;

	while (read(from, &byte, 1) == 1) {
		touch_all(p, bytes);
		if (write(to, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static void own_size(const struct harness *h, int node, size_t bytes)
{
	unsigned n = times(h, OWNINGS);
	double take[OWNINGS], give[OWNINGS], server[OWNINGS], client[OWNINGS];
	int fd = raw_device_buffer(bytes), ask[2], told[2];
	char *p = map_buffer(fd, bytes), name[32], byte = 0;
	cJSON *o;
	pid_t pid;

	CHECK(pipe(ask) == 0 && pipe(told) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		close(ask[1]);
		touch_on_demand(fd, bytes, ask[0], told[1]);
	}
	touch_all(p, bytes);
	for (unsigned i = 0; i < n; i++) {
		struct neap_buf_own own = {.fd = fd, .who = NEAP_OWNER_SERVER};
		double t = now_s();

		CHECK(write(ask[1], &byte, 1) == 1 && read(told[0], &byte, 1) == 1);
		client[i] = (now_s() - t) * 1e6;
		t = now_s();
		CHECK(ioctl(node, NEAP_IOC_BUF_OWN, &own) == 0, "%s", strerror(errno));
		take[i] = (now_s() - t) * 1e6;
		t = now_s();
		touch_all(p, bytes);
		server[i] = (now_s() - t) * 1e6;
		own.who = NEAP_OWNER_CLIENT;
		t = now_s();
		CHECK(ioctl(node, NEAP_IOC_BUF_OWN, &own) == 0, "%s", strerror(errno));
		give[i] = (now_s() - t) * 1e6;
	}
	close(ask[1]);
	CHECK(waitpid(pid, NULL, 0) == pid);
	snprintf(name, sizeof(name), "%zu KiB", bytes >> 10);
	o = object(object(json, "own"), name);
	printf("  %-10s %9.1f %9.1f %9.1f %9.1f\n", name, quantile(take, n, 0.5),
	       quantile(server, n, 0.5), quantile(give, n, 0.5), quantile(client, n, 0.5));
	cJSON_AddNumberToObject(o, "take_us", quantile(take, n, 0.5));
	cJSON_AddNumberToObject(o, "server_faults_us", quantile(server, n, 0.5));
	cJSON_AddNumberToObject(o, "give_back_us", quantile(give, n, 0.5));
	cJSON_AddNumberToObject(o, "client_faults_us", quantile(client, n, 0.5));
	munmap(p, bytes);
	close(fd);
	close(ask[0]);
	close(told[0]);
	close(told[1]);
}

/* Before the daemon has the node. */
static void owning(const struct harness *h)
{
	static const size_t sizes[] = {4 << 10, 64 << 10, 1 << 20, 16 << 20};
	int node = open("/dev/neap-server", O_RDWR | O_CLOEXEC);

	CHECK(node >= 0, "/dev/neap-server: %s", strerror(errno));
	printf("BUF_OWN, us                take    server      give    client\n");
	printf("                                   touches     back    touches\n");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		own_size(h, node, sizes[i]);
	close(node);
}

/* ---- a hostile client ---- */

/* A raw client with buffers of a kind; the daemon takes both. */
static void hostile_open(struct raw *r, struct harness *h, enum kind k)
{
	raw_connect(r, h);
	raw_hello(r);
	r->device = k != MEMFD;
	raw_rings(r, 8);
	raw_model(r, "slow");
	r->in_bytes = r->model.in_bytes;
	r->out_bytes = r->model.out_bytes;
	r->in = raw_buffer(r, r->in_bytes, NEAP_WIRE_BUF_READ, &r->in_data);
	r->out = raw_buffer(r, r->out_bytes, NEAP_WIRE_BUF_WRITE, &r->out_data);
}

struct toggle {
	volatile uint32_t *word;
	uint32_t value[2];
	bool stop; /* atomic */
};

/* One word between two values, as fast as it goes. */
static void *toggle_main(void *arg)
{
	struct toggle *t = arg;

	for (unsigned i = 0; !__atomic_load_n(&t->stop, __ATOMIC_RELAXED); i++)
		*t->word = t->value[i & 1];
	return NULL;
}

static uint32_t bits(float v)
{
	uint32_t b;

	memcpy(&b, &v, sizeof(b));
	return b;
}

/*
 * The input is in one of two states at any time, since one word is all that changes: an answer that
 * fits neither was computed from words of both.
 */
static unsigned corrupted(struct harness *h, enum kind k, unsigned n)
{
	char *in, *expect;
	unsigned bad = 0;
	uint64_t state = 5;
	struct toggle t = {.value = {bits(-4), bits(4)}};
	struct oracle o;
	pthread_t thread;
	struct raw r;

	oracle_open_installed(&o, h, "slow");
	hostile_open(&r, h, k);
	input_fill(r.in_data, o.in_bytes, &state);
	in = malloc(o.in_bytes);
	expect = malloc(o.out_bytes * 2 * 64);
	CHECK(in && expect);
	memcpy(in, r.in_data, o.in_bytes);
	t.word = (uint32_t *)(void *)r.in_data + o.in_bytes / sizeof(uint32_t) / 2;
	*t.word = t.value[0];
	/* What each level may answer. */
	for (uint32_t l = 0; l < ne_program_levels(o.program) && l < 64; l++)
		for (int s = 0; s < 2; s++) {
			memcpy(in + ((char *)(uintptr_t)t.word - r.in_data), &t.value[s], 4);
			oracle_run(&o, l, in, expect + (2 * l + (unsigned)s) * o.out_bytes);
		}
	CHECK(pthread_create(&thread, NULL, toggle_main, &t) == 0);
	for (unsigned i = 0; i < n; i++) {
		const char *may;
		struct neap_cqe c;

		raw_submit(&r, i);
		CHECK(raw_complete(&r, &c, 60000) && c.status == 0);
		may = expect + 2u * c.level * o.out_bytes;
		bad += memcmp(r.out_data, may, o.out_bytes) &&
		       memcmp(r.out_data, may + o.out_bytes, o.out_bytes);
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	raw_close(&r);
	oracle_close(&o);
	free(in);
	free(expect);
	return bad;
}

/* Holes in the input that the daemon reads: how many were made. */
static unsigned punched(struct harness *h, enum kind k, unsigned n)
{
	unsigned done = 0;
	struct raw r;

	hostile_open(&r, h, k);
	for (unsigned i = 0; i < n; i++) {
		struct neap_cqe c;

		r.in_data[0] = 1;
		raw_submit(&r, i);
		done += madvise(r.in_data, PAGE, MADV_REMOVE) == 0 && r.in_data[0] == 0;
		CHECK(raw_complete(&r, &c, 60000) && c.status == 0);
	}
	raw_close(&r);
	return done;
}

static uint64_t limit_per_user(void)
{
	unsigned long long v = 0;
	FILE *f = fopen(LIMIT, "r");

	CHECK(f && fscanf(f, "%llu", &v) == 1, LIMIT);
	fclose(f);
	return v;
}

/*
 * Makes buffers, shows each to the daemon, which counts it, takes it back from the daemon's count and
 * keeps it. How many bytes above its limit the client has in the end.
 */
static uint64_t hoarded(struct harness *h, enum kind k, uint64_t *ret_limit)
{
	struct neap_msg_hello hello = {
		.h.type = NEAP_MSG_HELLO, .version = NEAP_WIRE_VERSION, .name = "hoard"};
	struct raw_reply reply;
	int fd[1024], n = 0;
	uint64_t limit, held = 0;
	struct raw r;

	raw_connect(&r, h);
	raw_call(&r, &hello.h, sizeof(hello), NULL, 0, &reply);
	limit = k == MEMFD ? reply.m.hello.max_session_bytes : limit_per_user();
	while (n < 1024 && held < limit + HOARD_MORE) {
		struct neap_msg_buf_add add = {.h.type = NEAP_MSG_BUF_ADD,
					       .bytes = HOARD_STEP,
					       .flags = NEAP_WIRE_BUF_READ};
		struct neap_msg_handle remove = {.h.type = NEAP_MSG_BUF_REMOVE};
		struct neap_buf_alloc a = {.bytes = HOARD_STEP};
		char *p;

		if (k == MEMFD) {
			fd[n] = raw_memfd(HOARD_STEP, F_SEAL_SHRINK | F_SEAL_GROW);
		} else {
			int node = open("/dev/neap", O_RDWR | O_CLOEXEC), e;

			e = ioctl(node, NEAP_IOC_BUF_ALLOC, &a) < 0 ? errno : 0;
			close(node);
			CHECK(!e || e == EDQUOT, "%s", strerror(e));
			if (e)
				break;
			fd[n] = a.fd;
		}
		p = map_buffer(fd[n], HOARD_STEP);
		touch_all(p, HOARD_STEP);
		munmap(p, HOARD_STEP);
		raw_call(&r, &add.h, sizeof(add), &fd[n++], 1, &reply);
		held += HOARD_STEP;
		if (reply.m.h.status < 0)
			break;
		remove.handle = reply.m.handle.handle;
		raw_call(&r, &remove.h, sizeof(remove), NULL, 0, &reply);
		CHECK(reply.m.h.status == 0);
	}
	while (n)
		close(fd[--n]);
	raw_close(&r);
	*ret_limit = limit;
	return held > limit ? held - limit : 0;
}

static void hostile(struct harness *h, enum kind k)
{
	unsigned n = times(h, ANSWERS), holes = times(h, HOLES), bad, made;
	cJSON *o = object(object(json, "hostile"), kind_name[k]);
	uint64_t limit, over;

	if (k == MEMFD)
		printf("a hostile client                  corrupted         holes   over its "
		       "limit\n");
	bad = corrupted(h, k, n);
	made = punched(h, k, holes);
	over = hoarded(h, k, &limit);
	printf("  %-24s %9u of %u %6u of %u %6.0f MiB of %.0f\n", kind_name[k], bad, n, made, holes,
	       (double)over / 1048576, (double)limit / 1048576);
	cJSON_AddNumberToObject(o, "answers", n);
	cJSON_AddNumberToObject(o, "corrupted", bad);
	cJSON_AddNumberToObject(o, "holes_tried", holes);
	cJSON_AddNumberToObject(o, "holes_made", made);
	cJSON_AddNumberToObject(o, "limit_bytes", (double)limit);
	cJSON_AddNumberToObject(o, "bytes_over_limit", (double)over);
}

/* ---- all of it ---- */

static void strict_daemon(struct harness *h, char path[128])
{
	FILE *f;

	snprintf(path, 128, "%s/strict.ini", h->dir);
	f = fopen(path, "w");
	CHECK(f && fputs("[neapd]\nstrict_buffers = yes\n", f) >= 0 && fclose(f) == 0);
	harness_stop(h);
	h->config = path;
	harness_start(h);
	model_wait(h, "slow");
}

static int write_json(const char *path)
{
	char *text = cJSON_Print(json);
	FILE *f = fopen(path, "w");
	int ret = !text || !f || fprintf(f, "%s\n", text) < 0;

	if (f && fclose(f))
		ret = 1;
	if (ret)
		fprintf(stderr, "bench_transport: %s: %s\n", path, strerror(errno));
	free(text);
	return ret;
}

static void measure(struct harness *h)
{
	char path[128];

	allocations(h);
	if (with_module)
		owning(h);
	harness_start(h);
	model_wait(h, "slow");
	round_trips(h, false);
	if (!with_module) {
		hostile(h, MEMFD);
		return;
	}
	strict_daemon(h, path);
	round_trips(h, true);
	harness_stop(h);
	h->config = NULL;
	harness_start(h);
	model_wait(h, "slow");
	hostile(h, MEMFD);
	hostile(h, DEVICE);
	strict_daemon(h, path);
	hostile(h, STRICT);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"build", required_argument, NULL, 'b'},
						{"json", required_argument, NULL, 'j'},
						{NULL, 0, NULL, 0}};
	const char *build = NULL, *to = NULL, *machine = getenv("NEAP_BENCH_MACHINE");
	struct harness h = {.workers = "1"};
	int o, ret;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'b') {
			build = optarg;
		} else if (o == 'j') {
			to = optarg;
		} else {
			fprintf(stderr, "usage: bench_transport [--build DIR] [--json FILE]\n");
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	with_module = access("/dev/neap", R_OK | W_OK) == 0 &&
		      access("/dev/neap-server", R_OK | W_OK) == 0;
	ret = harness_prepare(&h, build);
	CHECK(ret == 0, "%s: %s", h.neapd, strerror(-ret));
	json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "machine", machine ? machine : "this one");
	cJSON_AddBoolToObject(json, "module", with_module);
	printf("machine: %s; kernel module: %s\n", machine ? machine : "this one",
	       with_module ? "loaded" : "not loaded, memfds alone");
	model_install(&h, "quick", &model_quick);
	model_install(&h, "slow", &model_slow);
	measure(&h);
	ret = to ? write_json(to) : 0;
	cJSON_Delete(json);
	harness_done(&h);
	return ret;
}
