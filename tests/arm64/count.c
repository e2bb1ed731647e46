/* SPDX-License-Identifier: MIT */
/*
 * count: a plug-in of QEMU's user-mode emulator that counts the instructions that a program
 * executes. At the program's end it writes a line for each translated block that was executed:
 * instructions (executions times the block's length), address, function.
 *
 *   qemu-aarch64 -plugin ./count.so,out=FILE PROGRAM ...
 *
 * A block is left in its middle by a fault alone, which no counted program has. The blocks live as
 * long as the process. QEMU's interface is declared here, as far as it is used: Debian packages no
 * header of it. It is version 1, which QEMU 4.2 to 8.2 load.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION 1
#define EXPORT      __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;

EXPORT extern int qemu_plugin_version;
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
					   void (*fn)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*fn)(unsigned, void *),
					  int flags, void *user); /* flags 0: reads no registers */
void qemu_plugin_register_atexit_cb(plugin_id id, void (*fn)(plugin_id, void *), void *user);

int qemu_plugin_version = API_VERSION;

struct block {
	struct block *next;
	uint64_t address, executions;
	size_t instructions;
	const char *symbol;
};

static struct block *blocks;
static const char *out;

static void executed(unsigned cpu, void *user)
{
	struct block *b = user;

	(void)cpu;
	b->executions++;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	const struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(tb, 0);
	struct block *b = calloc(1, sizeof(*b));

	(void)id;
	if (!b)
		abort();
	b->next = blocks;
	b->address = qemu_plugin_insn_vaddr(first);
	b->instructions = qemu_plugin_tb_n_insns(tb);
	b->symbol = qemu_plugin_insn_symbol(first);
	blocks = b;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, b);
}

static void ended(plugin_id id, void *user)
{
	FILE *f = fopen(out, "w");

	(void)id;
	(void)user;
	if (!f) {
		perror(out);
		return;
	}
	for (const struct block *b = blocks; b; b = b->next)
		if (b->executions)
			fprintf(f, "%" PRIu64 " %" PRIx64 " %s\n", b->executions * b->instructions,
				b->address, b->symbol && *b->symbol ? b->symbol : "?");
	if (fclose(f))
		perror(out);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
	if (!out) {
		fprintf(stderr, "count: an argument out=FILE is needed\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
