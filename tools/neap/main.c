// SPDX-License-Identifier: MIT
/* neap COMMAND: makes, measures and looks at model files. A command is one line of the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/command.h"
#include "tools/neap/export/export.h"
#include "tools/neap/import/import.h"
#include "tools/neap/options.h"
#include "tools/neap/sign.h"
#include "tools/neap/simulate.h"
#include "tools/neap/train/train.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"import", cmd_import, "an ONNX or TFLite model to a .neap file, in f32 or quantised"},
	{"export", cmd_export, "one level of a .neap file as ONNX"},
	{"stream", cmd_stream, "a model over a sliding window that computes only what is new"},
	{"train", cmd_train, "train a nested network by a recipe, quantise and measure it"},
	{"eval", cmd_eval, "accuracy and latency of each level on labelled data"},
	{"features", cmd_features, "a recording as a wake word model takes it, for run"},
	{"run", cmd_run, "run a model on npy files"},
	{"bench", cmd_bench, "latency of each level on this machine"},
	{"inspect", cmd_inspect, "what is in a model file"},
	{"plot", cmd_plot, "draw accuracy against latency or MACs as SVG"},
	{"simulate", cmd_simulate,
	 "replay a trace of requests, load and battery through the governor"},
	{"keygen", cmd_keygen, "make a key pair for signing model files"},
	{"sign", cmd_sign, "sign a model file"},
	{"verify", cmd_verify, "check the signature of a model file"},
};

/* Features whose library was absent when this program was built, and what brings them. */
static const char *const left_out[] = {
#ifndef HAVE_SNDFILE
	"audio data sets (libsndfile1-dev)",
#endif
#ifndef HAVE_ZLIB
	".gz files (zlib1g-dev)",
#endif
#ifndef HAVE_LZMA
	".xz files (liblzma-dev)",
#endif
#ifndef HAVE_SODIUM
	"signatures (libsodium-dev)",
#endif
#ifndef HAVE_OPENBLAS
	"training (libopenblas-dev)",
#endif
#ifndef HAVE_PROTOBUFC
	"ONNX import and export (libprotobuf-c-dev)",
#endif
	NULL,
};

static void print_help(FILE *to)
{
	fputs("Usage: neap COMMAND [OPTIONS]\n\nCommands:\n", to);
	for (size_t i = 0; i < NE_ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\nneap help COMMAND tells a command's options; neap --version the version.\n"
	      "Exit codes: 0 done, 1 failed, 2 wrong usage.\n",
	      to);
}

static void print_version(void)
{
	puts("neap " NEAP_VERSION);
	for (size_t i = 0; left_out[i]; i++)
		printf("%s%s", i ? ", " : "left out of this build: ", left_out[i]);
	if (left_out[0])
		putchar('\n');
}

static int unknown_command(const char *name)
{
	const char *names[NE_ARRAY_SIZE(commands)], *near;

	for (size_t i = 0; i < NE_ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	near = options_nearest(name, names, NE_ARRAY_SIZE(names));
	fprintf(stderr, "neap: unknown command '%s'", name);
	if (near)
		fprintf(stderr, "; did you mean '%s'?", near);
	fputs("\nTry 'neap help'.\n", stderr);
	return COMMAND_USAGE;
}

static int dispatch(int argc, char **argv)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[0], commands[i].name))
			return commands[i].run(argc, argv);
	return unknown_command(argv[0]);
}

static int help(int argc, char **argv)
{
	char ask[] = "--help";
	char *words[] = {argc > 1 ? argv[1] : NULL, ask, NULL};

	if (argc > 1)
		return dispatch(2, words);
	print_help(stdout);
	return COMMAND_OK;
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return COMMAND_USAGE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		print_version();
		return COMMAND_OK;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(argc - 1, argv + 1);
	if (argv[1][0] == '-') {
		fprintf(stderr, "neap: unknown option '%s'\nTry 'neap help'.\n", argv[1]);
		return COMMAND_USAGE;
	}
	return dispatch(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int code = run(argc, argv);

	/* A full disk or a closed pipe behind standard output is a failure too. */
	if ((fflush(stdout) || ferror(stdout)) && code == COMMAND_OK)
		return command_fail("output", "standard output: %s", strerror(errno));
	return code;
}
