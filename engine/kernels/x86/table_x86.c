/* SPDX-License-Identifier: MIT */
/* The x86 entries of the table, from the oldest set to the newest. Compiled for the baseline. */
#include "engine/kernels/kernels.h"

void ne_kernels_init_x86(struct ne_kernels *k, unsigned flags)
{
	(void)k;
	(void)flags;
}
