// SPDX-License-Identifier: MIT
/* The SVG writer: well-formed, within its picture, nothing of a name read as markup. */
#include "tools/neap/plot_svg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void fill(struct plot_point *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		p[i] = (struct plot_point){
			.x = 10 * pow(1.5, i),
			.y = 95 - 10.0 / (i + 1),
			.series = i % 3,
			.hollow = i % 4 == 3,
		};
		snprintf(p[i].label, sizeof(p[i].label), "d%u w%.2f", i % 3, 0.25 * (i % 4 + 1));
		snprintf(p[i].detail, sizeof(p[i].detail), "level %u", i);
	}
}

static char *draw(struct plot *p)
{
	struct ne_error err = {""};
	char *svg = NULL;
	size_t bytes;

	if (plot_svg(p, &svg, &bytes, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(strlen(svg), bytes);
	return svg;
}

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		n++;
	return n;
}

/* Elements open and close in pairs and nothing but known entities follows an ampersand. */
static void assert_well_formed(const char *s)
{
	char open[16][16];
	unsigned depth = 0;

	for (const char *p = strchr(s, '<'); p; p = strchr(p + 1, '<')) {
		const char *end = strchr(p, '>');
		size_t n;

		assert_non_null(end);
		if (p[1] == '/') {
			assert_true(depth > 0);
			n = strlen(open[--depth]);
			assert_memory_equal(open[depth], p + 2, n);
			assert_int_equal(p[2 + n], '>');
		} else if (end[-1] != '/') {
			assert_true(depth < 16);
			n = strcspn(p + 1, " >");
			snprintf(open[depth++], 16, "%.*s", (int)n, p + 1);
		}
	}
	assert_int_equal(depth, 0);
	for (const char *p = strchr(s, '&'); p; p = strchr(p + 1, '&'))
		assert_true(!strncmp(p, "&amp;", 5) || !strncmp(p, "&lt;", 4) ||
			    !strncmp(p, "&gt;", 4) || !strncmp(p, "&quot;", 6));
}

/* Each number of attribute @name lies in [lo, hi]. */
static void assert_within(const char *svg, const char *name, double lo, double hi)
{
	unsigned n = 0;

	for (const char *at = strstr(svg, name); at; at = strstr(at + 1, name), n++) {
		double v = atof(at + strlen(name));

		assert_true(v >= lo && v <= hi);
	}
	assert_true(n > 0);
}

static void test_ordinary(void **state)
{
	struct plot_point point[12];
	struct plot p = {
		.title = "fashion",
		.x_title = "latency",
		.y_title = "accuracy, %",
		.series_name = {"depth 0", "depth 1", "depth 2"},
		.point = point,
		.n = 12,
	};
	char *svg;

	(void)state;
	fill(point, 12);
	svg = draw(&p);
	assert_well_formed(svg);
	assert_int_equal(count(svg, "<circle class"), 12 + 3);
	assert_int_equal(count(svg, "hollow\" cx"), 3);
	assert_int_equal(count(svg, "class=\"front\""), 1);
	assert_int_equal(count(svg, "prefers-color-scheme: dark"), 1);
	assert_int_equal(count(svg, "log scale"), 1);
	assert_int_equal(count(svg, "<title>level "), 12);
	assert_true(count(svg, "class=\"tick\"") >= 6);
	assert_true(count(svg, "class=\"label\"") >= 10);
	assert_within(svg, " cx=\"", 0, 720);
	assert_within(svg, " cy=\"", 0, 440);
	assert_within(svg, " x=\"", 0, 720);
	assert_within(svg, " y=\"", 0, 440);
	free(svg);
}

static void test_one_point(void **state)
{
	struct plot_point point[1];
	struct plot p = {.title = "", .x_title = "x", .y_title = "y", .point = point, .n = 1};
	char *svg;

	(void)state;
	fill(point, 1);
	svg = draw(&p);
	assert_well_formed(svg);
	assert_null(strstr(svg, "nan"));
	assert_null(strstr(svg, "inf"));
	assert_null(strstr(svg, "log scale"));
	free(svg);
}

static void test_names_are_text(void **state)
{
	struct plot_point point[2];
	struct plot p = {
		.title = "<script>&\"\x01\xff",
		.x_title = "a<b",
		.y_title = "\xc2\xb5",
		.point = point,
		.n = 2,
	};
	char *svg;

	(void)state;
	fill(point, 2);
	strcpy(point[0].label, "</svg>");
	strcpy(point[0].detail, "&<");
	svg = draw(&p);
	assert_well_formed(svg);
	assert_null(strstr(svg, "<script"));
	assert_non_null(strstr(svg, "&lt;script&gt;&amp;&quot; ?"));
	assert_non_null(strstr(svg, "\xc2\xb5"));
	assert_int_equal(count(svg, "</svg>"), 1);
	free(svg);
}

static void test_refused(void **state)
{
	struct plot_point point[1] = {{.x = 0, .y = 1}};
	struct plot p = {.title = "", .x_title = "", .y_title = "", .point = point};
	struct ne_error err;
	size_t bytes;
	char *svg;

	(void)state;
	assert_int_equal(plot_svg(&p, &svg, &bytes, &err), -EINVAL);
	p.n = 1;
	assert_int_equal(plot_svg(&p, &svg, &bytes, &err), -EINVAL);
	point[0].x = NAN;
	assert_int_equal(plot_svg(&p, &svg, &bytes, &err), -EINVAL);
	point[0].x = 1;
	point[0].y = INFINITY;
	assert_int_equal(plot_svg(&p, &svg, &bytes, &err), -EINVAL);
}

static void test_most_points(void **state)
{
	struct plot_point *point = calloc(PLOT_MAX_POINTS, sizeof(*point));
	struct plot p = {.title = "", .x_title = "", .y_title = "", .x_si = true, .point = point};
	char *svg;

	(void)state;
	assert_non_null(point);
	p.n = PLOT_MAX_POINTS;
	fill(point, p.n);
	for (uint32_t i = 0; i < p.n; i++)
		point[i].x = 1e6 + i;
	svg = draw(&p);
	assert_well_formed(svg);
	assert_non_null(strstr(svg, " M</text>"));
	free(svg);
	free(point);
}

static void test_nice_step(void **state)
{
	(void)state;
	assert_true(fabs(plot_nice_step(10, 5) - 2) < 1e-12);
	assert_true(fabs(plot_nice_step(1, 6) - 0.2) < 1e-12);
	assert_true(fabs(plot_nice_step(7, 7) - 1) < 1e-12);
	assert_true(fabs(plot_nice_step(3000, 6) - 500) < 1e-9);
	assert_true(fabs(plot_nice_step(0.06, 6) - 0.01) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),       cmocka_unit_test(test_one_point),
		cmocka_unit_test(test_names_are_text), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_most_points),    cmocka_unit_test(test_nice_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
