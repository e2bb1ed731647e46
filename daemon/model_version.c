/* SPDX-License-Identifier: MIT */
/*
 * Loading one file. It is read into memory, not mapped: a file that somebody truncates in place
 * while it is parsed would be SIGBUS otherwise. The bytes and the parsed model are freed as soon as
 * the program is built; what stays is the program, the levels and one context a worker.
 */
#include "daemon/model_version.h"
#include "daemon/log.h"
#include "daemon/loop/loop.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_DEFAULT  ((size_t)256 << 20) /* as struct ne_limits says */
#define TIMING_ROUNDS       15
#define TIMING_LEAST_ROUNDS 4
#define TIMING_SHORT_US     10000
#define TIMING_NOISE        1.15f /* measured times that differ by less may be equal */
#define TIMING_SHARE        1000 /* less of the CPU than 1/this was not measured, but not counted */

static int read_all(int fd, char *data, size_t bytes, struct ne_error *err)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = read(fd, data + done, bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ne_fail(err, errno, "read: %s", strerror(errno));
		if (n == 0)
			return ne_fail(err, EBADMSG, "the file became shorter while it was read");
		done += (size_t)n;
	}
	return 0;
}

static int read_file(const char *path, size_t limit, struct model_file *ret_file, char **ret_data,
		     size_t *ret_bytes, struct ne_error *err)
{
	/* NONBLOCK: a FIFO with the right name must not stop the daemon. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *data = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return ne_fail(err, errno, "open: %s", strerror(errno));
	if (fstat(fd, &st) < 0) {
		r = ne_fail(err, errno, "fstat: %s", strerror(errno));
		goto out;
	}
	*ret_file = (struct model_file){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
	if (!S_ISREG(st.st_mode)) {
		r = ne_fail(err, EINVAL, "not a regular file");
		goto out;
	}
	if (st.st_size <= 0 || (uint64_t)st.st_size > limit) {
		r = ne_fail(err, st.st_size > 0 ? E2BIG : EBADMSG,
			    "the file has %lld bytes; 1 to %zu are allowed", (long long)st.st_size,
			    limit);
		goto out;
	}
	data = malloc((size_t)st.st_size);
	if (!data) {
		r = ne_fail(err, ENOMEM, "no memory for %lld bytes", (long long)st.st_size);
		goto out;
	}
	r = read_all(fd, data, (size_t)st.st_size, err);
	if (r < 0)
		goto out;
	*ret_data = data;
	*ret_bytes = (size_t)st.st_size;
	data = NULL;
out:
	free(data);
	close(fd);
	return r;
}

static bool dtype_on_wire(enum ne_dtype t)
{
	return t == NE_F32 || t == NE_S8 || t == NE_U8 || t == NE_S16 || t == NE_S32 ||
	       t == NE_S64 || t == NE_BOOL;
}

static int describe_one(const struct ne_io *from, uint64_t *offset, struct neap_wire_io *to,
			struct ne_error *err)
{
	const char *name = from->name ? from->name : "";

	if (!dtype_on_wire(from->dtype) || from->shape.rank > NEAP_WIRE_MAX_RANK)
		return ne_fail(err, ENOTSUP, "'%s': clients cannot be told of type %s, rank %u",
			       name, ne_dtype_name(from->dtype), from->shape.rank);
	strncpy(to->name, name, sizeof(to->name) - 1);
	to->dtype = (uint32_t)from->dtype;
	to->rank = from->shape.rank;
	memcpy(to->dim, from->shape.dim, sizeof(to->dim));
	to->scale = from->quant.scale;
	to->zero = from->quant.zero;
	to->offset = *offset;
	to->bytes = from->bytes;
	*offset += ne_round_up(from->bytes, NE_ALIGN);
	return 0;
}

static int describe_io(const struct ne_program *p, struct model_io *io, struct ne_error *err)
{
	io->n_in = ne_program_inputs(p);
	io->n_out = ne_program_outputs(p);
	if (io->n_in > NEAP_WIRE_MAX_IO || io->n_out > NEAP_WIRE_MAX_IO || !io->n_in || !io->n_out)
		return ne_fail(err, ENOTSUP, "%u inputs and %u outputs; 1 to %u are served",
			       io->n_in, io->n_out, NEAP_WIRE_MAX_IO);
	for (uint32_t i = 0; i < io->n_in; i++)
		NE_RETURN_IF(describe_one(ne_program_input(p, i), &io->in_bytes, &io->io[i], err));
	for (uint32_t i = 0; i < io->n_out; i++)
		NE_RETURN_IF(describe_one(ne_program_output(p, i), &io->out_bytes,
					  &io->io[io->n_in + i], err));
	return 0;
}

bool model_io_equal(const struct model_io *a, const struct model_io *b)
{
	return a->n_in == b->n_in && a->n_out == b->n_out && !memcmp(a->io, b->io, sizeof(a->io));
}

/* Active channels of a width setting, of all groups together. */
static double width_channels(const struct ne_model *m, uint32_t width)
{
	double sum = 0;

	for (uint32_t g = 1; g <= m->graph.n_group; g++)
		sum += m->width[width].active[g];
	return sum;
}

static void describe_levels(const struct ne_model *m, struct model_version *v)
{
	double widest = 0;

	for (uint32_t w = 0; w < m->n_width; w++)
		widest = fmax(widest, width_channels(m, w));
	v->accuracy_min = v->accuracy_max = -1;
	for (uint32_t i = 0; i < v->n_level; i++) {
		const struct ne_level *from = ne_program_level(v->program, i);
		struct ne_gov_level *to = &v->level[i];
		double share = widest > 0 ? width_channels(m, from->width) / widest : 1;

		to->depth = (uint16_t)from->depth;
		to->width_permille = (uint16_t)lround(share * 1000);
		to->eligible = from->flags & NE_LEVEL_PARETO;
		/* Not measured: the order by cost stands in for it, below any real accuracy. */
		to->accuracy = from->accuracy >= 0 ? from->accuracy : (float)(i + 1) * 1e-6f;
		if (!to->eligible || from->accuracy < 0)
			continue;
		if (v->accuracy_min < 0 || from->accuracy < v->accuracy_min)
			v->accuracy_min = from->accuracy;
		v->accuracy_max = fmaxf(v->accuracy_max, from->accuracy);
	}
}

static int make_workers(struct model_version *v, struct ne_error *err)
{
	for (uint32_t i = 0; i < v->n_worker; i++) {
		int r = ne_context_new(v->program, 1, &v->worker[i].context);

		if (r < 0)
			return ne_fail(err, -r, "context of a worker: %s", strerror(-r));
		if (i) /* runs belong to streams; the first one's is for timing */
			ne_context_drop_state(v->worker[i].context);
		v->worker[i].scratch = ne_alloc_aligned(v->io.out_bytes);
		if (!v->worker[i].scratch)
			return ne_fail(err, ENOMEM, "no memory for the outputs");
	}
	return 0;
}

/* Inputs for timing: a slope, so that no value is a denormal and not all are zero. */
static char *timing_input(const struct model_io *io)
{
	char *block = ne_alloc_aligned(io->in_bytes);

	if (!block)
		return NULL;
	for (uint32_t i = 0; i < io->n_in; i++) {
		const struct neap_wire_io *t = &io->io[i];
		size_t n = t->bytes / 4;

		if (t->dtype == NE_F32)
			for (size_t k = 0; k < n; k++)
				((float *)(block + t->offset))[k] = (float)(k % 64) / 64.0f - 0.25f;
		else if (t->dtype == NE_S8 || t->dtype == NE_U8)
			for (size_t k = 0; k < t->bytes; k++)
				block[t->offset + k] = (char)(k * 7);
	}
	return block;
}

static void io_pointers(const struct model_io *io, char *in_block, char *out_block, const void **in,
			void **out)
{
	for (uint32_t i = 0; i < io->n_in; i++)
		in[i] = in_block + io->io[i].offset;
	for (uint32_t i = 0; i < io->n_out; i++)
		out[i] = out_block + io->io[io->n_in + i].offset;
}

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) * 1e-9;
}

