// SPDX-License-Identifier: MIT
/*
 * Runs a trainer step by step. Prints on standard error: this is the tool's voice, not a library's.
 * A signal only sets command_stop; the step that runs is always finished.
 */
#include "tools/neap/train/session.h"
#include "tools/neap/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_SECONDS 60.0
#define QUICK_SAMPLES      512u  /* for batch norm statistics of the progress line */
#define QUICK_HELD_OUT     1000u /* samples judged for it */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct progress {
	const struct session *c;
	struct trainer *t;
	double start, shown, saved;
	uint64_t first; /* step at which this run began */
	double loss, accuracy;
	uint64_t counted; /* steps in them */
	bool terminal;
};

static void left_text(const struct progress *p, char text[32])
{
	uint64_t step = trainer_state(p->t)->step, done = step - p->first;
	double left =
		done ? (now() - p->start) / (double)done * (double)(trainer_steps(p->t) - step)
		     : 0.0;

	snprintf(text, 32, "%u:%02u left", (unsigned)left / 60, (unsigned)left % 60);
}

static void line(struct progress *p, const char *tail)
{
	uint64_t step = trainer_state(p->t)->step, per = trainer_steps_per_epoch(p->t);
	double n = p->counted ? (double)p->counted : 1.0;
	char left[32];

	left_text(p, left);
	fprintf(stderr, "%s%s epoch %.2f/%u  loss %.4f  train %.2f %%  %s%s%s",
		p->terminal ? "\r\033[K" : "", p->c->title, (double)step / (double)per,
		p->c->epochs, p->loss / n, 100.0 * p->accuracy / n, left, tail,
		p->terminal && !*tail ? "" : "\n");
	fflush(stderr);
}

/* Accuracy of each width and exit on held-out samples, once an epoch. */
static void levels_line(struct progress *p, const struct trainer_scope *scope)
{
	const struct network *n = p->c->n;
	float *stat = malloc((2 * n->n_stat + 2) * sizeof(*stat)), right[NE_MAX_EXITS];
	const uint32_t *index;
	size_t count = NE_MIN(sampler_held_out(p->c->s, &index), (size_t)QUICK_HELD_OUT);
	char text[512] = "  held out";
	size_t at = strlen(text);

	for (uint32_t k = 0; stat && count && k < scope->n_width; k++) {
		trainer_recalibrate(p->t, k, QUICK_SAMPLES, stat, stat + n->n_stat);
		trainer_accuracy(p->t, k, stat, stat + n->n_stat, p->c->s, index, count, right);
		at += (size_t)snprintf(text + at, sizeof(text) - at, " %s", k ? "|" : "");
		for (uint32_t e = 0; e < n->n_exit && at < sizeof(text) - 16; e++)
			if (scope->exits >> e & 1)
				at += (size_t)snprintf(text + at, sizeof(text) - at, " %.1f",
						       100.0 * (double)right[e]);
		if (at > sizeof(text) - 32)
			break;
	}
	free(stat);
	line(p, text);
}

static int save(struct progress *p, const struct checkpoint_key *key, struct ne_error *err)
{
	p->saved = now();
	return checkpoint_save(p->c->checkpoint, key, trainer_state(p->t), err);
}

static int steps(struct progress *p, const struct trainer_scope *scope,
		 const struct checkpoint_key *key, struct ne_error *err)
{
	struct trainer_state *s = trainer_state(p->t);
	uint64_t per = trainer_steps_per_epoch(p->t), total = trainer_steps(p->t);
	struct trainer_loss loss;

	while (s->step < total) {
		if (command_stop || (p->c->stop_after && s->step >= p->c->stop_after)) {
			NE_RETURN_IF(save(p, key, err));
			return ne_fail(err, EINTR,
				       "stopped at step %llu of %llu; --resume goes on from %s",
				       (unsigned long long)s->step, (unsigned long long)total,
				       p->c->checkpoint);
		}
		trainer_step(p->t, &loss);
		p->loss += loss.loss;
		p->accuracy += loss.accuracy;
		p->counted++;
		if (!(loss.loss < 1e6))
			return ne_fail(
				err, EDOM,
				"the loss is %g at step %llu: lower learning_rate in the recipe",
				loss.loss, (unsigned long long)s->step);
		if (!p->c->quiet && s->step % per == 0) {
			levels_line(p, scope);
			p->loss = p->accuracy = 0.0;
			p->counted = 0;
		} else if (!p->c->quiet && now() - p->shown > (p->terminal ? 0.5 : 15.0)) {
			line(p, "");
			p->shown = now();
		}
		if (now() - p->saved > CHECKPOINT_SECONDS || s->step == total)
			NE_RETURN_IF(save(p, key, err));
	}
	return 0;
}

static struct checkpoint_key key_of(const struct session *c, const struct trainer_scope *scope)
{
	struct {
		struct trainer_scope scope;
		uint32_t epochs;
	} what;

	memset(&what, 0, sizeof(what));
	what.scope.n_width = scope->n_width;
	memcpy(what.scope.width, scope->width, scope->n_width * sizeof(*scope->width));
	what.scope.exits = scope->exits;
	what.epochs = c->epochs;
	return (struct checkpoint_key){.recipe = checkpoint_recipe_hash(c->r->text),
				       .scope = checkpoint_hash(&what, sizeof(what)),
				       .threads = pool_threads(c->pool),
				       .n_theta = (uint32_t)c->n->n_theta};
}

int session_train(const struct session *c, const struct trainer_scope *scope, bool fresh,
		  struct trainer **ret, struct ne_error *err)
{
	struct checkpoint_key key = key_of(c, scope);
	struct progress p = {.c = c,
			     .start = now(),
			     .saved = now(),
			     .shown = now(),
			     .terminal = isatty(STDERR_FILENO)};
	struct trainer *t;
	int rc = trainer_new(c->r, c->n, c->s, c->pool, scope, c->epochs, fresh, &t, err);

	if (rc < 0)
		return rc;
	p.t = t;
	if (c->resume) {
		rc = checkpoint_load(c->checkpoint, &key, trainer_state(t), err);
		/* Another training's checkpoint is not in the way of this one's start. */
		if (rc == -ENOENT || (rc == -ESTALE && scope->n_width == 1))
			rc = 0;
	}
	if (rc == 0 && trainer_state(t)->step > trainer_steps(t))
		rc = ne_fail(err, EBADMSG, "%s: a step beyond the last", c->checkpoint);
	p.first = trainer_state(t)->step;
	if (rc == 0)
		rc = steps(&p, scope, &key, err);
	if (rc < 0) {
		trainer_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}
