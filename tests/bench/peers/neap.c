/* SPDX-License-Identifier: MIT */
/* neap itself, loaded from its file as a program would. */
#include "tests/bench/peers/measure.h"

#include "engine/model/container.h"

#include <stdlib.h>

struct state {
	struct ne_program *p;
	struct ne_context *c;
	const void *in;
	uint32_t level;
	void *out[NE_MAX_IO];
};

static const char *version(void)
{
	return NEAP_VERSION;
}

static void close_run(struct peer_run *r)
{
	struct state *s = r->state;

	ne_context_free(s->c);
	ne_program_free(s->p);
	for (size_t i = 0; i < NE_MAX_IO; i++)
		free(s->out[i]);
	free(s);
}

static int open_case(const struct peer_case *c, const char *cpu, unsigned threads, const void *in,
		     struct peer_run *ret, struct ne_error *err)
{
	struct ne_program_options opt = {.cpu = cpu};
	struct state *s = calloc(1, sizeof(*s));
	struct ne_model *m = NULL;
	int r;

	if (!s)
		return ne_fail(err, ENOMEM, "out of memory");
	ret->state = s;
	s->in = in;
	s->level = c->level;
	r = c->neap ? ne_container_load(c->neap, NULL, &m, err) : 0;
	if (r == 0)
		r = ne_program_new(m ? m : c->model, &opt, &s->p, err);
	ne_model_free(m);
	if (r == 0 && ne_context_new(s->p, threads, &s->c) < 0)
		r = ne_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; r == 0 && i < ne_program_outputs(s->p); i++) {
		s->out[i] = ne_alloc_aligned(ne_program_output(s->p, i)->bytes);
		if (!s->out[i])
			r = ne_fail(err, ENOMEM, "out of memory");
	}
	if (r < 0) {
		close_run(ret);
		return r;
	}
	ret->out = s->out[0];
	ret->out_bytes = ne_program_output(s->p, 0)->bytes;
	ret->out_type = ne_program_output(s->p, 0)->dtype;
	return 0;
}

static void run(struct peer_run *r)
{
	struct state *s = r->state;

	if (ne_run(s->p, s->c, s->level, &s->in, s->out, NULL, NULL) < 0)
		abort();
}

const char *neap_cpu(const struct peer_run *r)
{
	return ne_program_cpu(((const struct state *)r->state)->p);
}

const struct peer peer_neap = {"neap", version, open_case, run, close_run};
