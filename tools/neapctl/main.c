// SPDX-License-Identifier: MIT
/* neapctl: the command line. */
#include "tools/neapctl/ctl.h"

#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "neap/neap.h"

static const char usage[] =
	"usage: neapctl [options] COMMAND\n"
	"Watches and steers a running neapd.\n"
	"\n"
	"  status                 what runs, its parts, sensors and counters\n"
	"  models                 the models served and their levels\n"
	"  top                    models and clients at work, refreshed\n"
	"  budget [get [NAME]]    the budgets\n"
	"  budget set NAME VALUE  changes one, at once and for good\n"
	"  load PATH              serves a .neap file\n"
	"  unload NAME            stops serving a model\n"
	"  drain                  finishes what was accepted and ends the daemon\n"
	"\n"
	"  --json                 the daemon's answer as JSON\n"
	"  --socket PATH          where neapd listens ($NEAP_SOCKET, else /run/neap/neapd.sock)\n"
	"  --once                 top: print once and end\n"
	"  --interval SECONDS     top: time between pictures (1)\n"
	"  --version              print the version\n"
	"  --help                 print this\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static const struct command {
	const char *name;
	int least, most; /* words, the command included */
	int (*run)(const struct ctl *c, int argc, char **argv);
	const char *words;
} commands[] = {
	{"status", 1, 1, ctl_status, ""},
	{"models", 1, 1, ctl_models, ""},
	{"top", 1, 1, ctl_top, ""},
	{"budget", 1, 4, ctl_budget, " [get [NAME] | set NAME VALUE]"},
	{"load", 2, 2, ctl_load, " PATH"},
	{"unload", 2, 2, ctl_unload, " NAME"},
	{"drain", 1, 1, ctl_drain, ""},
};

/* 0 = go on; else the exit code + 1. */
static int parse(struct ctl *c, int argc, char **argv)
{
	enum { OPT_JSON = 1, OPT_SOCKET, OPT_ONCE, OPT_INTERVAL, OPT_VERSION, OPT_HELP };
	static const struct option options[] = {
		{"json", no_argument, NULL, OPT_JSON},
		{"socket", required_argument, NULL, OPT_SOCKET},
		{"once", no_argument, NULL, OPT_ONCE},
		{"interval", required_argument, NULL, OPT_INTERVAL},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, OPT_HELP},
		{NULL, 0, NULL, 0},
	};
	char *end;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case OPT_JSON:
			c->json = true;
			break;
		case OPT_SOCKET:
			c->socket = optarg;
			break;
		case OPT_ONCE:
			c->once = true;
			break;
		case OPT_INTERVAL:
			c->interval_s = strtod(optarg, &end);
			if (*end || !(c->interval_s >= 0.1 && c->interval_s <= 3600)) {
				fprintf(stderr,
					"neapctl: --interval is from 0.1 to 3600 seconds\n");
				return CTL_USAGE + 1;
			}
			break;
		case OPT_VERSION:
			printf("neapctl %s\n", neap_version());
			return CTL_OK + 1;
		case OPT_HELP:
			fputs(usage, stdout);
			return CTL_OK + 1;
		default: /* getopt has said what is wrong */
			fprintf(stderr, "Try 'neapctl --help'.\n");
			return CTL_USAGE + 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct ctl c = {.interval_s = 1};
	int r;

	setlocale(LC_CTYPE, "");
	r = parse(&c, argc, argv);
	if (r)
		return r - 1;
	argc -= optind;
	argv += optind;
	if (argc < 1) {
		fputs(usage, stderr);
		return CTL_USAGE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *k = &commands[i];

		if (strcmp(k->name, argv[0]))
			continue;
		if (argc < k->least || argc > k->most) {
			fprintf(stderr, "usage: neapctl %s%s\n", k->name, k->words);
			return CTL_USAGE;
		}
		r = k->run(&c, argc, argv);
		/* A full disk or a closed pipe is a failure as well. */
		if (fflush(stdout) || ferror(stdout)) {
			perror("neapctl: output");
			r = CTL_FAILED;
		}
		return r;
	}
	fprintf(stderr, "neapctl: no command \"%s\". Try 'neapctl --help'.\n", argv[0]);
	return CTL_USAGE;
}