/*
 * One timed run, in microseconds; negative errno where it does not run. The lesser of the time that
 * passed and the CPU time of this thread: the first is finer, the second leaves out when somebody
 * else had the CPU. Where the second counts in ticks (virtual machines) it may stand still.
 */
static double time_once(struct model_version *v, uint32_t level, const void *const *in,
			void *const *out)
{
	struct timespec wall[2], cpu[2];
	struct ne_result result;
	double passed, used;
	int r;

	ne_context_reset(v->worker[0].context); /* levels take turns: they are no stream */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu[0]);
	clock_gettime(CLOCK_MONOTONIC, &wall[0]);
	r = ne_run(v->program, v->worker[0].context, level, in, out, NULL, &result);
	clock_gettime(CLOCK_MONOTONIC, &wall[1]);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu[1]);
	if (r < 0)
		return r;
	passed = seconds_between(&wall[0], &wall[1]);
	used = seconds_between(&cpu[0], &cpu[1]);
	return fmax(0.1, 1e6 * (used * TIMING_SHARE < passed ? passed : fmin(passed, used)));
}

/*
 * Levels that differ by less than the measurement can tell are put in the order of their work, so
 * that the smallest is the quickest. Real differences stay: a deep narrow level may well take longer
 * than a shallow wide one of more MACs.
 */
static void order_by_work(struct model_version *v)
{
	for (uint32_t i = v->n_level; i-- > 0;) {
		uint64_t macs = ne_program_level(v->program, i)->macs;
		float *t = &v->level[i].time_us;

		for (uint32_t k = 0; k < v->n_level; k++) {
			float other = v->level[k].time_us;

			if (ne_program_level(v->program, k)->macs > macs && *t >= other &&
			    *t <= other * TIMING_NOISE)
				*t = other * 0.999f;
		}
	}
}

