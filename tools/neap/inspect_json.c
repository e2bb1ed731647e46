// SPDX-License-Identifier: MIT
/*
 * neap inspect --json; docs/json.md tells the keys. cJSON's Add functions take a NULL item or
 * object and return false or NULL, so each builder adds what it can and the whole is refused if
 * anything is missing.
 */
#include <stdlib.h>

#include "tools/neap/inspect.h"
#include "tools/neap/levels.h"

/* Remembers that memory ran out, so that builders read as lists. */
struct builder {
	const struct inspection *s;
	bool failed;
};

static void add(struct builder *b, cJSON *to, const char *key, cJSON *item)
{
	bool ok = item &&
		  (key ? cJSON_AddItemToObject(to, key, item) : cJSON_AddItemToArray(to, item));

	if (!ok) {
		cJSON_Delete(item);
		b->failed = true;
	}
}

static void add_number(struct builder *b, cJSON *to, const char *key, double v)
{
	add(b, to, key, cJSON_CreateNumber(v));
}

static void add_string(struct builder *b, cJSON *to, const char *key, const char *v)
{
	add(b, to, key, cJSON_CreateString(v ? v : ""));
}

/* An empty array or object that already belongs to @to; NULL once memory has run out. */
static cJSON *add_new(struct builder *b, cJSON *to, const char *key, bool array)
{
	cJSON *item = array ? cJSON_CreateArray() : cJSON_CreateObject();
	bool had_failed = b->failed;

	b->failed = false;
	add(b, to, key, item);
	if (b->failed)
		return NULL;
	b->failed = had_failed;
	return item;
}

static void add_ids(struct builder *b, cJSON *to, const char *key, const uint32_t *id, uint32_t n)
{
	cJSON *a = add_new(b, to, key, true);

	for (uint32_t i = 0; i < n; i++)
		add(b, a, NULL, id[i] == NE_NONE ? cJSON_CreateNull() : cJSON_CreateNumber(id[i]));
}

static void add_file(struct builder *b, cJSON *root)
{
	const struct file_layout *f = &b->s->file;
	cJSON *sections;

	add_string(b, root, "file", b->s->path);
	add_number(b, root, "file_bytes", (double)f->bytes);
	add(b, root, "signed", cJSON_CreateBool(f->is_signed));
	sections = add_new(b, root, "sections", true);
	for (uint32_t i = 0; i < f->n_section; i++) {
		cJSON *o = add_new(b, sections, NULL, false);

		add_string(b, o, "name", f->section[i].name);
		add_number(b, o, "bytes", (double)f->section[i].bytes);
	}
}

static void add_tensor(struct builder *b, cJSON *tensors, uint32_t id)
{
	const struct ne_model *m = b->s->m;
	const struct ne_tensor *t = &m->graph.tensor[id];
	cJSON *o = add_new(b, tensors, NULL, false), *shape;

	add_number(b, o, "id", id);
	add_string(b, o, "name", t->name);
	add_string(b, o, "dtype", ne_dtype_name(t->dtype));
	shape = add_new(b, o, "shape", true);
	for (uint32_t i = 0; i < t->shape.rank; i++)
		add_number(b, shape, NULL, t->shape.dim[i]);
	add_number(b, o, "group", t->group);
	add(b, o, "constant", cJSON_CreateBool(t->data != NULL));
	if (t->data) {
		add_number(b, o, "bytes", (double)t->bytes);
		add_string(b, o, "encoding", file_encoding_name(b->s->file.encoding[id]));
		add_number(b, o, "stored_bytes", (double)b->s->file.stored_bytes[id]);
	} else if (m->n_width && m->width[m->n_width - 1].quant[id].scale > 0) {
		const struct ne_quant *q = &m->width[m->n_width - 1].quant[id];

		add_number(b, o, "scale", (double)q->scale);
		add_number(b, o, "zero", q->zero);
	}
}

