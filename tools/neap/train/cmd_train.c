// SPDX-License-Identifier: MIT
/*
 * neap train: a recipe to a nested model, and its controls. Everything that a run needs hangs on
 * struct job, freed in job_done().
 */
#include "tools/neap/train/train.h"
#include "tools/neap/command.h"

#ifdef HAVE_OPENBLAS
#include "engine/model/container.h"
#include "tools/neap/import/onnx.h"
#include "tools/neap/options.h"
#include "tools/neap/train/finish.h"
#include "tools/neap/train/front.h"
#include "tools/neap/train/report.h"
#include "tools/neap/train/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* finish_model() rounded what may be rounded, before anything was measured. */
#define PACK (NE_PACK_RANS | NE_PACK_F16_EXACT)

struct job {
	const char *recipe_path, *out;
	uint64_t epochs, threads;
	bool resume, control, quiet;

	struct recipe recipe;
	struct data_set train, test;
	struct network net;
	struct pool *pool;
	struct sampler *sampler, *test_sampler;
	struct recipe test_recipe; /* a view of recipe: nothing held out, nothing augmented */
	char *checkpoint, *control_checkpoint, *report;
};

static bool parse(struct job *j, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_REQUIRED("output", 'o', &j->out, "FILE", "Where the model goes."),
		OPT_FLAG("resume", 'r', &j->resume, "Go on from the checkpoint beside the output."),
		OPT_NUMBER("epochs", 'e', &j->epochs, "N", "Instead of the recipe's (0).", 0,
			   10000),
		OPT_NUMBER("threads", 't', &j->threads, "N", "Threads (0: one per CPU).", 0,
			   POOL_MAX_THREADS),
		OPT_FLAG("control", 'c', &j->control,
			 "Only train the controls that the output has not yet: each level's shape\n"
			 "alone, with equal epochs."),
		OPT_FLAG("quiet", 'q', &j->quiet, "No progress."),
	};
	const struct command_options o = {
		.command = "train",
		.about = "Trains a network at many widths and depths at once by a recipe\n"
			 "(docs/recipe.md), quantises it, measures every level and writes the "
			 "model\n"
			 "and OUTPUT's report. Ctrl-C stops with a checkpoint.",
		.word_name = "RECIPE",
		.word = &j->recipe_path,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&o, argc, argv, ret_exit);
}

static void say(const struct job *j, const char *text)
{
	if (!j->quiet)
		fprintf(stderr, "%s\n", text);
}

/* models/fashion.neap and ".ckpt" give models/fashion.ckpt. */
static char *beside(const char *out, const char *suffix)
{
	size_t n = strlen(out);
	char *path = NULL;

	if (n > 5 && !strcmp(out + n - 5, ".neap"))
		n -= 5;
	return asprintf(&path, "%.*s%s", (int)n, out, suffix) < 0 ? NULL : path;
}

/* Found out now rather than after an hour of training. */
static int check_writable(const char *out, struct ne_error *err)
{
	const char *slash = strrchr(out, '/');
	char *folder = slash ? strndup(out, (size_t)(slash - out) + 1) : strdup(".");
	int rc = 0;

	if (!folder)
		return ne_fail(err, ENOMEM, "out of memory");
	if (access(folder, W_OK | X_OK) < 0)
		rc = ne_fail(err, errno, "%s: cannot write there: %s", out, strerror(errno));
	free(folder);
	return rc;
}

static int open_network(struct job *j, struct ne_error *err)
{
	struct ne_model *m = NULL;
	void *data = NULL;
	size_t bytes;
	int rc;

	if (!j->recipe.net.import)
		return network_build(&j->recipe, j->train.n_class, &j->net, err);
	NE_RETURN_IF(data_read_file(j->recipe.net.import, (size_t)1 << 30, &data, &bytes, err));
	rc = onnx_import(data, bytes, NULL, &m, err);
	free(data);
	if (rc >= 0)
		rc = network_import(&j->recipe, m, &j->net, err);
	ne_model_free(m);
	return rc;
}

