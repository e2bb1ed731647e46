// SPDX-License-Identifier: MIT
/*
 * The training step: sandwich rule, soft targets, one update. A trainer owns its tapes, gradients
 * and state; recipe, network, sampler and pool belong to the caller.
 */
#ifdef HAVE_OPENBLAS
#include "tools/neap/train/trainer.h"
#include "tools/neap/train/random.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What one thread keeps. */
struct worker {
	struct tape_state state;
	float *grad;          /* [n_theta] */
	float *x, *target;    /* its part of the batch */
	float *soft;          /* the teacher's probabilities */
	float *scratch;       /* gradient of a second loss */
	double *sum, *square; /* recalibration, [n_stat] */
	size_t counted, right[NE_MAX_EXITS];
	struct trainer_loss loss;
};

struct trainer {
	const struct recipe *r;
	const struct network *n;
	struct sampler *s;
	struct pool *pool;
	struct trainer_scope scope;
	struct trainer_state state;
	uint32_t epochs, part, last_exit;
	size_t n_train;
	uint32_t *order; /* of this epoch, [n_train] */
	uint64_t order_epoch;
	struct tape *tape[RECIPE_MAX_WIDTHS];
	struct worker *worker;
	uint8_t *decays;                          /* [n_theta] */
	uint32_t n_pass, pass[RECIPE_MAX_WIDTHS]; /* widths of this step */
};

/* ---- making ---- */

static int make_worker(const struct trainer *t, struct worker *w)
{
	size_t n = t->n->n_theta, logits = (size_t)t->part * t->n->n_class;

	NE_RETURN_IF(tape_state_new(t->n, t->tape, t->scope.n_width, &w->state));
	w->grad = ne_alloc_aligned(n * sizeof(float));
	w->x = ne_alloc_aligned(t->part * sampler_feed_floats(t->s) * sizeof(float));
	w->target = malloc(logits * sizeof(float));
	w->soft = malloc(logits * sizeof(float));
	w->scratch = malloc(logits * sizeof(float));
	w->sum = calloc(t->n->n_stat + 1, sizeof(double));
	w->square = calloc(t->n->n_stat + 1, sizeof(double));
	return w->grad && w->x && w->target && w->soft && w->scratch && w->sum && w->square
		       ? 0
		       : -ENOMEM;
}

static void mark_decay(struct trainer *t)
{
	const struct ne_graph *g = &t->n->graph;

	for (uint32_t i = 0; i < g->n_tensor; i++)
		if (t->n->theta_of[i] != NETWORK_NONE && network_decays(t->n, i))
			memset(t->decays + t->n->theta_of[i], 1,
			       ne_shape_elements(&g->tensor[i].shape));
}

static int make(struct trainer *t, bool fresh, struct ne_error *err)
{
	const uint32_t *index;
	uint32_t threads = pool_threads(t->pool);
	size_t n = t->n->n_theta;

	t->n_train = sampler_train(t->s, &index);
	if (t->n_train < t->r->train.batch || t->r->train.batch < threads)
		return ne_fail(err, EINVAL,
			       "%s: %zu training samples and a batch of %u do not fit %u threads",
			       t->r->path, t->n_train, t->r->train.batch, threads);
	t->part = (t->r->train.batch + threads - 1) / threads;
	t->order = malloc(t->n_train * sizeof(*t->order));
	t->order_epoch = UINT64_MAX;
	t->state.theta = ne_alloc_aligned(n * sizeof(float));
	t->state.velocity = ne_alloc_aligned(n * sizeof(float));
	t->state.average = ne_alloc_aligned(n * sizeof(float));
	t->decays = calloc(n, 1);
	t->worker = calloc(threads, sizeof(*t->worker));
	if (!t->order || !t->state.theta || !t->state.velocity || !t->state.average || !t->decays ||
	    !t->worker)
		return -ENOMEM;
	mark_decay(t);
	for (uint32_t k = 0; k < t->scope.n_width; k++)
		NE_RETURN_IF(tape_new(t->n, t->n->active[t->scope.width[k]], t->scope.exits,
				      t->part, &t->tape[k], err));
	for (uint32_t i = 0; i < threads; i++)
		NE_RETURN_IF(make_worker(t, &t->worker[i]));
	network_init_theta(t->n, t->n->active[t->scope.width[0]], t->r->train.seed, fresh,
			   t->state.theta);
	if (!fresh) {
		sampler_fill(t->s, 0, index, t->part, false, 0, t->worker[0].x,
			     t->worker[0].target);
		tape_adopt_norms(t->tape[0], &t->worker[0].state, t->state.theta, t->worker[0].x,
				 t->part);
	}
	memcpy(t->state.average, t->state.theta, n * sizeof(float));
	return 0;
}