static void add_graph(struct builder *b, cJSON *root)
{
	const struct ne_graph *g = &b->s->m->graph;
	cJSON *a;

	add_ids(b, root, "inputs", g->in, g->n_in);
	a = add_new(b, root, "exits", true);
	for (uint32_t i = 0; i < g->n_exit; i++) {
		cJSON *o = add_new(b, a, NULL, false);

		add_number(b, o, "depth", i);
		add_ids(b, o, "outputs", g->exit[i].out, g->exit[i].n_out);
	}
	a = add_new(b, root, "nodes", true);
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];
		cJSON *o = add_new(b, a, NULL, false);

		add_string(b, o, "op", ne_op_name(n->op));
		add_string(b, o, "name", n->name);
		add_ids(b, o, "inputs", n->in, n->n_in);
		add_ids(b, o, "outputs", n->out, n->n_out);
	}
	a = add_new(b, root, "states", true);
	for (uint32_t i = 0; i < g->n_state; i++) {
		const struct ne_graph_state *s = &g->state[i];
		cJSON *o = add_new(b, a, NULL, false);

		add_number(b, o, "tensor", s->in);
		add_number(b, o, "next", s->out);
		add(b, o, "first",
		    s->initial == NE_NONE ? cJSON_CreateNull() : cJSON_CreateNumber(s->initial));
	}
	a = add_new(b, root, "tensors", true);
	for (uint32_t i = 0; i < g->n_tensor; i++)
		add_tensor(b, a, i);
}

static void add_widths(struct builder *b, cJSON *root)
{
	const struct ne_model *m = b->s->m;
	cJSON *a = add_new(b, root, "groups", true);

	for (uint32_t g = 1; g <= m->graph.n_group; g++) {
		cJSON *o = add_new(b, a, NULL, false), *active;

		add_number(b, o, "group", g);
		add_number(b, o, "channels", m->graph.group_channels[g]);
		active = add_new(b, o, "active", true);
		for (uint32_t w = 0; w < m->n_width; w++)
			add_number(b, active, NULL, m->width[w].active[g]);
	}
	a = add_new(b, root, "widths", true);
	for (uint32_t w = 0; w < m->n_width; w++)
		add_number(b, a, NULL, level_width(m, w));
}

/* Measures are stored as f32: six digits are what it holds. */
static void add_levels(struct builder *b, cJSON *root)
{
	const struct ne_model *m = b->s->m;
	cJSON *a = add_new(b, root, "levels", true);

	for (uint32_t i = 0; i < m->n_level; i++) {
		const struct ne_level *l = &m->level[i];
		cJSON *o = add_new(b, a, NULL, false);

		add_number(b, o, "level", i);
		add_number(b, o, "depth", l->depth);
		add_number(b, o, "width", level_width(m, l->width));
		add_number(b, o, "width_setting", l->width);
		add(b, o, "pareto", cJSON_CreateBool(l->flags & NE_LEVEL_PARETO));
		add_number(b, o, "macs", (double)l->macs);
		add(b, o, "accuracy", json_measured((double)l->accuracy, 6));
		add(b, o, "control_accuracy", json_measured((double)l->control_accuracy, 6));
		add(b, o, "f32_accuracy", json_measured((double)l->f32_accuracy, 6));
		add(b, o, "latency_us",
		    json_measured(l->latency_us > 0 ? (double)l->latency_us : -1, 3));
		add(b, o, "energy_uj",
		    json_measured(l->energy_uj > 0 ? (double)l->energy_uj : -1, 3));
		add(b, o, "arena_bytes",
		    b->s->p ? cJSON_CreateNumber((double)ne_program_arena_bytes(b->s->p, i))
			    : cJSON_CreateNull());
	}
}

static void add_words(struct builder *b, cJSON *root)
{
	const struct ne_model *m = b->s->m;
	cJSON *labels = add_new(b, root, "labels", true), *notes;

	for (uint32_t i = 0; i < m->n_label; i++)
		add_string(b, labels, NULL, m->label[i]);
	notes = add_new(b, root, "notes", false);
	for (uint32_t i = 0; i < m->n_note; i++)
		add_string(b, notes, m->note[i].key, m->note[i].value);
	add(b, root, "confidence", json_number((double)m->confidence, 6));
	add(b, root, "kernel",
	    b->s->p ? cJSON_CreateString(ne_program_cpu(b->s->p)) : cJSON_CreateNull());
	add(b, root, "packed_bytes",
	    b->s->p ? cJSON_CreateNumber((double)ne_program_packed_bytes(b->s->p))
		    : cJSON_CreateNull());
}

int inspect_print_json(const struct inspection *s)
{
	struct builder b = {.s = s};
	cJSON *root = cJSON_CreateObject();

	add_file(&b, root);
	add_graph(&b, root);
	add_widths(&b, root);
	add_levels(&b, root);
	add_words(&b, root);
	if (b.failed) {
		cJSON_Delete(root);
		return -ENOMEM;
	}
	return json_print(root);
}
