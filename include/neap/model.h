/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a .neap file. docs/container.md is the specification; this header gives it names.
 *
 *	struct neap_file_header          64 bytes
 *	struct neap_file_section[n]      32 bytes each
 *	section, section, ...            each at the next multiple of 64, padding is zero
 *
 * Everything is little-endian. Sections stand in ascending order of type, each at most once, and the
 * file ends with the last byte of the last one.
 */
#ifndef NEAP_MODEL_H
#define NEAP_MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0x89 catches 7-bit transfers, CR LF and ^Z those that take the file for text. */
#define NEAP_FILE_MAGIC   "\x89NEAP\r\n\x1a"
#define NEAP_FILE_VERSION 1u
#define NEAP_FILE_ALIGN   64u
#define NEAP_MAX_SECTIONS 32u

struct neap_file_header {
	uint8_t magic[8];
	uint32_t version;   /* a reader refuses what is newer than it knows */
	uint32_t n_section; /* 1..NEAP_MAX_SECTIONS */
	uint64_t bytes;     /* of the whole file */
	/* XXH3-64 of the header and the section table, this field taken as zero */
	uint64_t checksum;
	uint8_t reserved[32]; /* zero */
};

struct neap_file_section {
	uint32_t type;     /* enum neap_section_type */
	uint32_t flags;    /* enum neap_section_flags */
	uint64_t offset;   /* from the start of the file; multiple of NEAP_FILE_ALIGN */
	uint64_t bytes;    /* without padding; >= 1 */
	uint64_t checksum; /* XXH3-64 of the section's bytes */
};

enum neap_section_type {
	NEAP_SECTION_GRAPH = 1,       /* required */
	NEAP_SECTION_TENSORS = 2,     /* required where the graph has constants, else absent */
	NEAP_SECTION_LEVELS = 3,      /* required */
	NEAP_SECTION_CALIBRATION = 4, /* required */
	NEAP_SECTION_LABELS = 5,      /* absent where there are none */
	NEAP_SECTION_NOTES = 6,  /* provenance and pre-processing; absent where there are none */
	NEAP_SECTION_STATES = 7, /* values kept between runs; absent where there are none */
	NEAP_SECTION_SIGNATURE = 255, /* absent where the file is not signed */
};

enum neap_section_flags {
	/* A reader that does not know the type checks the checksum and goes on; without the flag it
	 * refuses the file. */
	NEAP_SECTION_OPTIONAL = 1 << 0,
};

/* How a constant is stored. Numbers from 16 on are reserved: no reader of version 1 takes them. */
enum neap_encoding {
	NEAP_ENC_F32 = 1,
	NEAP_ENC_F16 = 2, /* of f32 tensors */
	NEAP_ENC_S8 = 3,
	NEAP_ENC_S8_RANS = 4,
	NEAP_ENC_S16 = 5,
	NEAP_ENC_S32 = 6,
	NEAP_ENC_S64 = 7,
	NEAP_ENC_U8 = 8,
	NEAP_ENC_BOOL = 9, /* a byte each, 0 or 1 */
	NEAP_ENC_S8_RANS32 = 10,
	NEAP_ENC_S4 = 16,
	NEAP_ENC_CODEBOOK_HUFFMAN = 17,
	NEAP_ENC_CODEBOOK_RANS = 18,
	NEAP_ENC_TERNARY = 19,
	NEAP_ENC_BINARY = 20,
	NEAP_ENC_POWER_OF_TWO = 21,
	NEAP_ENC_SPARSE = 128, /* added to any of the above: positions, then the values left */
};

/* Attributes of a node that are stored, in this order; what is not stored is zero. */
enum neap_attr_mask {
	NEAP_ATTR_WINDOW = 1 << 0, /* 10 sv: kh kw sh sw dh dw, pad top left bottom right */
	NEAP_ATTR_GROUPS = 1 << 1, /* sv */
	NEAP_ATTR_AXIS = 1 << 2,   /* sv */
	NEAP_ATTR_ACT = 1 << 3,    /* sv */
	NEAP_ATTR_COUNT_INCLUDE_PAD = 1 << 4, /* sv */
	NEAP_ATTR_PERM = 1 << 5,              /* 6 sv */
	NEAP_ATTR_PAD = 1 << 6,               /* 12 sv */
	NEAP_ATTR_VALUE = 1 << 7,             /* f32 */
	NEAP_ATTR_MEL =
		1 << 8, /* 6 sv: rate_hz frame hop fft bins cepstra; 3 f32: lo_hz hi_hz floor */
	NEAP_ATTR_NORM = 1 << 9,    /* uv */
	NEAP_ATTR_KIND = 1 << 10,   /* sv */
	NEAP_ATTR_AXES = 1 << 11,   /* uv, bit i = axis i */
	NEAP_ATTR_VALUE2 = 1 << 12, /* f32 */
	NEAP_ATTR_SLICE = 1 << 13,  /* 18 sv: begin of 6 axes, sizes, steps */
	NEAP_ATTR_RECURRENT =
		1 << 14, /* 3 sv: direction, linear before reset, input forget; f32 clip;
					  6 times: sv activation, 2 f32 parameters */
	NEAP_ATTR_ALL = (1 << 15) - 1,
};

enum neap_tensor_flags {
	NEAP_TENSOR_CONST = 1 << 0, /* has a record in the tensors section */
};

/* A payload of at least this many bytes starts at a multiple of 64, a smaller one of 4. */
#define NEAP_PAYLOAD_ALIGN_FROM 4096u

/* rANS: frequencies sum to 2^14; the state stays in [2^16, 2^32) and moves 16 bits at a time. */
#define NEAP_RANS_BITS  14u
#define NEAP_RANS_SUM   (1u << NEAP_RANS_BITS)
#define NEAP_RANS_LOW   (1u << 16)
#define NEAP_RANS_Q_MAX 63u /* largest log weight of a table, in quarters of an octave */
#define NEAP_RANS_KEPT  64u /* own tables that later tensors may refer to */

/* Interleaved: 32 states in turn, or few; frequencies that sum to 2^13, or 2^12 where one is over
 * 2^12. */
#define NEAP_RANS32_STATES     32u
#define NEAP_RANS32_STATES_FEW 4u
#define NEAP_RANS32_BITS       13u
#define NEAP_RANS32_BITS_MIN   12u
#define NEAP_RANS32_FREQ_MAX   (1u << 12)

struct neap_file_levels { /* starts the levels section */
	uint32_t n_level;
	float confidence;
};

struct neap_file_level {
	uint64_t macs;
	float accuracy, latency_us, energy_uj, control_accuracy, f32_accuracy;
	uint8_t depth, width; /* exit and width setting, from 0 */
	uint16_t flags;       /* 1 = on the measured front */
};

/* The signature covers every byte before it, with the header's checksum and the signature section's
 * checksum in the section table taken as zero, after the 16 bytes of NEAP_SIGNATURE_DOMAIN. */
struct neap_file_signature {
	uint32_t algorithm; /* 1 = Ed25519 */
	uint32_t reserved;  /* 0 */
	uint8_t public_key[32];
	uint8_t signature[64];
};
#define NEAP_SIGNATURE_ED25519 1u
#define NEAP_SIGNATURE_DOMAIN  "neap signature 1" /* 16 bytes, no terminator */

/* Strings: bytes of UTF-8, no NUL. */
#define NEAP_MAX_NAME  4095u  /* of tensors, nodes and labels */
#define NEAP_MAX_KEY   63u    /* a-z 0-9 _ */
#define NEAP_MAX_VALUE 65535u /* of a note */

#ifdef __cplusplus
}
#endif

#endif