static int open_all(struct job *j, struct ne_error *err)
{
	struct recipe *t = &j->test_recipe;

	NE_RETURN_IF(recipe_load(j->recipe_path, &j->recipe, err));
	NE_RETURN_IF(check_writable(j->out, err));
	if (!j->epochs)
		j->epochs = j->recipe.train.epochs;
	if (!j->threads)
		j->threads = (uint64_t)NE_CLAMP(sysconf(_SC_NPROCESSORS_ONLN), 1, 16);
	j->checkpoint = beside(j->out, ".ckpt");
	j->control_checkpoint = beside(j->out, ".control.ckpt");
	j->report = beside(j->out, ".report.json");
	if (!j->checkpoint || !j->control_checkpoint || !j->report)
		return ne_fail(err, ENOMEM, "out of memory");
	NE_RETURN_IF(data_open(j->recipe.data.train, &j->train, err));
	NE_RETURN_IF(data_open(j->recipe.data.test, &j->test, err));
	if (j->test.n_class != j->train.n_class)
		return ne_fail(err, EINVAL, "%s has %u classes, %s has %u", j->train.name,
			       j->train.n_class, j->test.name, j->test.n_class);
	if (j->recipe.data.n_label && j->recipe.data.n_label != j->train.n_class)
		return ne_fail(err, EINVAL, "%s: %u labels for %u classes", j->recipe_path,
			       j->recipe.data.n_label, j->train.n_class);
	NE_RETURN_IF(open_network(j, err));
	if (pool_new((uint32_t)j->threads, &j->pool) < 0)
		return ne_fail(err, EAGAIN, "cannot start %u threads", (unsigned)j->threads);
	NE_RETURN_IF(sampler_new(&j->recipe, &j->net, &j->train, (uint32_t)j->threads, &j->sampler,
				 err));
	*t = j->recipe;
	t->data.validation = 0;
	t->augment = (struct recipe_augment){0};
	return sampler_new(t, &j->net, &j->test, (uint32_t)j->threads, &j->test_sampler, err);
}

static void job_done(struct job *j)
{
	sampler_free(j->sampler);
	sampler_free(j->test_sampler);
	pool_free(j->pool);
	network_done(&j->net);
	data_close(&j->train);
	data_close(&j->test);
	recipe_done(&j->recipe);
	free(j->checkpoint);
	free(j->control_checkpoint);
	free(j->report);
}

static struct session session_of(const struct job *j, const char *title, const char *checkpoint)
{
	return (struct session){.r = &j->recipe,
				.n = &j->net,
				.s = j->sampler,
				.pool = j->pool,
				.checkpoint = checkpoint,
				.title = title,
				.epochs = (uint32_t)j->epochs,
				.resume = j->resume,
				.quiet = j->quiet};
}

static int write_out(const struct job *j, const struct ne_model *m, bool print,
		     struct ne_error *err)
{
	struct stat st;

	NE_RETURN_IF(ne_container_save(j->out, m, PACK, err));
	if (stat(j->out, &st) < 0)
		return ne_fail(err, errno, "%s: %s", j->out, strerror(errno));
	NE_RETURN_IF(report_write(j->report, m, (size_t)st.st_size, err));
	if (print && !j->quiet)
		report_print(m, (size_t)st.st_size);
	fflush(stdout);
	return 0;
}

static int check_same_recipe(const struct job *j, const struct ne_model *m, struct ne_error *err)
{
	const char *made_by = ne_model_get_note(m, "recipe_xxh3");
	const char *epochs = ne_model_get_note(m, "epochs");
	char hash[17];

	finish_recipe_hash(&j->recipe, hash);
	if (!made_by || strcmp(made_by, hash))
		return ne_fail(err, ESTALE,
			       "%s was not made by %s as it is now: no controls for it", j->out,
			       j->recipe_path);
	if (!epochs || strtoull(epochs, NULL, 10) != j->epochs)
		return ne_fail(err, ESTALE,
			       "%s was trained for %s epochs: controls need the same (--epochs)",
			       j->out, epochs ? epochs : "an unknown number of");
	for (uint32_t i = 0; i < m->n_level; i++)
		if (m->level[i].depth >= j->net.n_exit || m->level[i].width >= j->net.n_width)
			return ne_fail(err, ESTALE, "%s: level %u is not of this recipe", j->out,
				       i);
	return 0;
}

/*
 * Controls know nothing of the nested training: those that a file made by the same recipe has are
 * good for the one that takes its place.
 */
static void keep_controls(const struct job *j, struct ne_model *m)
{
	struct ne_error err = {{0}};
	struct ne_model *old;

	if (!j->resume || ne_container_load(j->out, NULL, &old, &err) < 0)
		return;
	for (uint32_t i = 0; i < m->n_level && check_same_recipe(j, old, &err) >= 0; i++)
		for (uint32_t k = 0; k < old->n_level; k++)
			if (old->level[k].depth == m->level[i].depth &&
			    old->level[k].width == m->level[i].width)
				m->level[i].control_accuracy = old->level[k].control_accuracy;
	ne_model_free(old);
}

