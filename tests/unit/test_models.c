/* SPDX-License-Identifier: MIT */
/* The registry of models on real files: replaced, damaged, removed, come back, by command. */
#include "daemon/log.h"
#include "daemon/models.h"
#include "tests/unit/run_graph.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define WORKERS 2

struct fixture {
	char dir[2][64];
	pthread_mutex_t lock;
	struct models_config config;
	struct models *ms;
};

/* Two exits; @classes decides the shape of the output. */
static void save_model(const char *path, int classes)
{
	struct ne_graph g;
	struct ne_model *m;
	uint32_t x, a, b;

	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 8, 8, 1));
	a = b_conv(&g, x, 8, 3, 1, 1);
	b = b_conv(&g, a, 8, 3, 1, 1);
	b_exit(&g, b_dense(&g, b_reshape(&g, a, SHAPE(1, 512)), classes));
	b_exit(&g, b_dense(&g, b_reshape(&g, b, SHAPE(1, 512)), classes));
	m = model_of_graph(&g);
	assert_int_equal(ne_container_save(path, m, 0, NULL), 0);
	ne_model_free(m);
	ne_graph_done(&g);
}

static const char *path_in(const struct fixture *f, int dir, const char *file)
{
	static char path[4][160];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", f->dir[dir], file);
	return p;
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	log_set_level(LOG_LEVEL_ERROR - 1); /* refusals are what is tested */
	pthread_mutex_init(&f->lock, NULL);
	for (int i = 0; i < 2; i++) {
		strcpy(f->dir[i], "/tmp/neap-models-XXXXXX");
		assert_non_null(mkdtemp(f->dir[i]));
		f->config.dir[i] = f->dir[i];
	}
	f->config.n_dir = 2;
	f->config.workers = WORKERS;
	f->config.active_power_mw = 1000;
	assert_int_equal(models_new(&f->config, &f->lock, &f->ms, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[160];

	models_free(f->ms);
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command), "rm -r '%s'", f->dir[i]);
		assert_int_equal(system(command), 0);
	}
	pthread_mutex_destroy(&f->lock);
	free(f);
	return 0;
}

static void loaded_and_measured(void **state)
{
	struct fixture *f = *state;
	struct model_version *v;
	struct model *m;

	save_model(path_in(f, 0, "one.neap"), 10);
	models_scan(f->ms);
	m = models_find(f->ms, "one");
	assert_non_null(m);
	assert_null(models_find(f->ms, "two"));
	assert_null(models_find(f->ms, ""));
	v = m->current;
	assert_int_equal(v->generation, 1);
	assert_int_equal(v->n_exit, 2);
	assert_true(v->n_level >= 2);
	for (uint32_t i = 0; i < v->n_level; i++) {
		assert_true(v->level[i].time_us > 0);
		/* 1000 mW is 1 uJ/us */
		assert_true(v->level[i].energy_uj > 0.99f * v->level[i].time_us);
		assert_true(v->level[i].energy_uj < 1.01f * v->level[i].time_us);
		assert_true(v->least_us <= (uint32_t)v->level[i].time_us + 1);
		assert_int_equal(v->level[i].width_permille, 1000);
	}
	assert_int_equal(v->io.n_in, 1);
	assert_int_equal(v->io.n_out, 1);
	assert_int_equal(v->io.io[0].bytes, 64 * sizeof(float));
	assert_int_equal(v->io.io[1].bytes, 10 * sizeof(float));
	assert_int_equal(v->io.out_bytes, 64); /* a multiple of 64 */
}

