// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mains or battery, from the power_supply class. The class's notifier says that something changed,
 * in a context that may not sleep; a work item then reads all supplies. Nothing polls.
 *
 * A supply that is unregistered gives no event: the timer of the load averages counts how many
 * there are, which reads none of them.
 */
#include <linux/power_supply.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "neap.h"

struct supply {
	u32 source;
	u32 charge_permille, energy_mwh, draw_mw, full_mwh;
};

static DEFINE_SPINLOCK(lock);
static struct supply now;
static u32 changes;
static struct device *device;   /* NULL until there is somebody to notify */
static unsigned int n_surveyed; /* supplies that the last survey met */

static const char *const source_names[] = {
	[NEAP_SUPPLY_UNKNOWN] = "unknown",
	[NEAP_SUPPLY_MAINS] = "mains",
	[NEAP_SUPPLY_BATTERY] = "battery",
};

struct survey {
	unsigned int n_all, n_battery, n_mains;
	bool mains_online, discharging;
	u64 charge_sum, energy_uwh, full_uwh, draw_uw;
};

static bool get(struct power_supply *psy, enum power_supply_property psp, s64 *ret)
{
	union power_supply_propval v;

	if (power_supply_get_property(psy, psp, &v))
		return false;
	*ret = v.intval;
	return true;
}

/* uAh at uV to uWh; properties are ints, so the product fits. */
static u64 uwh(s64 uah, s64 uv)
{
	return uah > 0 && uv > 0 ? div_u64((u64)uah * (u64)uv, 1000000) : 0;
}

static void survey_battery(struct power_supply *psy, struct survey *s)
{
	s64 v, uv = 0, full = 0, left = 0;

	if (!get(psy, POWER_SUPPLY_PROP_CAPACITY, &v))
		return;
	s->n_battery++;
	s->charge_sum += clamp_t(s64, v, 0, 100);
	if (!get(psy, POWER_SUPPLY_PROP_VOLTAGE_MIN_DESIGN, &uv) || uv <= 0)
		get(psy, POWER_SUPPLY_PROP_VOLTAGE_NOW, &uv);

	if (get(psy, POWER_SUPPLY_PROP_ENERGY_FULL, &full) && full > 0)
		s->full_uwh += full;
	else if (get(psy, POWER_SUPPLY_PROP_CHARGE_FULL, &full))
		s->full_uwh += uwh(full, uv);
	if (get(psy, POWER_SUPPLY_PROP_ENERGY_NOW, &left) && left > 0)
		s->energy_uwh += left;
	else if (get(psy, POWER_SUPPLY_PROP_CHARGE_NOW, &left))
		s->energy_uwh += uwh(left, uv);

	if (!get(psy, POWER_SUPPLY_PROP_STATUS, &v) || v != POWER_SUPPLY_STATUS_DISCHARGING)
		return;
	s->discharging = true;
	if (get(psy, POWER_SUPPLY_PROP_POWER_NOW, &v))
		s->draw_uw += abs(v);
	else if (get(psy, POWER_SUPPLY_PROP_CURRENT_NOW, &v) &&
		 get(psy, POWER_SUPPLY_PROP_VOLTAGE_NOW, &uv))
		s->draw_uw += uwh(abs(v), uv);
}

static int survey_one(struct power_supply *psy, void *data)
{
	struct survey *s = data;
	s64 v;

	s->n_all++;
	/* Batteries of mice and headsets do not feed the gateway. */
	if (get(psy, POWER_SUPPLY_PROP_SCOPE, &v) && v == POWER_SUPPLY_SCOPE_DEVICE)
		return 0;
	switch (psy->desc->type) {
	case POWER_SUPPLY_TYPE_BATTERY:
	case POWER_SUPPLY_TYPE_UPS:
		survey_battery(psy, s);
		break;
	case POWER_SUPPLY_TYPE_MAINS:
	case POWER_SUPPLY_TYPE_USB:
	case POWER_SUPPLY_TYPE_WIRELESS:
		if (get(psy, POWER_SUPPLY_PROP_ONLINE, &v)) {
			s->n_mains++;
			s->mains_online |= v != 0;
		}
		break;
	default:
		break;
	}
	return 0;
}

static u32 to_milli(u64 micro)
{
	return min_t(u64, div_u64(micro, 1000), U32_MAX);
}

