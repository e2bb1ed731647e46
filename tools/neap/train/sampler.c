// SPDX-License-Identifier: MIT
/*
 * A sampler owns its index lists, the feature program and, per thread, a context and scratch. It
 * refers to the recipe, the network and the data set.
 */
#include "tools/neap/train/sampler.h"
#include "engine/run/run.h"
#include "tools/neap/train/augment.h"

#include <stdlib.h>
#include <string.h>

struct lane {
	struct ne_context *context; /* features only */
	int16_t *clip;
	float *image;
};

struct sampler {
	const struct recipe *r;
	const struct network *n;
	const struct data_set *d;
	struct ne_program *features; /* NULL where the feed is the sample itself */
	struct ne_shape feed;
	size_t floats;
	uint32_t *index; /* training samples, then those held out */
	size_t n_train, n_held;
	uint32_t *noise; /* training samples of the noise class */
	size_t n_noise;
	uint32_t n_lane;
	struct lane *lane;
};

static void shuffle(struct rng *rng, uint32_t *v, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = rng_below(rng, (uint32_t)i);
		uint32_t t = v[i - 1];

		v[i - 1] = v[k];
		v[k] = t;
	}
}

/* Puts samples of whole speakers last until enough are held out. */
static int hold_out_speakers(struct sampler *s, struct rng *rng)
{
	const int32_t *speaker = s->d->speaker;
	uint32_t n_speaker = 0, *order, *sorted;
	size_t front = 0, back = s->d->n;
	bool *held;

	for (size_t i = 0; i < s->d->n; i++)
		n_speaker = NE_MAX(n_speaker, (uint32_t)speaker[i] + 1);
	order = malloc(n_speaker * sizeof(*order));
	sorted = malloc(s->d->n * sizeof(*sorted));
	held = calloc(n_speaker, sizeof(*held));
	if (!order || !sorted || !held) {
		free(order);
		free(sorted);
		free(held);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n_speaker; i++)
		order[i] = i;
	shuffle(rng, order, n_speaker);
	for (uint32_t k = 0; k < n_speaker && s->d->n - back < s->r->data.validation; k++) {
		held[order[k]] = true;
		for (size_t i = 0; i < s->d->n; i++)
			if ((uint32_t)speaker[i] == order[k])
				back--;
	}
	s->n_train = back;
	for (size_t i = 0; i < s->d->n; i++) {
		uint32_t id = s->index[i];

		sorted[held[speaker[id]] ? back++ : front++] = id;
	}
	memcpy(s->index, sorted, s->d->n * sizeof(*sorted));
	free(order);
	free(sorted);
	free(held);
	return 0;
}

static int split(struct sampler *s)
{
	struct rng rng = rng_make(s->r->train.seed, RNG_SPLIT, 0);
	size_t n = s->d->n;

	s->index = malloc(n * sizeof(*s->index));
	s->noise = malloc(n * sizeof(*s->noise));
	if (!s->index || !s->noise)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		s->index[i] = (uint32_t)i;
	shuffle(&rng, s->index, n);
	s->n_train = n - NE_MIN(s->r->data.validation, n);
	if (s->d->speaker && s->r->data.validation)
		NE_RETURN_IF(hold_out_speakers(s, &rng));
	s->n_held = n - s->n_train;
	return 0;
}

static int find_noise(struct sampler *s, struct ne_error *err)
{
	const char *name = s->r->augment.noise_class;

	if (!name)
		return 0;
	for (size_t i = 0; i < s->n_train && s->d->class_name; i++)
		if (!strcmp(s->d->class_name[s->d->y[s->index[i]]], name))
			s->noise[s->n_noise++] = s->index[i];
	if (!s->n_noise)
		return ne_fail(err, EINVAL, "%s: [augment] noise_class = %s: no such class in %s",
			       s->r->path, name, s->d->name);
	return 0;
}