static void replaced(void **state)
{
	struct fixture *f = *state;
	struct model_version *old;
	struct model *m;
	uint64_t id;

	save_model(path_in(f, 0, "one.neap"), 10);
	models_scan(f->ms);
	m = models_find(f->ms, "one");
	old = model_version_ref(m->current);
	id = old->io.id;
	models_scan(f->ms); /* the same file is not loaded again */
	assert_ptr_equal(m->current, old);

	save_model(path_in(f, 0, "one.neap"), 10); /* by rename */
	models_scan(f->ms);
	assert_ptr_not_equal(m->current, old);
	assert_int_equal(m->current->generation, 2);
	assert_true(m->current->io.id == id); /* handles follow */
	assert_int_equal(old->refs, 1);       /* a request in flight still has it */
	assert_int_equal(ne_program_outputs(old->program), 1);
	model_version_unref(old);

	save_model(path_in(f, 0, "one.neap"), 12);
	models_scan(f->ms);
	assert_int_equal(m->current->generation, 3);
	assert_true(m->current->io.id != id); /* handles are stale */
}

static void damaged_file_leaves_the_old(void **state)
{
	struct fixture *f = *state;
	struct model_version *old;
	char *first = strdup(path_in(f, 0, "one.neap"));

	save_model(first, 10);
	models_scan(f->ms);
	old = models_find(f->ms, "one")->current;
	write_text(first, "this is no model");
	models_scan(f->ms);
	assert_ptr_equal(models_find(f->ms, "one")->current, old);
	assert_int_equal(truncate(first, 0), 0);
	models_scan(f->ms);
	assert_ptr_equal(models_find(f->ms, "one")->current, old);
	/* Never good: never served. */
	write_text(path_in(f, 0, "bad.neap"), "neither");
	models_scan(f->ms);
	assert_null(models_find(f->ms, "bad"));
	/* Good again. */
	save_model(first, 10);
	models_scan(f->ms);
	assert_int_equal(models_find(f->ms, "one")->current->generation, 2);
	free(first);
}

static void removed_and_back(void **state)
{
	struct fixture *f = *state;
	char *file = strdup(path_in(f, 0, "one.neap"));
	struct model *m;
	uint64_t id;

	save_model(file, 10);
	models_scan(f->ms);
	m = models_find(f->ms, "one");
	id = m->current->io.id;
	m->users = 1; /* as a handle does */
	unlink(file);
	models_scan(f->ms);
	assert_null(models_find(f->ms, "one"));
	assert_null(m->current);
	save_model(file, 10);
	models_scan(f->ms);
	assert_ptr_equal(models_find(f->ms, "one"), m);
	assert_true(m->current->io.id == id); /* the handle works again */
	m->users = 0;
	unlink(file);
	models_scan(f->ms);
	for (unsigned i = 0; i < MODELS_MAX; i++)
		assert_null(models_at(f->ms, i)); /* nobody points at it: the place is free */
	free(file);
}

static void first_folder_wins(void **state)
{
	struct fixture *f = *state;

	save_model(path_in(f, 0, "one.neap"), 10);
	save_model(path_in(f, 1, "one.neap"), 12);
	models_scan(f->ms);
	assert_int_equal(models_find(f->ms, "one")->current->io.io[1].bytes, 40);
	unlink(path_in(f, 0, "one.neap"));
	models_scan(f->ms);
	assert_int_equal(models_find(f->ms, "one")->current->io.io[1].bytes, 48);
}

