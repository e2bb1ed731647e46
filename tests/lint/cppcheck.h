/* SPDX-License-Identifier: MIT */
/* Macros of libraries whose headers cppcheck does not read. */
#define cJSON_ArrayForEach(e, a) for (e = (a)->child; e; e = e->next)