/* The network's front end as a model of its own. */
static int make_features(struct sampler *s, struct ne_error *err)
{
	const struct ne_graph *g = &s->n->graph;
	struct ne_model *m = ne_model_new();
	int rc = m ? 0 : -ENOMEM;

	if (rc == 0)
		rc = ne_graph_copy(&m->graph, g);
	if (rc == 0) {
		uint32_t out = s->n->feed;

		/* One exit: the feed. What lies behind it is dropped. */
		while (m->graph.n_exit)
			free(m->graph.exit[--m->graph.n_exit].out);
		rc = ne_graph_add_exit(&m->graph, 1, &out);
	}
	if (rc >= 0)
		rc = ne_graph_compact(&m->graph, err);
	if (rc >= 0)
		rc = ne_model_add_default_levels(m, err);
	if (rc >= 0)
		rc = ne_program_new(m, NULL, &s->features, err);
	ne_model_free(m);
	return rc < 0 ? rc : 0;
}

static int check_data(const struct sampler *s, struct ne_error *err)
{
	const struct ne_tensor *in = &s->n->graph.tensor[s->n->graph.in[0]];

	if (s->d->dtype != in->dtype ||
	    ne_shape_elements(&s->d->sample) != ne_shape_elements(&in->shape))
		return ne_fail(
			err, EINVAL,
			"%s: samples of %s are %zu values of %s, [network] input wants %zu of %s",
			s->r->path, s->d->name, ne_shape_elements(&s->d->sample),
			ne_dtype_name(s->d->dtype), ne_shape_elements(&in->shape),
			ne_dtype_name(in->dtype));
	return 0;
}

static int make_lanes(struct sampler *s, uint32_t threads)
{
	s->lane = calloc(threads, sizeof(*s->lane));
	if (!s->lane)
		return -ENOMEM;
	s->n_lane = threads;
	for (uint32_t i = 0; i < threads; i++) {
		s->lane[i].clip = malloc(NE_MAX(s->d->sample_bytes, (size_t)1));
		s->lane[i].image = malloc(s->floats * sizeof(float));
		if (!s->lane[i].clip || !s->lane[i].image)
			return -ENOMEM;
		if (s->features)
			NE_RETURN_IF(ne_context_new(s->features, 1, &s->lane[i].context));
	}
	return 0;
}

int sampler_new(const struct recipe *r, const struct network *n, const struct data_set *d,
		uint32_t threads, struct sampler **ret, struct ne_error *err)
{
	struct sampler *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->r = r;
	s->n = n;
	s->d = d;
	s->feed = n->graph.tensor[n->feed].shape;
	s->floats = ne_shape_elements(&s->feed);
	rc = check_data(s, err);
	if (rc == 0)
		rc = split(s);
	if (rc == 0)
		rc = find_noise(s, err);
	if (rc == 0 && r->net.has_mel)
		rc = make_features(s, err);
	if (rc == 0)
		rc = make_lanes(s, threads);
	if (rc < 0) {
		sampler_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->n_lane; i++) {
		ne_context_free(s->lane[i].context);
		free(s->lane[i].clip);
		free(s->lane[i].image);
	}
	free(s->lane);
	ne_program_free(s->features);
	free(s->index);
	free(s->noise);
	free(s);
}

size_t sampler_train(const struct sampler *s, const uint32_t **ret_index)
{
	*ret_index = s->index;
	return s->n_train;
}

size_t sampler_held_out(const struct sampler *s, const uint32_t **ret_index)
{
	*ret_index = s->index + s->n_train;
	return s->n_held;
}

size_t sampler_feed_floats(const struct sampler *s)
{
	return s->floats;
}

static void features_of(struct sampler *s, struct lane *l, uint32_t sample, struct rng *rng,
			float *x)
{
	const int16_t *clip = data_sample(s->d, sample), *noise = NULL;
	size_t n = s->d->sample_bytes / sizeof(*clip);
	struct ne_result result;
	const void *in;
	void *out = x;

	if (rng) {
		if (s->n_noise)
			noise = data_sample(s->d, s->noise[rng_below(rng, (uint32_t)s->n_noise)]);
		augment_audio(&s->r->augment, rng, s->r->net.mel.rate_hz, n, clip, noise, l->clip);
		clip = l->clip;
	}
	in = clip;
	ne_run(s->features, l->context, 0, &in, &out, NULL, &result);
	if (rng)
		augment_features(&s->r->augment, rng, s->feed.dim[1], s->feed.dim[2], x);
}

