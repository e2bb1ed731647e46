/* SPDX-License-Identifier: MIT */
/* The table of rewrites and its driver. */
#include "tools/neap/compress/rewrite/rewrite.h"

#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <string.h>

/* Every rewrite moves a node towards the outputs or removes one, so real networks settle within
 * some ten rounds. The limit is for graphs made to be slow. */
#define ROUNDS_MAX 1000

const struct rewrite rewrite_table[] = {
	{"spectrum", rewrite_spectrum, false}, /* before its layout moves */
	{"identity", rewrite_identity, false},
	{"constant", rewrite_constant, false},
	{"hardswish", rewrite_hardswish, false}, /* before its parts are fused elsewhere */
	{"batchnorm", rewrite_batchnorm, false},
	{"affine", rewrite_affine, false},
	{"pad", rewrite_pad, false},
	{"transpose", rewrite_transpose, false},
	{"reshape", rewrite_reshape, false},
	{"flatten", rewrite_flatten, false},
	{"activation", rewrite_activation, false},
	{"quantised", rewrite_quantised, false},
	{"unquantised", rewrite_unquantised, true},
	{"batchnorm-alone", rewrite_batchnorm_alone, true},
	{NULL, NULL, false},
};

static int apply_once(struct ne_graph *g, const struct rewrite *rw, struct ne_error *err)
{
	struct edit e;
	int changes, r;

	changes = edit_init(&e, g, err);
	if (changes >= 0)
		changes = rw->apply(&e);
	edit_done(&e);
	if (changes <= 0)
		return changes;
	r = ne_graph_compact(g, err);
	return r < 0 ? r : changes;
}

static int check_ungrouped(const struct ne_graph *g, struct ne_error *err)
{
	if (g->n_group > 0)
		return ne_fail(err, EINVAL, "rewrite: the graph has channel groups already");
	return 0;
}

static int apply_all(struct ne_graph *g, bool last_resort, struct ne_error *err)
{
	int changes = 0;

	for (const struct rewrite *rw = rewrite_table; rw->name; rw++) {
		int r = rw->last_resort == last_resort ? apply_once(g, rw, err) : 0;

		if (r < 0)
			return r;
		changes += r;
	}
	return changes;
}

int rewrite_graph(struct ne_graph *g, struct ne_error *err)
{
	NE_RETURN_IF(check_ungrouped(g, err));
	NE_RETURN_IF(ne_graph_compact(g, err));
	for (int round = 0; round < ROUNDS_MAX; round++) {
		int changes = apply_all(g, false, err);

		if (changes == 0)
			changes = apply_all(g, true, err);
		if (changes <= 0)
			return changes;
	}
	return 0; /* still a correct graph, if not the simplest */
}

int rewrite_graph_with(struct ne_graph *g, const char *name, struct ne_error *err)
{
	NE_RETURN_IF(check_ungrouped(g, err));
	for (const struct rewrite *rw = rewrite_table; rw->name; rw++) {
		if (strcmp(rw->name, name) != 0)
			continue;
		for (int round = 0; round < ROUNDS_MAX; round++) {
			int r = apply_once(g, rw, err);

			if (r <= 0)
				return r;
		}
		return 0;
	}
	return ne_fail(err, ENOENT, "rewrite: there is none called %s", name);
}
