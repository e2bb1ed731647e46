/* SPDX-License-Identifier: MIT */
/* Recipes: what is read, and what is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/neap/train/network.h"

#include <stdlib.h>
#include <string.h>

#define HEAD "[data]\ntrain = a\ntest = b\n[network]\ninput = u8 28x28x1\n"
#define BODY "block = conv 16\nblock = exit\n"

static void refuse(const char *text, const char *want)
{
	struct recipe r;
	struct ne_error err = {{0}};
	int rc = recipe_parse("r.ini", text, &r, &err);

	if (rc >= 0) {
		recipe_done(&r);
		fail_msg("accepted, though it should say: %s", want);
	}
	if (!strstr(err.text, want))
		fail_msg("says '%s', want '%s'", err.text, want);
}

static void test_reads(void **state)
{
	struct recipe r;
	struct ne_error err = {{0}};
	const char *text =
		HEAD "normalise = 73 0.25\nblock = conv 16 kernel=5x3 stride=2x1 pad=none\n"
		     "block = separable 24\nblock = maxpool\nblock = exit grid=3\n"
		     "[widths]\nfractions = 1 0.5\n[train]\nepochs = 7\nnesterov = no\n"
		     "learning_rate = 0.25\n[augment]\nflip = yes\n"
		     "[data]\nlabels = one, two,three\n";

	(void)state;
	assert_int_equal(recipe_parse("r.ini", text, &r, &err), 0);
	assert_int_equal(r.net.type, NE_U8);
	assert_int_equal(r.net.input.rank, 4);
	assert_int_equal(r.net.input.dim[1], 28);
	assert_int_equal(r.net.normalise.zero, 73);
	assert_true(r.net.normalise.scale == 0.25f);
	assert_int_equal(r.net.n_block, 4);
	assert_int_equal(r.net.block[0].kernel[0], 5);
	assert_int_equal(r.net.block[0].kernel[1], 3);
	assert_int_equal(r.net.block[0].stride[0], 2);
	assert_int_equal(r.net.block[0].stride[1], 1);
	assert_true(r.net.block[0].valid && !r.net.block[1].valid);
	assert_int_equal(r.net.block[2].stride[0], 2);
	assert_int_equal(r.net.block[3].grid, 3);
	assert_int_equal(r.n_width, 2);
	assert_int_equal(r.train.epochs, 7);
	assert_false(r.train.nesterov);
	assert_true(r.augment.flip);
	assert_int_equal(r.data.n_label, 3);
	assert_string_equal(r.data.label[1], "two");
	recipe_done(&r);
}

static void test_expands_data_folder(void **state)
{
	struct recipe r;
	struct ne_error err = {{0}};

	(void)state;
	setenv("NEAP_DATA", "/some/where", 1);
	assert_int_equal(recipe_parse("r.ini",
				      "[data]\ntrain = idx:$NEAP_DATA/x,$NEAP_DATA/y\ntest = b\n"
				      "[network]\ninput = u8 28x28x1\n" BODY,
				      &r, &err),
			 0);
	assert_string_equal(r.data.train, "idx:/some/where/x,/some/where/y");
	recipe_done(&r);
}

static void test_refuses(void **state)
{
	char line[400];

	(void)state;
	refuse(HEAD BODY "[train]\nepoch = 3\n", "r.ini:9: no key 'epoch' in section [train]");
	refuse(HEAD BODY "[trian]\nepochs = 3\n", "r.ini:9: no key 'epochs' in section [trian]");
	refuse(HEAD BODY "[train]\nepochs = 0\n",
	       "r.ini:9: epochs = 0: want a whole number from 1");
	refuse(HEAD BODY "[train]\nepochs = 2.5\n", "r.ini:9");
	refuse(HEAD BODY "[train]\nlearning_rate = nan\n", "r.ini:9");
	refuse(HEAD BODY "[train]\nnesterov = maybe\n", "want yes or no");
	refuse(HEAD BODY "[levels]\nby = luck\n", "want accuracy or probability");
	refuse(HEAD "block = conv\n", "r.ini:6: block = conv: want");
	refuse(HEAD "block = conv 16 size=3\n", "r.ini:6");
	refuse(HEAD "block = conv 16 kernel=0\n", "r.ini:6");
	refuse(HEAD "block = teleport 16\n", "r.ini:6");
	refuse(HEAD "block = conv 16\n", "must end in 'block = exit'");
	refuse(HEAD BODY "[widths]\nfractions = 0.5 1\n", "r.ini:9");
	refuse(HEAD BODY "[widths]\nfractions = 1 0.5 0.5\n", "r.ini:9");
	refuse("[data]\ntrain = a\n[network]\ninput = u8 28x28x1\n" BODY, "needs train and test");
	refuse("[data]\ntrain = a\ntest = b\n[network]\n" BODY, "needs input");
	refuse("[data]\ntrain = a\ntest = b\n[network]\ninput = u8 28x28x0\n", "r.ini:5");
	refuse("[data]\ntrain = a\ntest = b\n[network]\ninput = s16 16000\n" BODY,
	       "needs [features]");
	refuse("[data]\ntrain = a\ntest = b\n[network]\ninput = s16 16000\n" BODY
	       "[features]\nfft = 1000\n",
	       "power of two");
	refuse("nonsense\n", "r.ini:1: not a [section]");
	memset(line, 'x', sizeof(line));
	memcpy(line, "[data]\n", 7);
	line[sizeof(line) - 1] = '\0';
	refuse(line, "r.ini:2: line longer than");
}

/* Cuts at every byte never crash and never leak (the sanitizer builds look). */
static void test_truncated(void **state)
{
	static const char text[] = HEAD "block = residual 24 stride=2\nblock = exit grid=3\n"
					"[widths]\nfractions = 1 0.5\n[data]\nlabels = a,b\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		char *part = strndup(text, n);
		struct recipe r;

		if (recipe_parse("r.ini", part, &r, NULL) == 0)
			recipe_done(&r);
		free(part);
	}
	assert_int_equal(recipe_parse("r.ini", "", &(struct recipe){0}, NULL), -EINVAL);
}

