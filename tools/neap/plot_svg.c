// SPDX-License-Identifier: MIT
/*
 * Writes SVG 1.1 with a style sheet that follows the reader's light or dark theme. The picture
 * brings its own background, as viewers do not agree on what lies under it.
 */
#include "tools/neap/plot_svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/container_io.h"

/* Pixels. */
#define WIDTH      720
#define HEIGHT     440
#define LEFT       66
#define RIGHT      24
#define TOP        52
#define BOTTOM     58
#define DOT        5
#define CHAR_WIDTH 6.4 /* of the label font, on average */
#define CHAR_HIGH  12.0

#define LOG_FROM  4.0 /* the x axis is logarithmic from this ratio of largest to smallest */
#define MAX_TICKS 64u

#define LINE_BOXES 16 /* that keep labels off a piece of the front */

struct box {
	double x0, y0, x1, y1;
};

struct axis {
	bool log;
	double lo, hi;   /* of the data; log10 where log */
	double from, to; /* pixels */
	double tick[MAX_TICKS];
	unsigned n_tick;
};

struct drawing {
	FILE *to;
	struct plot *p;
	struct axis x, y;
	struct box taken[20 * PLOT_MAX_POINTS]; /* by dots, labels and the front */
	unsigned n_taken;
};

/* Text that is not valid UTF-8 would make the whole file unreadable: its odd bytes become '?'. */
static void put_escaped(FILE *to, const char *s)
{
	bool utf8 = ne_utf8_valid(s, strlen(s));

	for (; *s; s++) {
		if (!utf8 && (uint8_t)*s >= 0x80) {
			fputc('?', to);
			continue;
		}
		switch (*s) {
		case '&':
			fputs("&amp;", to);
			break;
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		case '"':
			fputs("&quot;", to);
			break;
		default:
			/* XML knows no other control characters, not even as references. */
			fputc((uint8_t)*s < 0x20 || *s == 0x7f ? ' ' : *s, to);
		}
	}
}

/* ---- axes ---- */

double plot_nice_step(double span, unsigned count)
{
	double raw = span / count, unit = pow(10, floor(log10(raw))), r = raw / unit;

	return unit * (r <= 1 ? 1 : r <= 2 ? 2 : r <= 5 ? 5 : 10);
}

static double place(const struct axis *a, double v)
{
	if (a->log)
		v = log10(v);
	return a->from + (v - a->lo) / (a->hi - a->lo) * (a->to - a->from);
}

static void linear_ticks(struct axis *a, unsigned count)
{
	double step = plot_nice_step(a->hi - a->lo, count), first = ceil(a->lo / step - 1e-9);

	for (double k = first; k * step <= a->hi + step * 1e-9 && a->n_tick < MAX_TICKS; k++)
		a->tick[a->n_tick++] = k * step;
}

/* 1, 2 and 5 of each decade; only 1 where there are many decades. */
static void log_ticks(struct axis *a)
{
	static const double mantissa[] = {1, 2, 5};
	unsigned n = a->hi - a->lo > 4 ? 1 : 3;

	for (double decade = floor(a->lo); decade <= a->hi; decade++)
		for (unsigned i = 0; i < n && a->n_tick < MAX_TICKS; i++) {
			double v = mantissa[i] * pow(10, decade), at = log10(v);

			if (at >= a->lo && at <= a->hi)
				a->tick[a->n_tick++] = v;
		}
}

static void set_range(struct axis *a, double lo, double hi, double pad)
{
	double span;

	if (a->log) {
		lo = log10(lo);
		hi = log10(hi);
	}
	span = hi - lo;
	if (span <= 0)
		span = a->log ? 1 : fmax(fabs(hi) * 0.1, 1e-9);
	a->lo = lo - pad * span;
	a->hi = hi + pad * span;
}

