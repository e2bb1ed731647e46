/* SPDX-License-Identifier: MIT */
/*
 * What the kernel module knows: the supply, told by the kernel when it changes, and the load average.
 * Read from the state page where the daemon has it and reads the real tree; else from supply/ in
 * sysfs, which does not tell the capacity: that is what is left divided by the charge.
 *
 * It comes after the power_supply class and the load average in the table, and its word counts: the
 * class may be unreadable in a sandbox, and this one is told of changes.
 */
#include "daemon/sensors/module.h"
#include "daemon/sensors/sensor.h"
#include "daemon/transport/device.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SUPPLY "/sys/devices/virtual/misc/neap/supply/"

/* The first two tell of changes (POLLPRI) until they are read. */
enum { SOURCE, CHARGE, ENERGY, DRAW, N_FILES };
static const char *const file_names[N_FILES] = {"source", "charge_permille", "energy_mwh",
						"draw_mw"};

struct module {
	bool by_page;
	int fd[N_FILES];
	uint32_t seq;
	struct neap_state state; /* as of seq */
};

static void module_close(void *priv)
{
	struct module *m = priv;

	for (int i = 0; i < N_FILES; i++)
		if (m->fd[i] >= 0)
			close(m->fd[i]);
}

static int module_find(void *priv, const char *sysroot, char detail[SENSOR_DETAIL_BYTES])
{
	struct module *m = priv;
	int r = 0;

	memset(m, 0, sizeof(*m));
	m->seq = UINT32_MAX; /* odd: no state has it */
	for (int i = 0; i < N_FILES; i++) {
		m->fd[i] = sensor_open(sysroot, SUPPLY "%s", file_names[i]);
		r = m->fd[i] < 0 ? m->fd[i] : r;
	}
	if (r < 0) {
		module_close(m);
		snprintf(detail, SENSOR_DETAIL_BYTES, "the kernel module is not loaded");
		return r;
	}
	m->by_page = !*sysroot && device_state(&m->seq, &m->state);
	snprintf(detail, SENSOR_DETAIL_BYTES, "%s", m->by_page ? "the state page" : SUPPLY);
	return 0;
}

void module_supply(const struct neap_state *st, struct ne_gov_supply *ret)
{
	uint32_t full = st->full_mwh;

	if (!full && st->charge_permille)
		full = (uint32_t)NE_MIN((uint64_t)st->energy_mwh * 1000 / st->charge_permille,
					UINT32_MAX);
	ret->on_battery = st->source == NEAP_SUPPLY_BATTERY;
	ret->charge_permille = NE_MIN(st->charge_permille, 1000u);
	ret->capacity_mwh = full;
}

/* Reading takes away what the first two files tell, so it is done for the page as well. */
static int read_files(struct module *m, struct neap_state *ret)
{
	int64_t v[N_FILES] = {0};
	char source[16];

	NE_RETURN_IF(sensor_text(m->fd[SOURCE], source, sizeof(source)));
	NE_RETURN_IF(sensor_number(m->fd[CHARGE], &v[CHARGE]));
	if (m->by_page)
		return 0;
	NE_RETURN_IF(sensor_number(m->fd[ENERGY], &v[ENERGY]));
	NE_RETURN_IF(sensor_number(m->fd[DRAW], &v[DRAW]));
	for (int i = CHARGE; i < N_FILES; i++)
		v[i] = NE_CLAMP(v[i], 0, INT32_MAX);
	*ret = (struct neap_state){
		.source = !strcmp(source, "battery") ? NEAP_SUPPLY_BATTERY
			  : !strcmp(source, "mains") ? NEAP_SUPPLY_MAINS
						     : NEAP_SUPPLY_UNKNOWN,
		.charge_permille = (uint32_t)v[CHARGE],
		.energy_mwh = (uint32_t)v[ENERGY],
		.draw_mw = (uint32_t)v[DRAW],
	};
	return 0;
}

static int module_read(void *priv, int64_t now_us, struct sensor_values *ret)
{
	struct module *m = priv;

	(void)now_us;
	NE_RETURN_IF(read_files(m, &m->state));
	if (m->by_page) {
		device_state(&m->seq, &m->state);
		ret->load1 = (float)m->state.load[0] / 2048; /* fixed point of the kernel */
	}
	if (m->state.source == NEAP_SUPPLY_UNKNOWN)
		return 0;
	ret->supply_known = true;
	module_supply(&m->state, &ret->supply);
	ret->draw_mw = ret->supply.on_battery && m->state.draw_mw
			       ? (int32_t)NE_MIN(m->state.draw_mw, (uint32_t)INT32_MAX)
			       : -1;
	return 0;
}

static void module_watch(void *priv, int epoll_fd)
{
	struct module *m = priv;
	struct epoll_event ev = {.events = EPOLLPRI};

	/* A fake tree's files are plain ones, which epoll refuses: they are read at each tick. */
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, m->fd[SOURCE], &ev);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, m->fd[CHARGE], &ev);
}

const struct sensor_ops sensor_module = {
	.name = "module",
	.priv_bytes = sizeof(struct module),
	.find = module_find,
	.read = module_read,
	.close = module_close,
	.watch = module_watch,
};
