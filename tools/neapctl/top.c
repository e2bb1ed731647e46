// SPDX-License-Identifier: MIT
/*
 * neapctl top: asks again and again and draws. On a terminal with ncurses the screen is refreshed
 * in place; elsewhere, and with --once or --json, one picture is printed.
 */
#include "tools/neapctl/ctl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int once(const struct ctl *c)
{
	cJSON *j;
	int r = ctl_ask_or_tell(c, "top", &j);

	if (r)
		return r;
	if (c->json)
		r = ctl_print_json(j);
	else
		top_render(j, stdout);
	cJSON_Delete(j);
	return r;
}

#ifdef HAVE_NCURSES
#include <ncurses.h>
#include <signal.h>

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

/* The picture, or why there is none, as text; freed with free(). */
static char *picture(const struct ctl *c)
{
	char why[512], *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);
	cJSON *j;

	if (!f)
		return NULL;
	if (ctl_ask(c, "top", &j, why, sizeof(why)) < 0) {
		fprintf(f, "%s\n\nwaiting for it...\n", why);
	} else {
		top_render(j, f);
		cJSON_Delete(j);
	}
	fclose(f);
	return text;
}

static void draw(const char *text)
{
	int row = 0;

	erase();
	attron(A_REVERSE);
	mvprintw(row++, 0, " neapctl top   q: quit ");
	attroff(A_REVERSE);
	while (*text && row < LINES) {
		size_t n = strcspn(text, "\n");

		if (row == LINES - 1 && text[n] && text[n + 1])
			mvaddstr(row++, 0, "... more than fits: --once prints all");
		else
			mvaddnstr(row++, 0, text, (int)n);
		text += n;
		if (*text)
			text++;
	}
	refresh();
}

static int screen(const struct ctl *c)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int key;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if (!initscr())
		return once(c);
	noecho();
	cbreak();
	curs_set(0);
	keypad(stdscr, TRUE);
	timeout((int)(c->interval_s * 1000));
	while (!stopped) {
		char *text = picture(c);

		if (!text)
			break;
		draw(text);
		free(text);
		key = getch();
		if (key == 'q' || key == 'Q' || key == 27)
			break;
	}
	endwin();
	return CTL_OK;
}
#else
static int screen(const struct ctl *c)
{
	fprintf(stderr, "neapctl: built without ncurses: printing once\n");
	return once(c);
}
#endif

int ctl_top(const struct ctl *c, int argc, char **argv)
{
	const char *term = getenv("TERM");

	(void)argc;
	(void)argv;
	if (c->once || c->json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || !term ||
	    !strcmp(term, "dumb"))
		return once(c);
	return screen(c);
}
