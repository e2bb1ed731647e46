// SPDX-License-Identifier: GPL-2.0-only
/*
 * budget/ in sysfs: what an administrator lets inference take. The module keeps and checks the
 * values; the daemon acts on them, told by poll on the files or by the state page.
 */
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/sysfs.h>

#include "neap.h"

struct budget_attribute {
	struct device_attribute attr;
	u32 max;
	u32 value; /* READ_ONCE and WRITE_ONCE: each is a value of its own */
};

static ssize_t budget_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct budget_attribute *b = container_of(attr, struct budget_attribute, attr);

	return sysfs_emit(buf, "%u\n", READ_ONCE(b->value));
}

static ssize_t budget_store(struct device *dev, struct device_attribute *attr, const char *buf,
			    size_t n)
{
	struct budget_attribute *b = container_of(attr, struct budget_attribute, attr);
	u64 v;
	int err = kstrtou64(buf, 10, &v);

	if (err)
		return err;
	if (v > b->max)
		return -ERANGE;
	WRITE_ONCE(b->value, (u32)v);
	neap_state_update();
	sysfs_notify(&dev->kobj, neap_budget_group.name, attr->attr.name);
	return n;
}

#define NEAP_BUDGET(_name, _max, _value)                  \
	static struct budget_attribute budget_##_name = { \
		__ATTR(_name, 0644, budget_show, budget_store), _max, _value}

/* Limits and defaults are those of docs/sysfs-abi. */
NEAP_BUDGET(latency_us, 60000000, 0);
NEAP_BUDGET(power_mw_mains, 1000000, 0);
NEAP_BUDGET(power_mw_battery, 1000000, 0);
NEAP_BUDGET(cpu_permille, 1024000, 0);
NEAP_BUDGET(autonomy_min, 525600, 0);
NEAP_BUDGET(reserve_permille, 1000, 100);
NEAP_BUDGET(depth_max, 16, 0);
NEAP_BUDGET(width_max_permille, 1000, 0);

static struct attribute *budget_attrs[] = {
	&budget_latency_us.attr.attr,
	&budget_power_mw_mains.attr.attr,
	&budget_power_mw_battery.attr.attr,
	&budget_cpu_permille.attr.attr,
	&budget_autonomy_min.attr.attr,
	&budget_reserve_permille.attr.attr,
	&budget_depth_max.attr.attr,
	&budget_width_max_permille.attr.attr,
	NULL,
};

const struct attribute_group neap_budget_group = {
	.name = "budget",
	.attrs = budget_attrs,
};

void neap_budget_fill(struct neap_state *state)
{
	state->latency_us = READ_ONCE(budget_latency_us.value);
	state->power_mw_mains = READ_ONCE(budget_power_mw_mains.value);
	state->power_mw_battery = READ_ONCE(budget_power_mw_battery.value);
	state->cpu_permille = READ_ONCE(budget_cpu_permille.value);
	state->autonomy_min = READ_ONCE(budget_autonomy_min.value);
	state->reserve_permille = READ_ONCE(budget_reserve_permille.value);
	state->depth_max = READ_ONCE(budget_depth_max.value);
	state->width_max_permille = READ_ONCE(budget_width_max_permille.value);
}