static void values_of(struct sampler *s, struct lane *l, uint32_t sample, struct rng *rng, float *x)
{
	const struct ne_quant q = s->n->normalise;
	float fill = 0.0f;

	if (s->d->dtype == NE_U8) {
		const uint8_t *src = data_sample(s->d, sample);

		for (size_t i = 0; i < s->floats; i++)
			x[i] = (float)((int32_t)src[i] - q.zero) * q.scale;
		fill = (float)-q.zero * q.scale;
	} else if (s->d->dtype == NE_S16) {
		const int16_t *src = data_sample(s->d, sample);

		for (size_t i = 0; i < s->floats; i++)
			x[i] = (float)((int32_t)src[i] - q.zero) * q.scale;
	} else {
		memcpy(x, data_sample(s->d, sample), s->floats * sizeof(*x));
	}
	if (rng && s->feed.rank == 4)
		augment_image(&s->r->augment, rng, s->feed.dim[1], s->feed.dim[2], s->feed.dim[3],
			      fill, x, l->image);
}

static void one_sample(struct sampler *s, struct lane *l, uint32_t sample, struct rng *rng,
		       float share, float *x, float *target)
{
	if (s->features)
		features_of(s, l, sample, rng, x);
	else
		values_of(s, l, sample, rng, x);
	target[s->d->y[sample]] += share;
}

/* A second sample, mixed in with the smaller share (Zhang et al. 2018, bounded). */
static void mix_in(struct sampler *s, struct lane *l, struct rng *rng, float *x, float *target)
{
	uint32_t other = s->index[rng_below(rng, (uint32_t)s->n_train)];
	float share = rng_between(rng, 0.0f, 0.4f), *second = l->image;

	for (uint32_t k = 0; k < s->n->n_class; k++)
		target[k] *= 1.0f - share;
	one_sample(s, l, other, NULL, share, second, target);
	for (size_t i = 0; i < s->floats; i++)
		x[i] += share * (second[i] - x[i]);
}

void sampler_fill(struct sampler *s, uint32_t thread, const uint32_t *index, uint32_t count,
		  bool augment, uint64_t draw, float *x, float *target)
{
	struct lane *l = &s->lane[thread];

	memset(target, 0, (size_t)count * s->n->n_class * sizeof(*target));
	for (uint32_t i = 0; i < count; i++, x += s->floats, target += s->n->n_class) {
		struct rng rng = rng_make(s->r->train.seed, RNG_AUGMENT, draw + i);

		one_sample(s, l, index[i], augment ? &rng : NULL, 1.0f, x, target);
		if (augment && rng_uniform(&rng) < s->r->augment.mixup)
			mix_in(s, l, &rng, x, target);
	}
}

int sampler_subset(const struct data_set *d, const uint32_t *index, size_t count,
		   struct data_set *ret, struct ne_error *err)
{
	struct data_set s = {.n = count,
			     .dtype = d->dtype,
			     .sample = d->sample,
			     .sample_bytes = d->sample_bytes,
			     .n_class = d->n_class};

	s.x = malloc(NE_MAX(count * d->sample_bytes, (size_t)1));
	s.y = malloc(NE_MAX(count, (size_t)1) * sizeof(*s.y));
	s.name = strdup(d->name);
	if (!s.x || !s.y || !s.name) {
		data_close(&s);
		return ne_fail(err, ENOMEM, "%s: out of memory", d->name);
	}
	for (size_t i = 0; i < count; i++) {
		memcpy((char *)s.x + i * d->sample_bytes, data_sample(d, index[i]),
		       d->sample_bytes);
		s.y[i] = d->y[index[i]];
	}
	*ret = s;
	return 0;
}
