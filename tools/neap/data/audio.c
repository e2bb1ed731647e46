// SPDX-License-Identifier: MIT
/*
 * Audio clips with a table of classes and speakers, decoded by libsndfile (WAV, FLAC and more) to
 * one second of s16 mono at 16 kHz. Clips come from a folder or straight from a tar archive.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/data/csv.h"
#include "tools/neap/data/source.h"
#include "tools/neap/data/tar.h"

#ifdef HAVE_SNDFILE
#include <sndfile.h>
#endif

#define RATE_HZ      16000
#define CLIP_SAMPLES 16000
#define CLIP_LIMIT   ((size_t)64 << 20) /* of one file in a folder */
#define MAX_CHANNELS 32
#define TEST_ONE_IN  5u /* speakers */

enum split { SPLIT_ALL, SPLIT_TRAIN, SPLIT_TEST };

/* Where the clips are: @tar, or files under @folder. */
struct clips {
	const char *path;
	bool is_tar;
	void *bytes; /* the archive */
	struct tar tar;
};

struct audio {
	char *clips_path, *csv_path;
	enum split split;
	struct csv csv;
	int file, class, speaker; /* columns; speaker may be -ENOENT */
	size_t *row;              /* rows of the CSV that the split keeps */
	size_t n;
};

/* FNV-1a of 64 bits (Fowler, Noll, Vo), finished by MurmurHash3's mixer so that the remainder
 * depends on all bits: the split must be the same on every machine and in every version. */
static uint64_t stable_hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

static bool has_speaker(const char *speaker)
{
	return *speaker && strcmp(speaker, "-");
}

/* ---- SPEC and table ---- */

static int parse_args(const char *args, struct audio *a, struct ne_error *err)
{
	char *option;

	NE_RETURN_IF(
		data_split_pair(args, data_source_audio.usage, &a->clips_path, &a->csv_path, err));
	option = strchr(a->csv_path, ',');
	if (!option)
		return 0;
	*option++ = '\0';
	if (!strcmp(option, "split=train"))
		a->split = SPLIT_TRAIN;
	else if (!strcmp(option, "split=test"))
		a->split = SPLIT_TEST;
	else
		return ne_fail(err, EINVAL,
			       "audio data set: '%s', expected split=train or split=test", option);
	return 0;
}

static int find_columns(struct audio *a, struct ne_error *err)
{
	a->file = csv_column(&a->csv, "file");
	a->class = csv_column(&a->csv, "class");
	a->speaker = csv_column(&a->csv, "speaker");
	if (a->file < 0 || a->class < 0)
		return ne_fail(err, EINVAL, "%s: no column '%s' in the header", a->csv_path,
			       a->file < 0 ? "file" : "class");
	if (a->speaker < 0 && a->split != SPLIT_ALL)
		return ne_fail(err, EINVAL,
			       "%s: no column 'speaker' in the header, which split= needs",
			       a->csv_path);
	if (!a->csv.rows)
		return ne_fail(err, EINVAL, "%s: no rows after the header", a->csv_path);
	return 0;
}

static const char *row_field(const struct audio *a, size_t i, int column)
{
	return csv_field(&a->csv, a->row[i], (uint32_t)column);
}

static bool row_in_split(const struct audio *a, size_t row)
{
	const char *who;
	bool test;

	if (a->split == SPLIT_ALL)
		return true;
	who = csv_field(&a->csv, row, (uint32_t)a->speaker);
	if (!has_speaker(who))
		who = csv_field(&a->csv, row, (uint32_t)a->file);
	test = stable_hash(who) % TEST_ONE_IN == 0;
	return test == (a->split == SPLIT_TEST);
}

