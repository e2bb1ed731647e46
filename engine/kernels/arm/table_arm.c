/* SPDX-License-Identifier: MIT */
/* The arm64 entries of the table, from the oldest set to the newest. */
#include "engine/kernels/kernels.h"

void ne_kernels_init_arm(struct ne_kernels *k, unsigned flags)
{
	(void)k;
	(void)flags;
}
