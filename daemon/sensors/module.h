/* SPDX-License-Identifier: MIT */
#ifndef NEAPD_SENSORS_MODULE_H
#define NEAPD_SENSORS_MODULE_H

#include "daemon/sensors/sensors.h"
#include "neap/uapi/neap_ioctl.h"

/* The supply of a state whose source is known, as the governor takes it. */
void module_supply(const struct neap_state *st, struct ne_gov_supply *ret);

#endif