static int read_table(struct audio *a, struct ne_error *err)
{
	void *text;
	size_t bytes;
	int rc;

	NE_RETURN_IF(data_read_file(a->csv_path, DATA_FILE_LIMIT, &text, &bytes, err));
	rc = csv_parse(a->csv_path, text, bytes, &a->csv, err);
	free(text);
	NE_RETURN_IF(rc);
	NE_RETURN_IF(find_columns(a, err));
	a->row = calloc(a->csv.rows, sizeof(*a->row));
	if (!a->row)
		return ne_fail(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < a->csv.rows; i++)
		if (row_in_split(a, i))
			a->row[a->n++] = i;
	if (!a->n)
		return ne_fail(err, EINVAL, "%s: no clip is in this split", a->csv_path);
	return 0;
}

/* ---- classes and speakers: numbers for names ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "silence" and "unknown" come after all words. */
static int class_rank(const char *name)
{
	return !strcmp(name, "silence") ? 1 : !strcmp(name, "unknown") ? 2 : 0;
}

static int by_class(const void *a, const void *b)
{
	int ra = class_rank(*(char *const *)a), rb = class_rank(*(char *const *)b);

	return ra != rb ? ra - rb : by_text(a, b);
}

/* Distinct values of a column over the whole table, so that both splits number them alike, sorted.
 * The strings stay the table's. */
static int distinct(const struct audio *a, int column, int (*order)(const void *, const void *),
		    char ***ret, size_t *ret_n, struct ne_error *err)
{
	char **v = calloc(a->csv.rows, sizeof(*v));
	size_t n = 0, kept = 0;

	if (!v)
		return ne_fail(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < a->csv.rows; i++)
		v[n++] = a->csv.field[(i + 1) * a->csv.columns + (uint32_t)column];
	qsort(v, n, sizeof(*v), order);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(v[kept - 1], v[i]))
			v[kept++] = v[i];
	*ret = v;
	*ret_n = kept;
	return 0;
}

static int number_of(const char *name, char *const *v, size_t n,
		     int (*order)(const void *, const void *))
{
	char *const *hit = bsearch(&name, v, n, sizeof(*v), order);

	return hit ? (int)(hit - v) : -1;
}

static int set_classes(const struct audio *a, struct data_set *d, struct ne_error *err)
{
	char **name;
	size_t n;
	int rc = 0;

	NE_RETURN_IF(distinct(a, a->class, by_class, &name, &n, err));
	if (n > DATA_MAX_CLASSES) {
		free(name);
		return ne_fail(err, EINVAL, "%s: more than %d classes", a->csv_path,
			       DATA_MAX_CLASSES);
	}
	d->class_name = calloc(n, sizeof(*d->class_name));
	d->y = calloc(a->n, sizeof(*d->y));
	if (!d->class_name || !d->y)
		rc = ne_fail(err, ENOMEM, "out of memory");
	d->n_class = (uint32_t)n;
	for (size_t i = 0; !rc && i < n; i++) {
		d->class_name[i] = strdup(name[i]);
		if (!d->class_name[i])
			rc = ne_fail(err, ENOMEM, "out of memory");
		else if (!*name[i])
			rc = ne_fail(err, EINVAL, "%s: a clip has an empty class", a->csv_path);
	}
	for (size_t i = 0; !rc && i < a->n; i++)
		d->y[i] = number_of(row_field(a, i, a->class), name, n, by_class);
	free(name);
	return rc;
}