/*
 * t(level): the least of a few runs, because what else the machine does meanwhile is not the
 * level's cost; the governor learns that part as a running ratio. Level after level in rounds, so
 * that a disturbance does not meet all runs of one level.
 */
static int time_levels(struct model_version *v, struct ne_error *err)
{
	const void *in[NEAP_WIRE_MAX_IO];
	void *out[NEAP_WIRE_MAX_IO];
	char *block = timing_input(&v->io);
	int64_t start = loop_now_us();
	double us_per_mac = 0;

	if (!block)
		return ne_fail(err, ENOMEM, "no memory for the inputs");
	io_pointers(&v->io, block, v->worker[0].scratch, in, out);
	for (uint32_t n = 0; n < TIMING_ROUNDS * v->n_level; n++) {
		uint32_t i = n % v->n_level, round = n / v->n_level;
		double macs = (double)ne_program_level(v->program, i)->macs + 1, us;
		int64_t gone = loop_now_us() - start;
		bool late = gone > MODELS_TIMING_US;

		/* Short levels get a few runs in any case: they are the ones that noise spoils. */
		if (late && round &&
		    (round >= TIMING_LEAST_ROUNDS || gone > 3 * MODELS_TIMING_US ||
		     v->level[i].time_us > TIMING_SHORT_US))
			continue;
		us = late && !round && n ? macs * us_per_mac : time_once(v, i, in, out);
		if (us < 0) {
			free(block);
			return ne_fail(err, (int)-us, "level %u does not run: %s", i,
				       strerror((int)-us));
		}
		us_per_mac = us / macs;
		if (!round || us < (double)v->level[i].time_us)
			v->level[i].time_us = (float)us;
	}
	free(block);
	order_by_work(v);
	return 0;
}

static void model_energy(struct model_version *v, unsigned active_power_mw)
{
	float least = 0;

	for (uint32_t i = 0; i < v->n_level; i++) {
		/* mW * us = nJ */
		v->level[i].energy_uj = v->level[i].time_us * (float)active_power_mw * 1e-3f;
		if (i == 0 || v->level[i].time_us < least)
			least = v->level[i].time_us;
	}
	v->least_us = (uint32_t)ceilf(least);
}

static int build(const struct ne_model *m, const struct models_config *c,
		 struct model_version **ret, struct ne_error *err)
{
	struct model_version *v = calloc(1, sizeof(*v) + c->workers * sizeof(v->worker[0]));
	int r;

	if (!v)
		return ne_fail(err, ENOMEM, "no memory");
	v->refs = 1;
	v->n_worker = c->workers;
	v->confidence = m->confidence;
	v->n_exit = m->graph.n_exit;
	r = ne_program_new(m, NULL, &v->program, err);
	if (r < 0)
		goto fail;
	v->n_level = ne_program_levels(v->program);
	if (!v->n_level || v->n_level > NE_GOV_MAX_LEVELS) {
		r = ne_fail(err, EBADMSG, "%u levels; 1 to %u are served", v->n_level,
			    NE_GOV_MAX_LEVELS);
		goto fail;
	}
	v->level = calloc(v->n_level, sizeof(*v->level));
	if (!v->level) {
		r = ne_fail(err, ENOMEM, "no memory");
		goto fail;
	}
	describe_levels(m, v);
	r = describe_io(v->program, &v->io, err);
	if (r < 0)
		goto fail;
	r = make_workers(v, err);
	if (r < 0)
		goto fail;
	*ret = v;
	return 0;
fail:
	model_version_unref(v);
	return r;
}

int model_version_load(const char *path, const struct models_config *c, struct model_file *ret_file,
		       struct model_version **ret, struct ne_error *err)
{
	size_t limit = c->limits.file_bytes ? c->limits.file_bytes : FILE_BYTES_DEFAULT;
	struct model_version *v = NULL;
	struct ne_model *m = NULL;
	char *data = NULL;
	size_t bytes = 0;
	int r = read_file(path, limit, ret_file, &data, &bytes, err);

	if (r < 0)
		return r;
	r = ne_container_parse(data, bytes, &c->limits, &m, err);
	free(data);
	if (r < 0)
		return r;
	r = build(m, c, &v, err);
	ne_model_free(m);
	if (r < 0)
		return r;
	v->file_bytes = bytes;
	r = time_levels(v, err);
	if (r < 0) {
		model_version_unref(v);
		return r;
	}
	ne_context_drop_state(v->worker[0].context);
	model_energy(v, c->active_power_mw);
	*ret = v;
	return 0;
}

struct model_version *model_version_ref(struct model_version *v)
{
	__atomic_fetch_add(&v->refs, 1, __ATOMIC_RELAXED);
	return v;
}

void model_version_unref(struct model_version *v)
{
	if (!v || __atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (uint32_t i = 0; i < v->n_worker; i++) {
		ne_context_free(v->worker[i].context);
		free(v->worker[i].scratch);
	}
	ne_program_free(v->program);
	free(v->level);
	free(v);
}