int trainer_new(const struct recipe *r, const struct network *n, struct sampler *s, struct pool *p,
		const struct trainer_scope *scope, uint32_t epochs, bool fresh,
		struct trainer **ret, struct ne_error *err)
{
	struct trainer *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	/* The batch is what is divided among threads; BLAS's own threads would only get in the way. */
	openblas_set_num_threads(1);
	t->r = r;
	t->n = n;
	t->s = s;
	t->pool = p;
	t->scope = *scope;
	t->epochs = epochs;
	for (uint32_t e = 0; e < n->n_exit; e++)
		if (scope->exits >> e & 1)
			t->last_exit = e;
	rc = make(t, fresh, err);
	if (rc < 0) {
		trainer_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

void trainer_free(struct trainer *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; t->worker && i < pool_threads(t->pool); i++) {
		struct worker *w = &t->worker[i];

		tape_state_done(&w->state);
		free(w->grad);
		free(w->x);
		free(w->target);
		free(w->soft);
		free(w->scratch);
		free(w->sum);
		free(w->square);
	}
	for (uint32_t k = 0; k < RECIPE_MAX_WIDTHS; k++)
		tape_free(t->tape[k]);
	free(t->worker);
	free(t->order);
	free(t->state.theta);
	free(t->state.velocity);
	free(t->state.average);
	free(t->decays);
	free(t);
}

uint64_t trainer_steps_per_epoch(const struct trainer *t)
{
	return t->n_train / t->r->train.batch;
}

uint64_t trainer_steps(const struct trainer *t)
{
	return trainer_steps_per_epoch(t) * t->epochs;
}

struct trainer_state *trainer_state(struct trainer *t)
{
	return &t->state;
}

const float *trainer_weights(const struct trainer *t)
{
	return t->r->train.ema > 0.0f ? t->state.average : t->state.theta;
}

/* ---- a step ---- */

/* Part of the batch that thread @i works on. */
static void part_of(const struct trainer *t, uint32_t i, uint32_t *from, uint32_t *count)
{
	uint32_t batch = t->r->train.batch;

	*from = NE_MIN(i * t->part, batch);
	*count = NE_MIN(t->part, batch - *from);
}

static void smooth(float share, uint32_t count, uint32_t n_class, float *target)
{
	if (share <= 0.0f)
		return;
	for (size_t i = 0; i < (size_t)count * n_class; i++)
		target[i] = target[i] * (1.0f - share) + share / (float)n_class;
}

static size_t count_right(uint32_t count, uint32_t n_class, const float *logits,
			  const float *target)
{
	size_t right = 0;

	for (uint32_t i = 0; i < count; i++, logits += n_class, target += n_class) {
		uint32_t a = 0, b = 0;

		for (uint32_t k = 1; k < n_class; k++) {
			a = logits[k] > logits[a] ? k : a;
			b = target[k] > target[b] ? k : b;
		}
		right += a == b;
	}
	return right;
}

/* Weights of exits sum to 1; earlier ones count exit_weight times the last. */
static float exit_share(const struct trainer *t, uint32_t exit)
{
	float sum = 0.0f;

	for (uint32_t e = 0; e < t->n->n_exit; e++)
		if (t->scope.exits >> e & 1)
			sum += e == t->last_exit ? 1.0f : t->r->train.exit_weight;
	return (exit == t->last_exit ? 1.0f : t->r->train.exit_weight) / sum;
}

static void exit_loss(const struct trainer *t, struct worker *w, const struct tape *tape,
		      uint32_t exit, uint32_t count, bool teacher, float weight)
{
	const float *logits = tape_logits(tape, &w->state, exit);
	float *gradient = tape_logit_gradient(tape, &w->state, exit);
	float labels = t->r->train.label_share, loss;
	int32_t n = (int32_t)count, c = (int32_t)t->n->n_class;

	if (teacher) {
		loss = op_cross_entropy(n, c, logits, w->target, 1.0f, weight, gradient);
		w->loss.loss += (double)loss * count;
		w->loss.accuracy += (double)count_right(count, t->n->n_class, logits, w->target);
		op_softmax(n, c, logits, t->r->train.temperature, w->soft);
		return;
	}
	op_cross_entropy(n, c, logits, w->soft, t->r->train.temperature, weight * (1.0f - labels),
			 gradient);
	if (labels <= 0.0f)
		return;
	op_cross_entropy(n, c, logits, w->target, 1.0f, weight * labels, w->scratch);
	op_accumulate((size_t)count * t->n->n_class, w->scratch, 1.0f, gradient);
}

/* One width, forward and backward. The largest comes first and its last exit teaches the rest. */
static void pass(const struct trainer *t, struct worker *w, uint32_t k, uint32_t count)
{
	const struct tape *tape = t->tape[k];
	float part = (float)count / (float)t->r->train.batch;

	tape_forward(tape, &w->state, TAPE_TRAIN, t->state.theta, w->x, count);
	for (uint32_t e = t->last_exit + 1; e-- > 0;)
		if (t->scope.exits >> e & 1)
			exit_loss(t, w, tape, e, count, k == 0 && e == t->last_exit,
				  part * exit_share(t, e));
	tape_backward(tape, &w->state, t->state.theta, w->x, count, w->grad);
}

static void work(void *user, uint32_t thread)
{
	struct trainer *t = user;
	struct worker *w = &t->worker[thread];
	uint32_t from, count;
	uint64_t at = t->state.step % trainer_steps_per_epoch(t) * t->r->train.batch;

	w->loss = (struct trainer_loss){0};
	memset(w->grad, 0, t->n->n_theta * sizeof(float));
	part_of(t, thread, &from, &count);
	if (!count)
		return;
	sampler_fill(t->s, thread, t->order + at + from, count, true,
		     t->state.step * t->r->train.batch + from, w->x, w->target);
	smooth(t->r->train.smoothing, count, t->n->n_class, w->target);
	for (uint32_t i = 0; i < t->n_pass; i++)
		pass(t, w, t->pass[i], count);
}

static void shuffle_epoch(struct trainer *t)
{
	uint64_t epoch = t->state.step / trainer_steps_per_epoch(t);
	struct rng rng = rng_make(t->r->train.seed, RNG_SHUFFLE, epoch);
	const uint32_t *index;

	if (epoch == t->order_epoch)
		return;
	t->order_epoch = epoch;
	sampler_train(t->s, &index);
	memcpy(t->order, index, t->n_train * sizeof(*index));
	for (size_t i = t->n_train; i > 1; i--) {
		uint32_t k = rng_below(&rng, (uint32_t)i), v = t->order[i - 1];

		t->order[i - 1] = t->order[k];
		t->order[k] = v;
	}
}

/* The sandwich: largest, smallest, and some of those between, each at most once. */
static void choose_widths(struct trainer *t)
{
	struct rng rng = rng_make(t->r->train.seed, RNG_WIDTHS, t->state.step);
	uint32_t n = t->scope.n_width, between[RECIPE_MAX_WIDTHS], left = 0;

	t->n_pass = 0;
	t->pass[t->n_pass++] = 0;
	if (n > 1)
		t->pass[t->n_pass++] = n - 1;
	for (uint32_t k = 1; k + 1 < n; k++)
		between[left++] = k;
	for (uint32_t i = 0; i < t->r->train.random_widths && left; i++) {
		uint32_t k = rng_below(&rng, left);

		t->pass[t->n_pass++] = between[k];
		between[k] = between[--left];
	}
}

/* Linear warm-up, then a half cosine down to 0 (Loshchilov and Hutter 2017). */
static float learning_rate(const struct trainer *t)
{
	double total = (double)trainer_steps(t), step = (double)t->state.step;
	double warm = (double)t->r->train.warmup * (double)trainer_steps_per_epoch(t);

	warm = fmin(warm, total / 2);
	if (step < warm)
		return t->r->train.rate * (float)((step + 1.0) / warm);
	return t->r->train.rate * 0.5f * (1.0f + (float)cos(M_PI * (step - warm) / (total - warm)));
}

/* v = m v + g; w -= rate (g + m v) with Nesterov's momentum, else rate v. */
TRAIN_CLONES
static void update(size_t n, const float *restrict g, const uint8_t *restrict decays, float decay,
		   float rate, float momentum, float look, float *restrict v, float *restrict w)
{
	for (size_t i = 0; i < n; i++) {
		float d = g[i] + (decays[i] ? decay * w[i] : 0.0f);
		float m = momentum * v[i] + d;

		v[i] = m;
		w[i] -= rate * (look * d + (1.0f - look + look * momentum) * m);
	}
}

void trainer_step(struct trainer *t, struct trainer_loss *ret)
{
	const struct recipe_train *h = &t->r->train;
	size_t n = t->n->n_theta;
	float *grad = t->worker[0].grad, keep;

	shuffle_epoch(t);
	choose_widths(t);
	pool_run(t->pool, work, t);
	*ret = t->worker[0].loss;
	for (uint32_t i = 1; i < pool_threads(t->pool); i++) {
		op_accumulate(n, t->worker[i].grad, 1.0f, grad);
		ret->loss += t->worker[i].loss.loss;
		ret->accuracy += t->worker[i].loss.accuracy;
	}
	ret->loss /= h->batch;
	ret->accuracy /= h->batch;
	update(n, grad, t->decays, h->weight_decay, learning_rate(t), h->momentum,
	       h->nesterov ? 1.0f : 0.0f, t->state.velocity, t->state.theta);
	t->state.step++;
	/* The average follows faster at first, or it would remember the random start. */
	keep = fminf(h->ema, (1.0f + (float)t->state.step) / (10.0f + (float)t->state.step));
	if (h->ema > 0.0f)
		for (size_t i = 0; i < n; i++)
			t->state.average[i] +=
				(1.0f - keep) * (t->state.theta[i] - t->state.average[i]);
}

/* ---- measuring ---- */

struct measure {
	struct trainer *t;
	uint32_t k;
	struct sampler *s;
	const uint32_t *index;
	size_t count;
	const float *mean, *var;
};

/* Batches go to threads in turn, so that the sums are the same in every run. */
static bool next_batch(const struct measure *m, uint32_t thread, size_t round, size_t *from,
		       uint32_t *count)
{
	*from = (round * pool_threads(m->t->pool) + thread) * m->t->part;
	if (*from >= m->count)
		return false;
	*count = (uint32_t)NE_MIN((size_t)m->t->part, m->count - *from);
	return true;
}

static void gather(void *user, uint32_t thread)
{
	const struct measure *m = user;
	struct trainer *t = m->t;
	struct worker *w = &t->worker[thread];
	size_t from;
	uint32_t count;

	memset(w->sum, 0, t->n->n_stat * sizeof(*w->sum));
	memset(w->square, 0, t->n->n_stat * sizeof(*w->square));
	w->counted = 0;
	for (size_t r = 0; next_batch(m, thread, r, &from, &count); r++) {
		sampler_fill(m->s, thread, m->index + from, count, false, 0, w->x, w->target);
		tape_forward(t->tape[m->k], &w->state, TAPE_TRAIN, trainer_weights(t), w->x, count);
		for (size_t i = 0; i < t->n->n_stat; i++) {
			double mean = (double)w->state.mean[i], var = (double)w->state.var[i];

			w->sum[i] += mean * count;
			w->square[i] += (var + mean * mean) * count;
		}
		w->counted += count;
	}
}

void trainer_recalibrate(struct trainer *t, uint32_t k, size_t samples, float *mean, float *var)
{
	struct measure m = {.t = t, .k = k, .s = t->s};
	size_t counted = 0;

	m.count = NE_MIN(sampler_train(t->s, &m.index), samples);
	pool_run(t->pool, gather, &m);
	for (uint32_t i = 0; i < pool_threads(t->pool); i++)
		counted += t->worker[i].counted;
	for (size_t i = 0; i < t->n->n_stat; i++) {
		double sum = 0.0, square = 0.0;

		for (uint32_t p = 0; p < pool_threads(t->pool); p++) {
			sum += t->worker[p].sum[i];
			square += t->worker[p].square[i];
		}
		sum /= (double)counted;
		square = square / (double)counted - sum * sum;
		mean[i] = (float)sum;
		var[i] = (float)(square > 0.0 ? square : 0.0);
	}
}

static void judge(void *user, uint32_t thread)
{
	const struct measure *m = user;
	struct trainer *t = m->t;
	struct worker *w = &t->worker[thread];
	size_t from;
	uint32_t count;

	memset(w->right, 0, sizeof(w->right));
	memcpy(w->state.mean, m->mean, t->n->n_stat * sizeof(float));
	memcpy(w->state.var, m->var, t->n->n_stat * sizeof(float));
	for (size_t r = 0; next_batch(m, thread, r, &from, &count); r++) {
		sampler_fill(m->s, thread, m->index + from, count, false, 0, w->x, w->target);
		tape_forward(t->tape[m->k], &w->state, TAPE_EVAL, trainer_weights(t), w->x, count);
		for (uint32_t e = 0; e < t->n->n_exit; e++)
			if (t->scope.exits >> e & 1)
				w->right[e] += count_right(count, t->n->n_class,
							   tape_logits(t->tape[m->k], &w->state, e),
							   w->target);
	}
}

void trainer_accuracy(struct trainer *t, uint32_t k, const float *mean, const float *var,
		      struct sampler *s, const uint32_t *index, size_t count,
		      float ret[NE_MAX_EXITS])
{
	struct measure m = {t, k, s, index, count, mean, var};

	pool_run(t->pool, judge, &m);
	for (uint32_t e = 0; e < NE_MAX_EXITS; e++) {
		size_t right = 0;

		for (uint32_t i = 0; i < pool_threads(t->pool); i++)
			right += t->worker[i].right[e];
		ret[e] = count ? (float)right / (float)count : 0.0f;
	}
}
#endif