static void make_axes(struct drawing *d)
{
	const struct plot_point *p = d->p->point;
	double x0 = p[0].x, x1 = p[0].x, y0 = p[0].y, y1 = p[0].y;

	for (uint32_t i = 1; i < d->p->n; i++) {
		x0 = fmin(x0, p[i].x);
		x1 = fmax(x1, p[i].x);
		y0 = fmin(y0, p[i].y);
		y1 = fmax(y1, p[i].y);
	}
	d->x = (struct axis){.log = x1 / x0 >= LOG_FROM, .from = LEFT, .to = WIDTH - RIGHT};
	d->y = (struct axis){.from = HEIGHT - BOTTOM, .to = TOP};
	set_range(&d->x, x0, x1, 0.07);
	set_range(&d->y, y0, y1, 0.08);
	if (d->x.log)
		log_ticks(&d->x);
	else
		linear_ticks(&d->x, 7);
	linear_ticks(&d->y, 9);
}

static void print_tick(FILE *to, double v, bool si)
{
	static const char *const prefix[] = {"", " k", " M", " G", " T"};
	unsigned i = 0;

	for (; si && fabs(v) >= 1000 && i + 1 < NE_ARRAY_SIZE(prefix); i++)
		v /= 1000;
	fprintf(to, "%.6g%s", v, prefix[i]);
}

static void draw_axes(const struct drawing *d)
{
	for (unsigned i = 0; i < d->x.n_tick; i++) {
		double x = place(&d->x, d->x.tick[i]);

		fprintf(d->to,
			"<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n"
			"<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">",
			x, TOP, x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 18);
		print_tick(d->to, d->x.tick[i], d->p->x_si);
		fputs("</text>\n", d->to);
	}
	for (unsigned i = 0; i < d->y.n_tick; i++) {
		double y = place(&d->y, d->y.tick[i]);

		fprintf(d->to,
			"<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n"
			"<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
			LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4);
		print_tick(d->to, d->y.tick[i], false);
		fputs("</text>\n", d->to);
	}
	fprintf(d->to,
		"<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n"
		"<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">",
		LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16);
	put_escaped(d->to, d->p->x_title);
	if (d->x.log)
		fputs(", log scale", d->to);
	fprintf(d->to,
		"</text>\n<text class=\"name\" transform=\"translate(18 %d) rotate(-90)\" "
		"text-anchor=\"middle\">",
		(TOP + HEIGHT - BOTTOM) / 2);
	put_escaped(d->to, d->p->y_title);
	fputs("</text>\n", d->to);
}

/* ---- points ---- */

static int by_x(const void *a, const void *b)
{
	const struct plot_point *p = a, *q = b;

	if (p->x != q->x)
		return p->x < q->x ? -1 : 1;
	return (p->y < q->y) - (p->y > q->y);
}

static void take(struct drawing *d, struct box b)
{
	if (d->n_taken < NE_ARRAY_SIZE(d->taken))
		d->taken[d->n_taken++] = b;
}

static bool is_free(const struct drawing *d, struct box b)
{
	if (b.x0 < LEFT + 2 || b.x1 > WIDTH - 4 || b.y0 < TOP || b.y1 > HEIGHT - BOTTOM - 2)
		return false;
	for (unsigned i = 0; i < d->n_taken; i++) {
		const struct box *t = &d->taken[i];

		if (b.x0 < t->x1 && t->x0 < b.x1 && b.y0 < t->y1 && t->y0 < b.y1)
			return false;
	}
	return true;
}

/* Points must be sorted by x. The front: no other point is both further left and higher. */
static void draw_front(struct drawing *d)
{
	double best = -INFINITY, x0 = 0, y0 = 0;
	bool first = true;

	fputs("<path class=\"front\" d=\"", d->to);
	for (uint32_t i = 0; i < d->p->n; i++) {
		const struct plot_point *p = &d->p->point[i];
		double x = place(&d->x, p->x), y = place(&d->y, p->y);

		if (p->hollow || p->y <= best)
			continue;
		best = p->y;
		fprintf(d->to, "%c%.1f %.1f", first ? 'M' : 'L', x, y);
		/* Labels keep off the line: small boxes along it. */
		for (int k = 1; !first && k < LINE_BOXES; k++) {
			double mx = x0 + (x - x0) * k / LINE_BOXES;
			double my = y0 + (y - y0) * k / LINE_BOXES;

			take(d, (struct box){mx - 2, my - 2, mx + 2, my + 2});
		}
		first = false;
		x0 = x;
		y0 = y;
	}
	fputs("\"/>\n", d->to);
}

