/* SPDX-License-Identifier: MIT */
/* The inputs of MLPerf Tiny from the reference data, and pictures. */
#ifndef NEAP_TEST_TINY_DATA_H
#define NEAP_TEST_TINY_DATA_H

#include <stddef.h>
#include <stdint.h>

struct tiny_set {
	size_t n, sample; /* samples; values of one */
	uint8_t *u8;      /* [n][sample], images: 0..255 */
	int8_t *s8;       /* keyword features, quantised */
	float *f32;       /* spectra of machines' sounds */
	int32_t *y;       /* class; 1 = anomaly, person */
};

enum tiny_kind { TINY_KEYWORDS, TINY_IMAGES, TINY_PERSONS, TINY_SOUNDS };

/* Reads a set, or skips the test, with the reason, where the data or a program that reads them are
 * absent. Freed by tiny_set_done(). */
void tiny_set_read(enum tiny_kind kind, struct tiny_set *ret);
void tiny_set_done(struct tiny_set *s);

/* A picture of the reference data as [@size,@size,3], each pixel the mean of those that it covers.
 * Skips the test as above. Freed with free(). */
uint8_t *tiny_picture(const char *file, uint32_t size);

/* Path of @file of the reference data; skips the test where it is absent. Good for eight calls. */
const char *tiny_need(const char *file);

#endif