static struct supply conclude(const struct survey *s)
{
	struct supply v = {.source = NEAP_SUPPLY_UNKNOWN, .charge_permille = 1000};

	if (s->n_battery && (s->discharging || (s->n_mains && !s->mains_online)))
		v.source = NEAP_SUPPLY_BATTERY;
	else if (s->n_battery || s->n_mains)
		v.source = NEAP_SUPPLY_MAINS;
	if (s->n_battery)
		v.charge_permille = div_u64(s->charge_sum * 10, s->n_battery);
	v.energy_mwh = to_milli(s->energy_uwh);
	v.full_mwh = to_milli(s->full_uwh);
	v.draw_mw = to_milli(s->draw_uw);
	return v;
}

static void survey_work(struct work_struct *work)
{
	struct survey s = {};
	struct neap_psy_call call = {survey_one, &s};
	struct supply fresh, old;
	struct device *dev;

	neap_visit_supplies(&call);
	WRITE_ONCE(n_surveyed, s.n_all);
	fresh = conclude(&s);
	spin_lock(&lock);
	old = now;
	now = fresh;
	if (memcmp(&old, &fresh, sizeof(old)))
		changes++;
	spin_unlock(&lock);
	if (!memcmp(&old, &fresh, sizeof(old)))
		return;
	neap_state_update();
	dev = READ_ONCE(device);
	if (!dev)
		return;
	if (old.source != fresh.source)
		sysfs_notify(&dev->kobj, "supply", "source");
	if (old.charge_permille != fresh.charge_permille)
		sysfs_notify(&dev->kobj, "supply", "charge_permille");
	if (old.energy_mwh != fresh.energy_mwh)
		sysfs_notify(&dev->kobj, "supply", "energy_mwh");
	if (old.draw_mw != fresh.draw_mw)
		sysfs_notify(&dev->kobj, "supply", "draw_mw");
}

static DECLARE_WORK(work, survey_work);

static int count_one(struct power_supply *psy, void *data)
{
	++*(unsigned int *)data;
	return 0;
}

void neap_supply_recount(void)
{
	unsigned int n = 0;
	struct neap_psy_call call = {count_one, &n};

	neap_visit_supplies(&call);
	if (n != READ_ONCE(n_surveyed))
		schedule_work(&work);
}

static int notify(struct notifier_block *nb, unsigned long event, void *psy)
{
	schedule_work(&work);
	return NOTIFY_OK;
}

static struct notifier_block notifier = {.notifier_call = notify};

void neap_supply_fill(struct neap_state *state)
{
	spin_lock(&lock);
	state->source = now.source;
	state->charge_permille = now.charge_permille;
	state->energy_mwh = now.energy_mwh;
	state->draw_mw = now.draw_mw;
	state->full_mwh = now.full_mwh;
	state->supply_changes = changes;
	spin_unlock(&lock);
}

static ssize_t source_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", source_names[READ_ONCE(now.source)]);
}
static DEVICE_ATTR_RO(source);

#define NEAP_SUPPLY_VALUE(_name)                                                                  \
	static ssize_t _name##_show(struct device *dev, struct device_attribute *attr, char *buf) \
	{                                                                                         \
		return sysfs_emit(buf, "%u\n", READ_ONCE(now._name));                             \
	}                                                                                         \
	static DEVICE_ATTR_RO(_name)

NEAP_SUPPLY_VALUE(charge_permille);
NEAP_SUPPLY_VALUE(energy_mwh);
NEAP_SUPPLY_VALUE(draw_mw);

static struct attribute *supply_attrs[] = {
	&dev_attr_source.attr,
	&dev_attr_charge_permille.attr,
	&dev_attr_energy_mwh.attr,
	&dev_attr_draw_mw.attr,
	NULL,
};

const struct attribute_group neap_supply_group = {
	.name = "supply",
	.attrs = supply_attrs,
};

int neap_supply_init(void)
{
	now.charge_permille = 1000;
	return power_supply_reg_notifier(&notifier);
}

void neap_supply_start(struct device *dev)
{
	WRITE_ONCE(device, dev);
	schedule_work(&work);
	flush_work(&work); /* the first reader sees what is */
}

void neap_supply_exit(void)
{
	power_supply_unreg_notifier(&notifier);
	cancel_work_sync(&work);
}