static void draw_dot(const struct drawing *d, const struct plot_point *p)
{
	fprintf(d->to, "<circle class=\"s%u%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"><title>",
		p->series % PLOT_COLOURS, p->hollow ? " hollow" : "", place(&d->x, p->x),
		place(&d->y, p->y), p->hollow ? DOT - 1 : DOT);
	put_escaped(d->to, p->detail);
	fputs("</title></circle>\n", d->to);
}

/* The first place around the point that nothing else has; none: the detail alone tells it. */
static void draw_label(struct drawing *d, const struct plot_point *p)
{
	double w = CHAR_WIDTH * (double)strlen(p->label);
	double x = place(&d->x, p->x), y = place(&d->y, p->y);
	const double at[][2] = {/* left edge, baseline */
				{x + 8, y + 14},    {x + 9, y + 4},      {x - 8 - w, y - 6},
				{x - w / 2, y - 9}, {x - w / 2, y + 18}, {x - 9 - w, y + 4},
				{x + 8, y - 6},     {x - 8 - w, y + 14}, {x + 6, y + 24}};

	for (unsigned i = 0; *p->label && i < NE_ARRAY_SIZE(at); i++) {
		struct box b = {at[i][0] - 3, at[i][1] - CHAR_HIGH + 2, at[i][0] + w + 3,
				at[i][1] + 2};

		if (!is_free(d, b))
			continue;
		take(d, b);
		fprintf(d->to, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">", at[i][0], at[i][1]);
		put_escaped(d->to, p->label);
		fputs("</text>\n", d->to);
		return;
	}
}

static void draw_points(struct drawing *d)
{
	for (uint32_t i = 0; i < d->p->n; i++) {
		double x = place(&d->x, d->p->point[i].x), y = place(&d->y, d->p->point[i].y);

		take(d, (struct box){x - DOT, y - DOT, x + DOT, y + DOT});
	}
	draw_front(d);
	for (uint32_t i = 0; i < d->p->n; i++)
		draw_dot(d, &d->p->point[i]);
	/* Those that can be chosen come first to a label. */
	for (uint32_t i = 0; i < d->p->n; i++)
		if (!d->p->point[i].hollow)
			draw_label(d, &d->p->point[i]);
	for (uint32_t i = 0; i < d->p->n; i++)
		if (d->p->point[i].hollow)
			draw_label(d, &d->p->point[i]);
}

static void draw_legend(const struct drawing *d)
{
	double x = WIDTH - RIGHT;

	for (unsigned i = PLOT_COLOURS; i-- > 0;) {
		const char *name = d->p->series_name[i];

		if (!*name)
			continue;
		x -= CHAR_WIDTH * (double)strlen(name) + 22;
		fprintf(d->to,
			"<circle class=\"s%u\" cx=\"%.1f\" cy=\"%d\" r=\"%d\"/>"
			"<text class=\"label\" x=\"%.1f\" y=\"%d\">",
			i, x, TOP - 14, DOT, x + 9, TOP - 10);
		put_escaped(d->to, name);
		fputs("</text>\n", d->to);
	}
}

