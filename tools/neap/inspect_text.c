// SPDX-License-Identifier: MIT
/* neap inspect for people. Names and notes come from the file: control characters are not printed
 * as they are, as a terminal would obey them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/neap/inspect.h"
#include "tools/neap/levels.h"

#define NAME_BYTES 256u

static const char *safe(const char *s, char *text)
{
	size_t n = 0;

	for (; s && *s && n + 1 < NAME_BYTES; s++) {
		bool control = (uint8_t)*s < 0x20 || *s == 0x7f;

		text[n++] = control && *s != '\n' ? '?' : *s == '\n' ? ' ' : *s;
	}
	text[n] = '\0';
	return text;
}

static void print_file(const struct inspection *s)
{
	printf("%s: %" PRIu64 " bytes, %s\n", s->path, s->file.bytes,
	       s->file.is_signed ? "signed (neap verify checks it)" : "not signed");
	for (uint32_t i = 0; i < s->file.n_section; i++)
		printf("  section %-12s %9" PRIu64 " bytes  %5.1f %%\n", s->file.section[i].name,
		       s->file.section[i].bytes,
		       100 * (double)s->file.section[i].bytes / (double)s->file.bytes);
}

static void print_io(const char *what, const struct ne_model *m, uint32_t id)
{
	const struct ne_tensor *t = &m->graph.tensor[id];
	const struct ne_quant *q = m->n_width ? &m->width[0].quant[id] : NULL;
	char name[NAME_BYTES], shape[96];

	printf("%s '%s': %s %s", what, safe(t->name, name), ne_dtype_name(t->dtype),
	       inspect_shape(&t->shape, shape, sizeof(shape)));
	if (q && q->scale > 0)
		printf(", real = (q - %d) * %g", q->zero, (double)q->scale);
	putchar('\n');
}

static void print_graph(const struct ne_model *m)
{
	const struct ne_graph *g = &m->graph;
	uint32_t count[NE_OP_COUNT] = {0}, consts = 0;
	const char *separator = "  ";
	size_t kept = 0;

	for (uint32_t i = 0; i < g->n_in; i++)
		print_io("input", m, g->in[i]);
	for (uint32_t e = 0; e < g->n_exit; e++)
		for (uint32_t i = 0; i < g->exit[e].n_out; i++) {
			char what[32];

			snprintf(what, sizeof(what), "exit %u output", e);
			print_io(what, m, g->exit[e].out[i]);
		}
	for (uint32_t i = 0; i < g->n_tensor; i++)
		consts += g->tensor[i].data != NULL;
	for (uint32_t i = 0; i < g->n_state; i++)
		kept += ne_shape_elements(&g->tensor[g->state[i].in].shape) *
			ne_dtype_size(g->tensor[g->state[i].in].dtype);
	for (uint32_t i = 0; i < g->n_node; i++)
		count[g->node[i].op]++;
	printf("graph: %u nodes, %u tensors (%u constant), %u channel groups, %u width settings\n",
	       g->n_node, g->n_tensor, consts, g->n_group, m->n_width);
	for (uint32_t op = 0; op < NE_OP_COUNT; op++) {
		if (!count[op])
			continue;
		printf("%s%u %s", separator, count[op], ne_op_name((enum ne_op)op));
		separator = ", ";
	}
	putchar('\n');
	if (g->n_state)
		printf("kept from run to run: %u values, %zu bytes\n", g->n_state, kept);
}

static void print_nodes(const struct ne_graph *g)
{
	char name[NAME_BYTES], shape[96];

	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];

		printf("  node %u %s '%s':", i, ne_op_name(n->op), safe(n->name, name));
		for (uint32_t k = 0; k < n->n_in; k++)
			if (n->in[k] != NE_NONE)
				printf(" %u", n->in[k]);
		printf(" ->");
		for (uint32_t k = 0; k < n->n_out; k++)
			printf(" %u %s", n->out[k],
			       inspect_shape(&g->tensor[n->out[k]].shape, shape, sizeof(shape)));
		putchar('\n');
	}
}

static void print_tensors(const struct inspection *s)
{
	const struct ne_graph *g = &s->m->graph;
	char name[NAME_BYTES], shape[96];

	for (uint32_t i = 0; i < g->n_tensor; i++) {
		const struct ne_tensor *t = &g->tensor[i];

		if (!t->data)
			continue;
		printf("  tensor %u '%s': %s %s, %zu bytes, stored as %s in %" PRIu64 " bytes\n", i,
		       safe(t->name, name), ne_dtype_name(t->dtype),
		       inspect_shape(&t->shape, shape, sizeof(shape)), t->bytes,
		       file_encoding_name(s->file.encoding[i]), s->file.stored_bytes[i]);
	}
}

/* Bytes by encoding: in memory and in the file. */
static void print_encodings(const struct inspection *s)
{
	uint64_t memory[256] = {0}, stored[256] = {0};
	uint32_t count[256] = {0};

	for (uint32_t i = 0; i < s->m->graph.n_tensor; i++) {
		uint8_t e = s->file.encoding[i];

		if (!s->m->graph.tensor[i].data)
			continue;
		memory[e] += s->m->graph.tensor[i].bytes;
		stored[e] += s->file.stored_bytes[i];
		count[e]++;
	}
	for (unsigned e = 0; e < 256; e++)
		if (count[e])
			printf("  %u constants as %s: %" PRIu64 " bytes stored, %" PRIu64
			       " in memory\n",
			       count[e], file_encoding_name(e), stored[e], memory[e]);
}