static void by_command(void **state)
{
	struct fixture *f = *state;
	struct ne_error err;
	char other[160];

	save_model(path_in(f, 0, "one.neap"), 10);
	models_scan(f->ms);
	assert_int_equal(models_unload(f->ms, "none", &err), -ENOENT);
	assert_int_equal(models_unload(f->ms, "one", &err), 0);
	assert_null(models_find(f->ms, "one"));
	models_scan(f->ms);
	assert_null(models_find(f->ms, "one")); /* the same file stays out */
	models_rescan_all(f->ms);
	assert_non_null(models_find(f->ms, "one")); /* SIGHUP takes it in again */

	snprintf(other, sizeof(other), "%s/sub", f->dir[0]);
	assert_int_equal(mkdir(other, 0700), 0);
	snprintf(other, sizeof(other), "%s/sub/far.neap", f->dir[0]);
	save_model(other, 10);
	assert_int_equal(models_load(f->ms, other, &err), 0);
	assert_non_null(models_find(f->ms, "far"));
	models_scan(f->ms);
	assert_non_null(models_find(f->ms, "far")); /* though no folder has it */
	assert_int_equal(models_load(f->ms, "relative.neap", &err), -EINVAL);
	assert_int_equal(models_load(f->ms, "/tmp/nosuffix", &err), -EINVAL);
	assert_int_equal(models_load(f->ms, "/tmp/.neap", &err), -EINVAL);
	assert_int_equal(models_load(f->ms, "/tmp/not-there.neap", &err), -ENOENT);
	assert_null(models_find(f->ms, "not-there"));
}

static void what_is_no_file(void **state)
{
	struct fixture *f = *state;
	char name[NEAP_WIRE_NAME_BYTES + 8];
	char *file = strdup(path_in(f, 0, "pipe.neap"));

	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(mkdir(path_in(f, 0, "folder.neap"), 0700), 0);
	memset(name, 'n', sizeof(name));
	strcpy(name + NEAP_WIRE_NAME_BYTES, ".neap");
	save_model(path_in(f, 0, name), 10);
	models_scan(f->ms); /* and it comes back */
	for (unsigned i = 0; i < MODELS_MAX; i++) {
		struct model *m = models_at(f->ms, i);

		assert_true(!m || !m->current);
	}
	free(file);
}

static void limits_hold(void **state)
{
	struct fixture *f = *state;
	struct ne_error err = {""};
	char *file = strdup(path_in(f, 0, "one.neap"));

	save_model(file, 10);
	models_free(f->ms);
	f->config.limits.file_bytes = 100;
	assert_int_equal(models_new(&f->config, &f->lock, &f->ms, NULL), 0);
	assert_int_equal(models_load(f->ms, file, &err), -E2BIG);
	assert_non_null(strstr(err.text, "100"));
	free(file);
}

static void change_is_told(void **state)
{
	struct fixture *f = *state;
	struct pollfd p = {.fd = models_fd(f->ms), .events = POLLIN};

	models_scan(f->ms);
	assert_int_equal(poll(&p, 1, 0), 0);
	save_model(path_in(f, 1, "one.neap"), 10);
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_true(models_changed(f->ms));
	assert_int_equal(poll(&p, 1, 0), 0);
	models_scan(f->ms);
	assert_non_null(models_find(f->ms, "one"));
	unlink(path_in(f, 1, "one.neap"));
	assert_int_equal(poll(&p, 1, 1000), 1);
}

static void names_run_out(void **state)
{
	struct fixture *f = *state;
	struct ne_error err;
	char *file = strdup(path_in(f, 0, "model.neap"));
	char name[32];

	save_model(file, 10);
	for (unsigned i = 0; i <= MODELS_MAX; i++) {
		snprintf(name, sizeof(name), "copy%u.neap", i);
		assert_int_equal(link(file, path_in(f, 1, name)), 0);
	}
	f->config.workers = 1;
	for (unsigned i = 0; i < MODELS_MAX; i++) {
		snprintf(name, sizeof(name), "copy%u.neap", i);
		assert_int_equal(models_load(f->ms, path_in(f, 1, name), &err), 0);
	}
	snprintf(name, sizeof(name), "copy%u.neap", MODELS_MAX);
	assert_int_equal(models_load(f->ms, path_in(f, 1, name), &err), -ENOSPC);
	assert_int_equal(models_unload(f->ms, "copy3", &err), 0);
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(loaded_and_measured, setup, teardown),
		cmocka_unit_test_setup_teardown(replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_file_leaves_the_old, setup, teardown),
		cmocka_unit_test_setup_teardown(removed_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(first_folder_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(by_command, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(change_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(names_run_out, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