/* Dense ids, in the order in which speakers occur in the split. */
static int set_speakers(const struct audio *a, struct data_set *d, struct ne_error *err)
{
	char **name;
	int32_t *id;
	size_t n;

	if (a->speaker < 0)
		return 0;
	NE_RETURN_IF(distinct(a, a->speaker, by_text, &name, &n, err));
	id = malloc(n * sizeof(*id));
	d->speaker = calloc(a->n, sizeof(*d->speaker));
	if (!id || !d->speaker) {
		free(id);
		free(name);
		return ne_fail(err, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < n; i++)
		id[i] = -1;
	for (size_t i = 0; i < a->n; i++) {
		const char *who = row_field(a, i, a->speaker);
		int k = number_of(who, name, n, by_text);

		if (has_speaker(who) && id[k] < 0)
			id[k] = (int32_t)d->n_speaker++;
		d->speaker[i] = id[k];
	}
	free(id);
	free(name);
	return 0;
}

/* ---- clips ---- */

static int clips_open(struct clips *c, const char *path, struct ne_error *err)
{
	size_t bytes;
	int rc;

	c->path = path;
	rc = data_read_file(path, DATA_FILE_LIMIT, &c->bytes, &bytes, err);
	if (rc == -EISDIR)
		return 0;
	NE_RETURN_IF(rc);
	c->is_tar = true;
	return tar_open(path, c->bytes, bytes, &c->tar, err);
}

static void clips_close(struct clips *c)
{
	tar_close(&c->tar);
	free(c->bytes);
}

/* A table must not lead out of its folder. */
static bool stays_inside(const char *name)
{
	if (*name == '/')
		return false;
	while (*name) {
		size_t n = strcspn(name, "/");

		if (n == 2 && !memcmp(name, "..", 2))
			return false;
		name += n + (name[n] == '/');
	}
	return true;
}

#ifdef HAVE_SNDFILE
/* libsndfile's view of a file in memory. */
struct memory {
	const char *data;
	sf_count_t bytes, at;
};

static sf_count_t memory_length(void *user)
{
	return ((struct memory *)user)->bytes;
}

static sf_count_t memory_seek(sf_count_t offset, int whence, void *user)
{
	struct memory *m = user;
	sf_count_t base = whence == SEEK_CUR ? m->at : whence == SEEK_END ? m->bytes : 0;

	if (offset < -base || offset > m->bytes - base)
		return -1;
	m->at = base + offset;
	return m->at;
}

static sf_count_t memory_read(void *to, sf_count_t bytes, void *user)
{
	struct memory *m = user;

	bytes = NE_CLAMP(bytes, 0, m->bytes - m->at);
	memcpy(to, m->data + m->at, (size_t)bytes);
	m->at += bytes;
	return bytes;
}

static sf_count_t memory_write(const void *from, sf_count_t bytes, void *user)
{
	(void)from;
	(void)bytes;
	(void)user;
	return 0;
}

static sf_count_t memory_tell(void *user)
{
	return ((struct memory *)user)->at;
}

/* One second from the start of the sound; channels are averaged. */
static int read_second(const char *name, SNDFILE *f, int channels, int16_t *ret,
		       struct ne_error *err)
{
	short block[256 * MAX_CHANNELS];
	size_t done = 0;

	while (done < CLIP_SAMPLES) {
		sf_count_t want = (sf_count_t)NE_MIN((size_t)256, CLIP_SAMPLES - done);
		sf_count_t got = sf_readf_short(f, block, want);

		for (sf_count_t i = 0; i < got; i++) {
			int sum = 0;

			for (int c = 0; c < channels; c++)
				sum += block[i * channels + c];
			ret[done++] = (int16_t)(sum / channels);
		}
		if (got < want)
			break;
	}
	if (sf_error(f))
		return ne_fail(err, EBADMSG, "%s: damaged: %s", name, sf_strerror(f));
	if (!done)
		return ne_fail(err, EBADMSG, "%s: no sound in it", name);
	return 0;
}

static int decode(const char *name, const void *data, size_t bytes, int16_t *ret,
		  struct ne_error *err)
{
	SF_VIRTUAL_IO io = {memory_length, memory_seek, memory_read, memory_write, memory_tell};
	struct memory m = {.data = data, .bytes = (sf_count_t)bytes};
	SF_INFO info = {.format = 0};
	SNDFILE *f = sf_open_virtual(&io, SFM_READ, &info, &m);
	int rc;

	if (!f)
		return ne_fail(err, EBADMSG, "%s: not a sound file: %s", name, sf_strerror(NULL));
	if (info.samplerate != RATE_HZ)
		rc = ne_fail(err, EINVAL,
			     "%s: %d Hz; expected %d Hz: convert it first, e.g. sox IN -r %d OUT",
			     name, info.samplerate, RATE_HZ, RATE_HZ);
	else if (info.channels < 1 || info.channels > MAX_CHANNELS)
		rc = ne_fail(err, EINVAL, "%s: %d channels, expected 1 to %d", name, info.channels,
			     MAX_CHANNELS);
	else {
		/* Float files: 1.0 is full scale. */
		sf_command(f, SFC_SET_SCALE_FLOAT_INT_READ, NULL, SF_TRUE);
		sf_command(f, SFC_SET_CLIPPING, NULL, SF_TRUE);
		rc = read_second(name, f, info.channels, ret, err);
	}
	sf_close(f);
	return rc;
}
#else
static int decode(const char *name, const void *data, size_t bytes, int16_t *ret,
		  struct ne_error *err)
{
	(void)data;
	(void)bytes;
	(void)ret;
	return ne_fail(err, ENOTSUP,
		       "%s: built without libsndfile, so audio data sets cannot be read: install "
		       "libsndfile1-dev and build again",
		       name);
}
#endif

static int read_from_folder(const struct clips *c, const char *name, int16_t *ret,
			    struct ne_error *err)
{
	char *path;
	void *data;
	size_t bytes;
	int rc;

	if (!stays_inside(name))
		return ne_fail(err, EINVAL, "%s: leads out of the folder %s", name, c->path);
	if (asprintf(&path, "%s/%s", c->path, name) < 0)
		return ne_fail(err, ENOMEM, "out of memory");
	rc = data_read_file(path, CLIP_LIMIT, &data, &bytes, err);
	if (!rc) {
		rc = decode(path, data, bytes, ret, err);
		free(data);
	}
	free(path);
	return rc;
}

static int read_clip(const struct clips *c, const char *name, int16_t *ret, struct ne_error *err)
{
	const struct tar_member *m;

	if (!c->is_tar)
		return read_from_folder(c, name, ret, err);
	m = tar_find(&c->tar, name);
	if (!m)
		return ne_fail(err, ENOENT, "%s: not in the archive %s", name, c->path);
	return decode(name, m->data, m->bytes, ret, err);
}

static int read_clips(const struct audio *a, struct data_set *d, struct ne_error *err)
{
	struct clips clips = {.is_tar = false};
	struct ne_error why = {""};
	int rc;

	rc = clips_open(&clips, a->clips_path, err);
	d->n = a->n;
	d->dtype = NE_S16;
	d->sample = (struct ne_shape){.rank = 1, .dim = {CLIP_SAMPLES}};
	if (!rc)
		rc = data_set_layout(d, err);
	if (!rc) {
		d->x = calloc(d->n, d->sample_bytes);
		if (!d->x)
			rc = ne_fail(err, ENOMEM, "out of memory for %zu clips", d->n);
	}
	for (size_t i = 0; !rc && i < d->n; i++) {
		rc = read_clip(&clips, row_field(a, i, a->file), (int16_t *)d->x + i * CLIP_SAMPLES,
			       &why);
		if (rc < 0)
			ne_fail(err, -rc, "%.160s (%s, line %zu)", why.text, a->csv_path,
				a->csv.line[a->row[i] + 1]);
	}
	clips_close(&clips);
	return rc;
}

static int open_audio(const char *args, struct data_set *ret, struct ne_error *err)
{
	struct audio a = {.split = SPLIT_ALL};
	int rc;

	rc = parse_args(args, &a, err);
	if (!rc)
		rc = read_table(&a, err);
	if (!rc)
		rc = set_classes(&a, ret, err);
	if (!rc)
		rc = set_speakers(&a, ret, err);
	if (!rc)
		rc = read_clips(&a, ret, err);
	csv_done(&a.csv);
	free(a.row);
	free(a.clips_path);
	free(a.csv_path);
	return rc;
}

const struct data_source data_source_audio = {
	.kind = "audio",
	.usage = "audio:TAR_OR_DIR,CSV[,split=train|test]",
	.open = open_audio,
};
