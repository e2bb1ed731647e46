/* SPDX-License-Identifier: MIT */
/* A scatter of points with their front, as SVG text. Knows nothing of models. */
#ifndef NEAP_TOOL_PLOT_SVG_H
#define NEAP_TOOL_PLOT_SVG_H

#include "engine/base.h"

#define PLOT_MAX_POINTS 256u
#define PLOT_COLOURS    6u

struct plot_point {
	double x, y;      /* x > 0 */
	unsigned series;  /* colour: series % PLOT_COLOURS */
	bool hollow;      /* drawn as a ring: not to be chosen */
	char label[32];   /* beside the point, where there is room */
	char detail[128]; /* shown by browsers when pointed at */
};

struct plot {
	const char *title, *x_title, *y_title;
	const char *caption;                /* small, under the title; may be NULL */
	char series_name[PLOT_COLOURS][24]; /* legend; "" = not used */
	bool x_si;                          /* tick labels of x with k, M, G */
	struct plot_point *point;
	uint32_t n;
};

/* The drawing, freed with free(). Points may be reordered. */
int plot_svg(struct plot *p, char **ret, size_t *ret_bytes, struct ne_error *err);

/* 1, 2 or 5 times a power of ten, so that @span has about @count of them. */
double plot_nice_step(double span, unsigned count);

#endif
