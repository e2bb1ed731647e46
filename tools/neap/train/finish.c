// SPDX-License-Identifier: MIT
/*
 * The last steps of `neap train`. Prints nothing; the models made on the way are freed here, the
 * last is the caller's.
 */
#include "tools/neap/train/finish.h"
#include "engine/model/container.h"
#include "tools/neap/compress/quantise/quantise.h"
#include "tools/neap/evaluate.h"
#include "tools/neap/timing.h"
#include "tools/neap/train/checkpoint.h"
#include "tools/neap/train/front.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void finish_recipe_hash(const struct recipe *r, char text[17])
{
	snprintf(text, 17, "%016llx",
		 (unsigned long long)checkpoint_hash(r->text, strlen(r->text)));
}

static int note_number(struct ne_model *m, const char *key, unsigned long long v)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", v);
	return ne_model_set_note(m, key, text);
}

static int set_notes(const struct finish *f, struct ne_model *m)
{
	const struct recipe *r = f->r;
	const uint32_t *index;
	char hash[17];

	finish_recipe_hash(r, hash);
	NE_RETURN_IF(ne_model_set_note(m, "tool", "neap train " NEAP_VERSION));
	NE_RETURN_IF(ne_model_set_note(m, "source",
				       r->net.import ? r->net.import : "built from the recipe"));
	NE_RETURN_IF(ne_model_set_note(m, "recipe", r->text));
	NE_RETURN_IF(ne_model_set_note(m, "recipe_xxh3", hash));
	NE_RETURN_IF(ne_model_set_note(m, "train_data", r->data.train_text));
	NE_RETURN_IF(ne_model_set_note(m, "accuracy_data", r->data.test_text));
	if (r->data.licence)
		NE_RETURN_IF(ne_model_set_note(m, "licence", r->data.licence));
	if (r->data.attribution)
		NE_RETURN_IF(ne_model_set_note(m, "attribution", r->data.attribution));
	NE_RETURN_IF(note_number(m, "train_samples", sampler_train(f->s, &index)));
	NE_RETURN_IF(note_number(m, "held_out_samples", sampler_held_out(f->s, &index)));
	NE_RETURN_IF(note_number(m, "test_samples", f->test->n));
	NE_RETURN_IF(note_number(m, "epochs", f->epochs));
	return note_number(m, "seed", r->train.seed);
}

static int set_labels(const struct finish *f, struct ne_model *m, struct ne_error *err)
{
	char **label = f->r->data.n_label ? f->r->data.label : f->train->class_name;

	if (!label)
		return 0;
	m->label = calloc(f->n->n_class, sizeof(*m->label));
	if (!m->label)
		return ne_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < f->n->n_class; i++) {
		m->label[i] = strdup(label[i]);
		if (!m->label[i])
			return ne_fail(err, ENOMEM, "out of memory");
		m->n_label++;
	}
	return 0;
}

/*
 * Norms and f32 constants as f16, which halves them in the file. Done before anything is measured:
 * the figures are then those of the model that the file gives.
 */
static int round_constants(struct ne_model **m, struct ne_error *err)
{
	struct ne_model *rounded = NULL;
	void *data = NULL;
	size_t bytes;
	int rc = ne_container_serialise(*m, NE_PACK_F16, &data, &bytes, err);

	if (rc >= 0)
		rc = ne_container_parse(data, bytes, NULL, &rounded, err);
	free(data);
	if (rc < 0)
		return rc;
	ne_model_free(*m);
	*m = rounded;
	return 0;
}

/*
 * Mean probability of the right class, a steadier figure than the share of right answers where few
 * samples are held out. Output 0 must be a softmax, as in every network built from blocks.
 */
static int measure_probability(const struct ne_model *m, const struct data_set *d, float *ret,
			       struct ne_error *err)
{
	struct sample_feeder *feeder = NULL;
	struct ne_program *p = NULL;
	struct ne_context *c = NULL;
	float *out = NULL;
	void *in = NULL;
	int rc = ne_program_new(m, NULL, &p, err);

