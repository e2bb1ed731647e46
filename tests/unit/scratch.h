/* SPDX-License-Identifier: MIT */
/* A folder for a test's files, and bytes put together piece by piece. Failures end the test. */
#ifndef NEAP_TEST_SCRATCH_H
#define NEAP_TEST_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

/* The folder of this process, made on first use and removed with all in it at exit. */
const char *scratch_folder(void);
/* Path of @name in it; valid until eight more calls. */
const char *scratch_path(const char *name);
/* Writes a file and returns its path. */
const char *scratch_write(const char *name, const void *data, size_t bytes);

struct bytes {
	uint8_t *data;
	size_t n;
};
void bytes_add(struct bytes *b, const void *data, size_t n);
void bytes_add_zero(struct bytes *b, size_t n);
void bytes_free(struct bytes *b);

/* A tar member in ustar form: @type '0' regular, 'x' pax, 'L' GNU long name; padded to 512. */
void tar_add(struct bytes *b, const char *name, char type, const void *data, size_t n);
/* Sets the checksum of the header at @header again after it was changed. */
void tar_sum(uint8_t *header);

/* A WAV file of s16 samples, interleaved. */
void wav_add(struct bytes *b, int rate, int channels, const int16_t *sample, size_t frames);

/* NEAP_DATA/@name, or NULL (after saying why, for exit code 77) where it is absent. */
const char *shared_data(const char *name);

#endif