static void draw_head(const struct drawing *d)
{
	fprintf(d->to,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" role=\"img\">\n<title>",
		WIDTH, HEIGHT, WIDTH, HEIGHT);
	put_escaped(d->to, d->p->title);
	fputs("</title>\n<style>\n"
	      "text { font: 11px system-ui, 'DejaVu Sans', sans-serif; fill: #1f2328 }\n"
	      ".head { font-size: 15px; font-weight: 600 }\n"
	      ".name { font-size: 12px }\n"
	      ".tick { fill: #59636e }\n"
	      ".back { fill: #ffffff }\n"
	      ".grid { stroke: #e4e8ec }\n"
	      ".axis { fill: none; stroke: #818b98 }\n"
	      ".front { fill: none; stroke: #818b98; stroke-width: 1.5 }\n"
	      ".s0 { fill: #0969da; stroke: #0969da }\n"
	      ".s1 { fill: #bc4c00; stroke: #bc4c00 }\n"
	      ".s2 { fill: #1a7f37; stroke: #1a7f37 }\n"
	      ".s3 { fill: #8250df; stroke: #8250df }\n"
	      ".s4 { fill: #bf3989; stroke: #bf3989 }\n"
	      ".s5 { fill: #7d6200; stroke: #7d6200 }\n"
	      ".hollow { fill: none; stroke-width: 1.5 }\n"
	      "@media (prefers-color-scheme: dark) {\n"
	      "text { fill: #f0f6fc }\n"
	      ".tick { fill: #9198a1 }\n"
	      ".back { fill: #0d1117 }\n"
	      ".grid { stroke: #21262d }\n"
	      ".s0 { fill: #58a6ff; stroke: #58a6ff }\n"
	      ".s1 { fill: #f0883e; stroke: #f0883e }\n"
	      ".s2 { fill: #3fb950; stroke: #3fb950 }\n"
	      ".s3 { fill: #bc8cff; stroke: #bc8cff }\n"
	      ".s4 { fill: #f778ba; stroke: #f778ba }\n"
	      ".s5 { fill: #d29922; stroke: #d29922 }\n"
	      ".hollow { fill: none }\n"
	      "}\n</style>\n",
	      d->to);
	fprintf(d->to,
		"<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n"
		"<text class=\"head\" x=\"%d\" y=\"24\">",
		WIDTH, HEIGHT, LEFT);
	put_escaped(d->to, d->p->title);
	fprintf(d->to, "</text>\n<text class=\"tick\" x=\"%d\" y=\"%d\">", LEFT, TOP - 10);
	put_escaped(d->to, d->p->caption ? d->p->caption : "");
	fputs("</text>\n", d->to);
}

static int check_points(const struct plot *p, struct ne_error *err)
{
	if (!p->n || p->n > PLOT_MAX_POINTS)
		return ne_fail(err, EINVAL, "%u points to draw, expected 1 to %u", p->n,
			       PLOT_MAX_POINTS);
	for (uint32_t i = 0; i < p->n; i++)
		if (!isfinite(p->point[i].x) || !isfinite(p->point[i].y) || p->point[i].x <= 0)
			return ne_fail(err, EINVAL, "point %u cannot be drawn", i);
	return 0;
}

int plot_svg(struct plot *p, char **ret, size_t *ret_bytes, struct ne_error *err)
{
	struct drawing *d;
	char *text = NULL;
	size_t bytes = 0;
	bool failed;

	NE_RETURN_IF(check_points(p, err));
	d = calloc(1, sizeof(*d));
	if (!d)
		return ne_fail(err, ENOMEM, "out of memory");
	d->to = open_memstream(&text, &bytes);
	if (!d->to) {
		free(d);
		return ne_fail(err, ENOMEM, "out of memory");
	}
	d->p = p;
	qsort(p->point, p->n, sizeof(*p->point), by_x);
	make_axes(d);
	draw_head(d);
	draw_axes(d);
	draw_points(d);
	draw_legend(d);
	fputs("</svg>\n", d->to);
	failed = ferror(d->to);
	failed = fclose(d->to) || failed;
	free(d);
	if (failed) {
		free(text);
		return ne_fail(err, ENOMEM, "out of memory");
	}
	*ret = text;
	*ret_bytes = bytes;
	return 0;
}