	if (rc >= 0 && (ne_program_output(p, 0)->dtype != NE_F32 ||
			ne_program_output(p, 0)->bytes < d->n_class * sizeof(*out)))
		rc = ne_fail(err, EINVAL, "output 0 is no probability per class");
	if (rc >= 0)
		rc = sample_feeder_new(m, d, &feeder, err);
	if (rc >= 0)
		rc = ne_context_new(p, 1, &c);
	if (rc >= 0) {
		in = malloc(sample_feeder_bytes(feeder));
		out = malloc(ne_program_output(p, 0)->bytes);
		rc = in && out ? 0 : ne_fail(err, ENOMEM, "out of memory");
	}
	for (uint32_t l = 0; rc >= 0 && l < m->n_level; l++) {
		double sum = 0.0;

		for (size_t i = 0; rc >= 0 && i < d->n; i++) {
			struct ne_result result;

			sample_feed(feeder, i, in);
			rc = ne_run(p, c, l, (const void *const[]){in}, (void *const[]){out}, NULL,
				    &result);
			sum += (double)out[d->y[i]];
		}
		ret[l] = (float)(sum / (double)NE_MAX(d->n, (size_t)1));
	}
	free(in);
	free(out);
	ne_context_free(c);
	sample_feeder_free(feeder);
	ne_program_free(p);
	return rc;
}

static int choose_front(const struct finish *f, const struct data_set *calibration,
			struct ne_model *m, struct ne_error *err)
{
	const uint32_t *index;
	size_t held = sampler_held_out(f->s, &index);
	float *accuracy = calloc(m->n_level + 1, sizeof(*accuracy));
	struct data_set d = {0};
	int rc = accuracy ? 0 : ne_fail(err, ENOMEM, "out of memory");

	if (rc == 0 && held)
		rc = sampler_subset(f->train, index, held, &d, err);
	if (rc == 0 && f->r->by_probability)
		rc = measure_probability(m, held ? &d : calibration, accuracy, err);
	else if (rc == 0)
		rc = evaluate_levels(m, held ? &d : calibration, EVALUATE_ALL, 0, f->threads,
				     accuracy, err);
	if (rc >= 0) {
		rc = front_choose(m, accuracy, f->r->min_accuracy, f->r->max_levels);
		if (rc < 0)
			ne_fail(err, -rc, "no level reaches min_accuracy = %g on held-out samples",
				(double)f->r->min_accuracy);
	}
	data_close(&d);
	free(accuracy);
	return rc;
}

/* f32 accuracy by (depth, width): the levels of both models are in different orders. */
static int measure(const struct finish *f, const struct ne_model *f32, struct ne_model *m,
		   struct ne_error *err)
{
	float *a = calloc(m->n_level + 1, sizeof(*a)), *b = calloc(f32->n_level + 1, sizeof(*b));
	int rc = a && b ? 0 : ne_fail(err, ENOMEM, "out of memory");

	if (rc == 0)
		rc = evaluate_levels(m, f->test, EVALUATE_ALL, 0, f->threads, a, err);
	if (rc >= 0)
		rc = evaluate_levels(f32, f->test, EVALUATE_ALL, 0, f->threads, b, err);
	for (uint32_t i = 0; rc >= 0 && i < m->n_level; i++) {
		m->level[i].accuracy = a[i];
		for (uint32_t k = 0; k < f32->n_level; k++)
			if (f32->level[k].depth == m->level[i].depth &&
			    f32->level[k].width == m->level[i].width)
				m->level[i].f32_accuracy = b[k];
	}
	free(a);
	free(b);
	return rc;
}

int finish_model(const struct finish *f, const float *theta, const struct width_stats *stats,
		 struct ne_model **ret, struct ne_error *err)
{
	struct quantise_options opt = {.samples = f->r->calibrate, .percentile = f->r->percentile};
	struct ne_model *f32 = NULL, *m = NULL;
	struct data_set calibration = {0};
	const uint32_t *index;
	size_t n = sampler_train(f->s, &index);
	int rc = assemble_model(f->n, theta, stats, &f32, err);

	if (rc >= 0)
		rc = sampler_subset(f->train, index, NE_MIN(n, f->r->calibrate), &calibration, err);
	if (rc >= 0)
		rc = quantise_model(f32, &calibration, &opt, &m, err);
	if (rc >= 0)
		rc = round_constants(&m, err);
	if (rc >= 0)
		rc = set_labels(f, m, err);
	if (rc >= 0)
		rc = choose_front(f, &calibration, m, err);
	if (rc >= 0)
		rc = measure(f, f32, m, err);
	if (rc >= 0)
		rc = time_model(m, NULL, err);
	if (rc >= 0) {
		m->confidence = f->r->confidence;
		rc = set_notes(f, m);
	}
	if (rc >= 0)
		rc = ne_model_check(m, err);
	data_close(&calibration);
	ne_model_free(f32);
	if (rc < 0) {
		ne_model_free(m);
		return rc;
	}
	*ret = m;
	return 0;
}
