/* SPDX-License-Identifier: MIT */
/*
 * Options of a command: --name VALUE, --name=VALUE, -n VALUE, flags, and words in any order; "--"
 * ends the options. The help text is made from the same table.
 */
#ifndef NEAP_TOOL_OPTIONS_H
#define NEAP_TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_MAX_LIST 64u

struct option_list {
	const char *item[OPTIONS_MAX_LIST];
	uint32_t n;
};

enum option_kind {
	OPTION_FLAG,   /* bool */
	OPTION_STRING, /* const char * */
	OPTION_NUMBER, /* uint64_t, decimal, within [min, max] */
	OPTION_LIST,   /* struct option_list: may be given several times */
};

struct option_spec {
	const char *name; /* without the dashes */
	char letter;      /* 0 = none */
	enum option_kind kind;
	void *to;
	const char *value; /* what the help calls it, e.g. "FILE" */
	const char *help;
	uint64_t min, max; /* OPTION_NUMBER; max 0 = no limit */
	bool required;
};

/* Lines of the table: long name, letter or 0, where to, and what the help says. */
#define OPT_FLAG(n, l, t, h)                                                            \
	{                                                                               \
		.name = (n), .letter = (l), .kind = OPTION_FLAG, .to = (t), .help = (h) \
	}
#define OPT_STRING(n, l, t, v, h)                                                           \
	{                                                                                   \
		.name = (n), .letter = (l), .kind = OPTION_STRING, .to = (t), .value = (v), \
		.help = (h)                                                                 \
	}
#define OPT_REQUIRED(n, l, t, v, h)                                                         \
	{                                                                                   \
		.name = (n), .letter = (l), .kind = OPTION_STRING, .to = (t), .value = (v), \
		.help = (h), .required = true                                               \
	}
#define OPT_LIST(n, l, t, v, h)                                                           \
	{                                                                                 \
		.name = (n), .letter = (l), .kind = OPTION_LIST, .to = (t), .value = (v), \
		.help = (h)                                                               \
	}
#define OPT_NUMBER(n, l, t, v, h, lo, hi)                                                   \
	{                                                                                   \
		.name = (n), .letter = (l), .kind = OPTION_NUMBER, .to = (t), .value = (v), \
		.help = (h), .min = (lo), .max = (hi)                                       \
	}

struct command_options {
	const char *command;
	const char *about;     /* a sentence or more for the help */
	const char *word_name; /* of the words, e.g. "MODEL"; NULL = none are taken */
	const char **word;     /* [n_word], each required */
	uint32_t n_word;
	const struct option_spec *option;
	uint32_t n_option;
};

/* True: go on. False: end with *ret_exit; the help or what is wrong has been printed. */
bool options_parse(const struct command_options *o, int argc, char **argv, int *ret_exit);

/* The candidate most like @word, or NULL where none is near: for "did you mean". */
const char *options_nearest(const char *word, const char *const *candidate, size_t n);

#endif