static void test_cut(void **state)
{
	(void)state;
	assert_int_equal(network_cut(16, 1.0f), 16);
	assert_int_equal(network_cut(16, 0.75f), 16); /* 12 rounds up to a multiple of 8 */
	assert_int_equal(network_cut(24, 0.5f), 16);
	assert_int_equal(network_cut(64, 0.33f), 24);
	assert_int_equal(network_cut(16, 0.01f), 8);
	assert_int_equal(network_cut(20, 1.0f), 20);
	assert_int_equal(network_cut(6, 0.5f), 3);
	assert_int_equal(network_cut(6, 0.01f), 1);
}

static void test_builds(void **state)
{
	struct recipe r;
	struct network n;
	struct ne_error err = {{0}};

	(void)state;
	assert_int_equal(recipe_parse("r.ini",
				      HEAD "block = conv 16\nblock = exit grid=4\n"
					   "block = residual 16\nblock = residual 32 stride=2\n"
					   "block = exit\n[widths]\nfractions = 1 0.5\n",
				      &r, &err),
			 0);
	assert_int_equal(network_build(&r, 10, &n, &err), 0);
	assert_int_equal(n.n_exit, 2);
	assert_int_equal(n.n_width, 2);
	assert_int_equal(n.graph.n_exit, 2);
	/* conv; the first residual's inside (it ends in conv's group); the second's inside and end */
	assert_int_equal(n.graph.n_group, 4);
	assert_int_equal(n.active[1][1], 8);
	assert_int_equal(ne_graph_check(&n.graph, &err), 0);
	network_done(&n);
	recipe_done(&r);
}

static void test_widths_that_are_one(void **state)
{
	struct recipe r;
	struct network n;
	struct ne_error err = {{0}};

	(void)state;
	assert_int_equal(recipe_parse("r.ini", HEAD BODY "[widths]\nfractions = 1 0.9\n", &r, &err),
			 0);
	assert_int_equal(network_build(&r, 10, &n, &err), -EINVAL);
	assert_non_null(strstr(err.text, "same channels"));
	recipe_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_expands_data_folder),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_builds),
		cmocka_unit_test(test_widths_that_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
