// SPDX-License-Identifier: MIT
/* Reads argv by a table of options. Strings stay argv's. */
#include "tools/neap/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/command.h"

#define MAX_OPTIONS 32u
#define MAX_WORD    32u /* longer words are near to nothing */

/* Levenshtein distance: insertions, deletions and substitutions. */
static size_t distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b), row[MAX_WORD + 1];

	if (na > MAX_WORD || nb > MAX_WORD)
		return MAX_WORD;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

			best = above + 1 < best ? above + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			diagonal = above;
		}
	}
	return row[nb];
}

const char *options_nearest(const char *word, const char *const *candidate, size_t n)
{
	size_t best = strlen(word) < 4 ? 2 : 3; /* fewer changes than this count as near */
	const char *ret = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, candidate[i]);

		/* The start of a name is near to it, however much is missing. */
		if (strlen(word) >= 2 && !strncmp(word, candidate[i], strlen(word)))
			d = 1;
		if (d < best) {
			best = d;
			ret = candidate[i];
		}
	}
	return ret;
}

/* Lines of the help stand under each other. */
static void print_wrapped(const char *left, const char *text)
{
	size_t n = strcspn(text, "\n");

	printf("  %-24s %.*s\n", left, (int)n, text);
	if (text[n])
		print_wrapped("", text + n + 1);
}

static void print_help(const struct command_options *o)
{
	printf("Usage: neap %s", o->command);
	if (o->n_word)
		printf(" %s", o->word_name);
	for (uint32_t i = 0; i < o->n_option; i++)
		if (o->option[i].required)
			printf(" --%s %s", o->option[i].name, o->option[i].value);
	printf(" [OPTIONS]\n\n%s\n\nOptions:\n", o->about);
	for (uint32_t i = 0; i < o->n_option; i++) {
		const struct option_spec *s = &o->option[i];
		char left[64];

		snprintf(left, sizeof(left), "%c%c%c --%s%s%s", s->letter ? '-' : ' ',
			 s->letter ? s->letter : ' ', s->letter ? ',' : ' ', s->name,
			 s->value ? " " : "", s->value ? s->value : "");
		print_wrapped(left, s->help);
	}
	print_wrapped("-h, --help", "Show this help.");
}

__attribute__((format(printf, 2, 3))) static int usage_error(const struct command_options *o,
							     const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "neap %s: ", o->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry 'neap %s --help'.\n", o->command);
	return -EINVAL;
}

static int set_number(const struct command_options *o, const struct option_spec *s,
		      const char *value)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || v < s->min || (s->max && v > s->max)) {
		if (s->max)
			return usage_error(o, "--%s '%s': expected a number from %llu to %llu",
					   s->name, value, (unsigned long long)s->min,
					   (unsigned long long)s->max);
		return usage_error(o, "--%s '%s': expected a number of at least %llu", s->name,
				   value, (unsigned long long)s->min);
	}
	*(uint64_t *)s->to = v;
	return 0;
}

static int set_value(const struct command_options *o, const struct option_spec *s,
		     const char *value)
{
	struct option_list *list = s->to;

	switch (s->kind) {
	case OPTION_FLAG:
		*(bool *)s->to = true;
		return 0;
	case OPTION_STRING:
		*(const char **)s->to = value;
		return 0;
	case OPTION_NUMBER:
		return set_number(o, s, value);
	case OPTION_LIST:
		if (list->n == OPTIONS_MAX_LIST)
			return usage_error(o, "--%s is given more than %u times", s->name,
					   OPTIONS_MAX_LIST);
		list->item[list->n++] = value;
		return 0;
	}
	return 0;
}

static int unknown_option(const struct command_options *o, const char *arg, size_t n)
{
	const char *names[MAX_OPTIONS], *near;
	char word[MAX_WORD + 1] = "";
	uint32_t k = 0;

	for (; k < o->n_option && k < MAX_OPTIONS; k++)
		names[k] = o->option[k].name;
	if (arg[1] == '-' && n > 2 && n - 2 <= MAX_WORD)
		memcpy(word, arg + 2, n - 2);
	near = options_nearest(word, names, k);
	if (near)
		return usage_error(o, "unknown option '%.*s'; did you mean '--%s'?", (int)n, arg,
				   near);
	return usage_error(o, "unknown option '%.*s'", (int)n, arg);
}

/* The option that @arg names, or NULL; @ret_value where "=VALUE" or "-nVALUE" is in the word. */
static const struct option_spec *find_option(const struct command_options *o, const char *arg,
					     const char **ret_value)
{
	size_t n = strcspn(arg, "=");

	*ret_value = NULL;
	for (uint32_t i = 0; i < o->n_option; i++) {
		const struct option_spec *s = &o->option[i];

		if (arg[1] == '-' && strlen(s->name) == n - 2 && !memcmp(arg + 2, s->name, n - 2)) {
			if (arg[n])
				*ret_value = arg + n + 1;
			return s;
		}
		if (arg[1] != '-' && s->letter && arg[1] == s->letter) {
			if (arg[2])
				*ret_value = arg + 2;
			return s;
		}
	}
	return NULL;
}

/* One option at argv[*i]. */
static int take_option(const struct command_options *o, int argc, char **argv, int *i)
{
	const char *arg = argv[*i], *value;
	const struct option_spec *s = find_option(o, arg, &value);

	if (!s)
		return unknown_option(o, arg, strcspn(arg, "="));
	if (s->kind == OPTION_FLAG && value)
		return usage_error(o, "--%s takes no value", s->name);
	if (s->kind != OPTION_FLAG && !value) {
		if (*i + 1 >= argc)
			return usage_error(o, "--%s needs %s", s->name, s->value);
		value = argv[++*i];
	}
	return set_value(o, s, value);
}

static int check_required(const struct command_options *o)
{
	for (uint32_t i = 0; i < o->n_option; i++) {
		const struct option_spec *s = &o->option[i];
		bool given = true;

		if (s->kind == OPTION_STRING)
			given = *(const char **)s->to;
		else if (s->kind == OPTION_LIST)
			given = ((const struct option_list *)s->to)->n;
		if (s->required && !given)
			return usage_error(o, "--%s %s is missing", s->name, s->value);
	}
	return 0;
}

bool options_parse(const struct command_options *o, int argc, char **argv, int *ret_exit)
{
	bool only_words = false;
	uint32_t words = 0;
	int rc = 0;

	*ret_exit = COMMAND_USAGE;
	for (int i = 1; i < argc && !rc; i++) {
		const char *arg = argv[i];

		if (!only_words && (!strcmp(arg, "--help") || !strcmp(arg, "-h"))) {
			print_help(o);
			*ret_exit = COMMAND_OK;
			return false;
		}
		if (!only_words && !strcmp(arg, "--"))
			only_words = true;
		else if (!only_words && arg[0] == '-' && arg[1])
			rc = take_option(o, argc, argv, &i);
		else if (words == o->n_word)
			rc = usage_error(o, "unexpected word '%s'", arg);
		else
			o->word[words++] = arg;
	}
	if (!rc && words < o->n_word)
		rc = usage_error(o, "%s is missing", o->word_name);
	if (!rc)
		rc = check_required(o);
	return !rc;
}
