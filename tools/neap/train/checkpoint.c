// SPDX-License-Identifier: MIT
/*
 * The checkpoint file, little-endian: struct header, then theta, velocity and average (n_theta f32
 * each), then XXH3-64 of all before it. Owns nothing beyond a call.
 */
#include "tools/neap/train/checkpoint.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC "NEAPCKP1"

struct header {
	char magic[8];
	uint64_t recipe, scope, step;
	uint32_t threads, n_theta;
};

uint64_t checkpoint_hash(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}

static bool is_section(const char *line, size_t n, const char *name)
{
	return n > strlen(name) && line[0] == '[' && !strncmp(line + 1, name, strlen(name));
}

uint64_t checkpoint_recipe_hash(const char *text)
{
	XXH64_hash_t hash = 0;
	bool counts = true;

	for (size_t n; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		if (text[0] == '[')
			counts = !is_section(text, n, "quantise]") &&
				 !is_section(text, n, "levels]") && !is_section(text, n, "report]");
		if (counts && n && text[0] != '#' && text[0] != ';')
			hash = XXH3_64bits_withSeed(text, n, hash);
	}
	return hash;
}

static size_t file_bytes(uint32_t n_theta)
{
	return sizeof(struct header) + 3 * (size_t)n_theta * sizeof(float) + sizeof(uint64_t);
}

static int write_all(int fd, const char *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, data, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		bytes -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The rename lasts only once the folder is on disk too. */
static void sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(folder);
}

static int replace(const char *path, const char *data, size_t bytes)
{
	char *temp = NULL;
	int fd, rc;

	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		free(temp);
		return rc;
	}
	rc = write_all(fd, data, bytes);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(temp);
	else
		sync_folder(path);
	free(temp);
	return rc;
}

int checkpoint_save(const char *path, const struct checkpoint_key *key,
		    const struct trainer_state *state, struct ne_error *err)
{
	struct header h = {.recipe = key->recipe,
			   .scope = key->scope,
			   .step = state->step,
			   .threads = key->threads,
			   .n_theta = key->n_theta};
	size_t bytes = file_bytes(key->n_theta), vector = key->n_theta * sizeof(float);
	char *data = malloc(bytes), *at = data;
	uint64_t sum;
	int rc;

	if (!data)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	memcpy(h.magic, MAGIC, sizeof(h.magic));
	memcpy(at, &h, sizeof(h));
	at += sizeof(h);
	memcpy(at, state->theta, vector);
	memcpy(at + vector, state->velocity, vector);
	memcpy(at + 2 * vector, state->average, vector);
	sum = checkpoint_hash(data, bytes - sizeof(sum));
	memcpy(data + bytes - sizeof(sum), &sum, sizeof(sum));
	rc = replace(path, data, bytes);
	free(data);
	return rc < 0 ? ne_fail(err, -rc, "%s: cannot write the checkpoint: %s", path,
				strerror(-rc))
		      : 0;
}

static int read_file(const char *path, char *data, size_t bytes, struct ne_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	struct stat st;
	size_t at = 0;

	if (fd < 0)
		return ne_fail(err, errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
		rc = ne_fail(
			err, EBADMSG,
			"%s: not %zu bytes as a checkpoint of this network would be; remove it to "
			"start afresh",
			path, bytes);
	while (rc == 0 && at < bytes) {
		ssize_t n = read(fd, data + at, bytes - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = ne_fail(err, n < 0 ? errno : EBADMSG, "%s: cannot be read whole",
				     path);
		else
			at += (size_t)n;
	}
	close(fd);
	return rc;
}

static int check(const char *path, const struct checkpoint_key *key, const char *data, size_t bytes,
		 struct header *h, struct ne_error *err)
{
	const char *vectors = data + sizeof(*h);
	uint64_t sum;

	memcpy(h, data, sizeof(*h));
	memcpy(&sum, data + bytes - sizeof(sum), sizeof(sum));
	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) ||
	    sum != checkpoint_hash(data, bytes - sizeof(sum)))
		return ne_fail(err, EBADMSG,
			       "%s: damaged, or no checkpoint; remove it to start afresh", path);
	if (h->recipe != key->recipe || h->scope != key->scope || h->threads != key->threads ||
	    h->n_theta != key->n_theta)
		return ne_fail(
			err, ESTALE,
			"%s: of another recipe, number of epochs or of threads (%u); remove it "
			"to start afresh",
			path, h->threads);
	for (size_t i = 0; i < 3 * (size_t)h->n_theta; i++) {
		float v;

		memcpy(&v, vectors + i * sizeof(v), sizeof(v));
		if (!isfinite(v))
			return ne_fail(err, EBADMSG, "%s: value %zu is not finite", path, i);
	}
	return 0;
}

int checkpoint_load(const char *path, const struct checkpoint_key *key, struct trainer_state *state,
		    struct ne_error *err)
{
	size_t bytes = file_bytes(key->n_theta), vector = key->n_theta * sizeof(float);
	char *data = malloc(bytes);
	struct header h;
	int rc;

	if (!data)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	rc = read_file(path, data, bytes, err);
	if (rc == 0)
		rc = check(path, key, data, bytes, &h, err);
	if (rc == 0) {
		state->step = h.step;
		memcpy(state->theta, data + sizeof(h), vector);
		memcpy(state->velocity, data + sizeof(h) + vector, vector);
		memcpy(state->average, data + sizeof(h) + 2 * vector, vector);
	}
	free(data);
	return rc;
}