static void print_groups(const struct ne_model *m)
{
	for (uint32_t g = 1; g <= m->graph.n_group; g++) {
		printf("  group %u: %d channels; active", g, m->graph.group_channels[g]);
		for (uint32_t w = 0; w < m->n_width; w++)
			printf(" %d", m->width[w].active[g]);
		putchar('\n');
	}
}

static void print_share(float v)
{
	if (v < 0)
		printf("  %8s", "-");
	else
		printf("  %7.2f%%", 100 * (double)v);
}

static void print_levels(const struct inspection *s)
{
	printf("level  depth  width        MACs  accuracy   control       f32  latency us  energy "
	       "uJ    arena\n");
	for (uint32_t i = 0; i < s->m->n_level; i++) {
		const struct ne_level *l = &s->m->level[i];

		printf("%4u%c  %5u  %5.3f  %10" PRIu64, i, l->flags & NE_LEVEL_PARETO ? ' ' : '*',
		       l->depth, level_width(s->m, l->width), l->macs);
		print_share(l->accuracy);
		print_share(l->control_accuracy);
		print_share(l->f32_accuracy);
		if (l->latency_us > 0)
			printf("  %10.1f", (double)l->latency_us);
		else
			printf("  %10s", "-");
		if (l->energy_uj > 0)
			printf("  %9.1f", (double)l->energy_uj);
		else
			printf("  %9s", "-");
		if (s->p)
			printf("  %7zu\n", ne_program_arena_bytes(s->p, i));
		else
			printf("  %7s\n", "-");
	}
	for (uint32_t i = 0; i < s->m->n_level; i++)
		if (!(s->m->level[i].flags & NE_LEVEL_PARETO)) {
			puts("* off the front: reached only by leaving a deeper level early");
			break;
		}
	if (s->m->confidence > 0)
		printf("exits are left at confidence %g\n", (double)s->m->confidence);
}

void inspect_print_text(const struct inspection *s, bool all)
{
	const struct ne_model *m = s->m;
	char key[NAME_BYTES], value[NAME_BYTES];

	print_file(s);
	print_graph(m);
	if (all)
		print_nodes(&m->graph);
	print_encodings(s);
	if (all)
		print_tensors(s);
	print_groups(m);
	print_levels(s);
	if (s->p)
		printf("kernels: %s; packed weights %zu bytes\n", ne_program_cpu(s->p),
		       ne_program_packed_bytes(s->p));
	else
		printf("cannot run here: %s\n", s->no_program.text);
	for (uint32_t i = 0; i < m->n_label; i++)
		printf("%s%s%s", i ? ", " : "labels: ", safe(m->label[i], value),
		       i + 1 == m->n_label ? "\n" : "");
	for (uint32_t i = 0; i < m->n_note; i++)
		printf("note %s: %s\n", safe(m->note[i].key, key), safe(m->note[i].value, value));
}
