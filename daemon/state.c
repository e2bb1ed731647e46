/* SPDX-License-Identifier: MIT */
/*
 * From the module's state page to the governor, request by request. The loop does the same more
 * slowly by the files' poll events, and keeps what `neapctl` shows.
 */
#include "daemon/sensors/module.h"
#include "daemon/server.h"
#include "daemon/transport/device.h"

#include <string.h>

static void take_budget(struct server *srv, const struct neap_state *st, int64_t now_us)
{
	struct ne_gov_budget b = srv->governor.budget;

	b.latency_us = st->latency_us;
	b.power_mw_mains = st->power_mw_mains;
	b.power_mw_battery = st->power_mw_battery;
	b.cpu_permille = st->cpu_permille;
	b.autonomy_min = st->autonomy_min;
	b.reserve_permille = st->reserve_permille;
	b.depth_max = st->depth_max;
	b.width_max_permille = st->width_max_permille;
	if (memcmp(&b, &srv->governor.budget, sizeof(b)))
		ne_governor_set_budget(&srv->governor, &b, now_us);
}

void server_follow_state(struct server *srv, int64_t now_us)
{
	struct ne_gov_supply supply = srv->governor.supply;
	struct neap_state st;

	if (!device_state(&srv->state_seq, &st))
		return;
	if (srv->budget_by_module)
		take_budget(srv, &st, now_us);
	/* A fake tree's supply is the one that counts where there is one. */
	if (srv->config->sysroot || st.source == NEAP_SUPPLY_UNKNOWN)
		return;
	module_supply(&st, &supply);
	if (supply.on_battery != srv->governor.supply.on_battery ||
	    supply.charge_permille != srv->governor.supply.charge_permille ||
	    supply.capacity_mwh != srv->governor.supply.capacity_mwh)
		ne_governor_set_supply(&srv->governor, &supply, now_us);
}