static int train_nested(struct job *j, struct ne_error *err)
{
	struct session c = session_of(j, "nested", j->checkpoint);
	struct finish f = {.r = &j->recipe,
			   .n = &j->net,
			   .train = &j->train,
			   .test = &j->test,
			   .s = j->sampler,
			   .epochs = (uint32_t)j->epochs,
			   .threads = (unsigned)j->threads};
	struct trainer_scope scope = {.n_width = j->net.n_width,
				      .exits = (1u << j->net.n_exit) - 1};
	struct width_stats stats;
	struct ne_model *m = NULL;
	struct trainer *t;
	int rc;

	for (uint32_t w = 0; w < j->net.n_width; w++)
		scope.width[w] = w;
	NE_RETURN_IF(session_train(&c, &scope, !j->recipe.net.import, &t, err));
	say(j, "batch norm statistics of each width, quantisation, measuring each level");
	rc = width_stats_new(&j->net, &stats);
	if (rc < 0) {
		trainer_free(t);
		return ne_fail(err, -rc, "out of memory");
	}
	for (uint32_t w = 0; w < j->net.n_width; w++)
		trainer_recalibrate(t, w, j->recipe.recalibrate, stats.mean[w], stats.var[w]);
	rc = finish_model(&f, trainer_weights(t), &stats, &m, err);
	if (rc >= 0)
		keep_controls(j, m);
	if (rc >= 0)
		rc = write_out(j, m, true, err);
	ne_model_free(m);
	width_stats_done(&stats);
	trainer_free(t);
	return rc;
}

/* The shape of @l alone, from fresh weights; its accuracy on the test data. */
static int train_control(struct job *j, const struct ne_level *l, const char *title,
			 float *ret_accuracy, struct ne_error *err)
{
	struct session c = session_of(j, title, j->control_checkpoint);
	struct trainer_scope scope = {.n_width = 1, .width = {l->width}, .exits = 1u << l->depth};
	float right[NE_MAX_EXITS];
	struct width_stats stats;
	const uint32_t *index;
	struct trainer *t;
	size_t n;
	int rc;

	c.resume = true; /* a checkpoint of another level is not gone on from */
	NE_RETURN_IF(session_train(&c, &scope, !j->recipe.net.import, &t, err));
	rc = width_stats_new(&j->net, &stats);
	if (rc == 0) {
		trainer_recalibrate(t, 0, j->recipe.recalibrate, stats.mean[0], stats.var[0]);
		n = sampler_train(j->test_sampler, &index);
		trainer_accuracy(t, 0, stats.mean[0], stats.var[0], j->test_sampler, index, n,
				 right);
		*ret_accuracy = right[l->depth];
		width_stats_done(&stats);
	}
	trainer_free(t);
	return rc < 0 ? ne_fail(err, -rc, "out of memory") : 0;
}

/* Levels that are not worth their place: [levels] control_margin of the recipe. */
static int drop_beaten(const struct job *j, struct ne_model *m, struct ne_error *err)
{
	double points = 100.0 * (double)j->recipe.control_margin;
	char text[96];
	int n;

	if (!(j->recipe.control_margin > 0.0f))
		return 0;
	n = front_drop_beaten(m, j->recipe.control_margin);
	if (n == -ERANGE)
		return ne_fail(err, ERANGE,
			       "%s: every level is more than %g points below its control; all are "
			       "left in the file",
			       j->out, points);
	if (n > 0) {
		snprintf(text, sizeof(text),
			 "%d off the front: more than %g points below the control", n, points);
		say(j, text);
	}
	return n < 0 ? ne_fail(err, -n, "out of memory") : 0;
}

static int train_controls(struct job *j, struct ne_error *err)
{
	struct ne_model *m;
	int rc;

	NE_RETURN_IF(command_load(j->out, &m, err));
	rc = check_same_recipe(j, m, err);
	for (uint32_t i = 0; rc >= 0 && i < m->n_level; i++) {
		struct ne_level *l = &m->level[i];
		char title[48];

		if (!(l->flags & NE_LEVEL_PARETO) || l->control_accuracy >= 0.0f)
			continue;
		snprintf(title, sizeof(title), "control of level %u", i);
		rc = train_control(j, l, title, &l->control_accuracy, err);
		if (rc >= 0)
			rc = write_out(j, m, false, err);
	}
	if (rc >= 0) {
		unlink(j->control_checkpoint);
		rc = drop_beaten(j, m, err);
	}
	if (rc >= 0)
		rc = write_out(j, m, true, err);
	ne_model_free(m);
	return rc;
}

int cmd_train(int argc, char **argv)
{
	struct job j = {0};
	struct ne_error err = {{0}};
	int rc, code;

	if (!parse(&j, argc, argv, &code))
		return code;
	command_catch_stop();
	rc = open_all(&j, &err);
	if (rc >= 0 && !j.control)
		rc = train_nested(&j, &err);
	if (rc >= 0 && (j.control || j.recipe.control))
		rc = train_controls(&j, &err);
	job_done(&j);
	if (rc < 0)
		return command_fail("train", "%s", err.text[0] ? err.text : strerror(-rc));
	return COMMAND_OK;
}

#else

int cmd_train(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return command_fail("train", "this build has no trainer: OpenBLAS was absent when it was "
				     "built (Debian: libopenblas-dev)");
}
#endif
