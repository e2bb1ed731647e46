// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who has how many bytes, against the limits of buffers/ in sysfs. A charge is made before memory
 * is taken and given back when the last page is free, so nobody is ever over a limit; lowering a
 * limit below what is in use refuses new buffers and takes nothing away.
 */
#include <linux/cred.h>
#include <linux/kstrtox.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/user_namespace.h>

#include "neap.h"

struct neap_account {
	struct list_head node;
	kuid_t uid;
	u64 bytes; /* never zero between calls */
};

static DEFINE_SPINLOCK(lock); /* guards all below */
static LIST_HEAD(accounts);
static u64 limit_bytes, limit_bytes_per_uid, max_bytes;
static u64 used_bytes, peak_bytes, count, revoked_total, refused_total;

void neap_account_init(void)
{
	u64 ram = (u64)totalram_pages() << PAGE_SHIFT;

	limit_bytes = ram / 8;
	limit_bytes_per_uid = ram / 16;
	max_bytes = min_t(u64, SZ_64M, limit_bytes_per_uid);
}

static struct neap_account *find(kuid_t uid)
{
	struct neap_account *a;

	list_for_each_entry(a, &accounts, node)
		if (uid_eq(a->uid, uid))
			return a;
	return NULL;
}

/*
 * Whom the caller's buffers are charged to. In a user namespace one may be 65536 uids, each with a
 * limit of its own: there it is whoever made the namespace.
 */
kuid_t neap_charged_uid(void)
{
	const struct user_namespace *ns;
	kuid_t uid = current_uid();

	for (ns = current_user_ns(); ns->parent; ns = ns->parent)
		uid = ns->owner;
	return uid;
}

int neap_account_charge(kuid_t uid, u64 bytes, struct neap_account **ret)
{
	struct neap_account *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	struct neap_account *a;
	int err = 0;

	if (!fresh)
		return -ENOMEM;
	fresh->uid = uid;

	spin_lock(&lock);
	a = find(uid);
	if (bytes > max_bytes || bytes > limit_bytes || used_bytes > limit_bytes - bytes ||
	    bytes > limit_bytes_per_uid || (a && a->bytes > limit_bytes_per_uid - bytes)) {
		refused_total++;
		err = -EDQUOT;
	} else {
		if (!a) {
			a = fresh;
			fresh = NULL;
			list_add(&a->node, &accounts);
		}
		a->bytes += bytes;
		used_bytes += bytes;
		peak_bytes = max(peak_bytes, used_bytes);
		count++;
		*ret = a;
	}
	spin_unlock(&lock);
	kfree(fresh);
	return err;
}

void neap_account_uncharge(struct neap_account *account, u64 bytes)
{
	spin_lock(&lock);
	used_bytes -= bytes;
	count--;
	account->bytes -= bytes;
	if (account->bytes)
		account = NULL;
	else
		list_del(&account->node);
	spin_unlock(&lock);
	kfree(account);
}

kuid_t neap_account_uid(const struct neap_account *account)
{
	return account->uid;
}

void neap_account_query(struct neap_query *q, kuid_t uid)
{
	struct neap_account *a;

	spin_lock(&lock);
	a = find(uid);
	q->max_bytes = max_bytes;
	q->limit_bytes = limit_bytes;
	q->limit_bytes_per_uid = limit_bytes_per_uid;
	q->used_bytes = used_bytes;
	q->used_bytes_uid = a ? a->bytes : 0;
	spin_unlock(&lock);
}

void neap_account_count_refused(void)
{
	spin_lock(&lock);
	refused_total++;
	spin_unlock(&lock);
}

void neap_account_count_revoked(void)
{
	spin_lock(&lock);
	revoked_total++;
	spin_unlock(&lock);
}

/* buffers/ in sysfs: each attribute is one u64. */
struct u64_attribute {
	struct device_attribute attr;
	u64 *value;
};

static ssize_t u64_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct u64_attribute *a = container_of(attr, struct u64_attribute, attr);
	u64 v;

	spin_lock(&lock);
	v = *a->value;
	spin_unlock(&lock);
	return sysfs_emit(buf, "%llu\n", v);
}

static ssize_t u64_store(struct device *dev, struct device_attribute *attr, const char *buf,
			 size_t n)
{
	struct u64_attribute *a = container_of(attr, struct u64_attribute, attr);
	u64 v;
	int err = kstrtou64(buf, 10, &v);

	if (err)
		return err;
	if (v > (u64)totalram_pages() << PAGE_SHIFT)
		return -ERANGE;
	spin_lock(&lock);
	*a->value = v;
	spin_unlock(&lock);
	sysfs_notify(&dev->kobj, neap_buffers_group.name, attr->attr.name);
	return n;
}

#define NEAP_U64_RW(_name)                                                                    \
	static struct u64_attribute attr_##_name = {__ATTR(_name, 0644, u64_show, u64_store), \
						    &(_name)}
#define NEAP_U64_RO(_name) \
	static struct u64_attribute attr_##_name = {__ATTR(_name, 0444, u64_show, NULL), &(_name)}

NEAP_U64_RW(limit_bytes);
NEAP_U64_RW(limit_bytes_per_uid);
NEAP_U64_RW(max_bytes);
NEAP_U64_RO(used_bytes);
NEAP_U64_RO(peak_bytes);
NEAP_U64_RO(count);
NEAP_U64_RO(revoked_total);
NEAP_U64_RO(refused_total);

static struct attribute *buffers_attrs[] = {
	&attr_limit_bytes.attr.attr,
	&attr_limit_bytes_per_uid.attr.attr,
	&attr_max_bytes.attr.attr,
	&attr_used_bytes.attr.attr,
	&attr_peak_bytes.attr.attr,
	&attr_count.attr.attr,
	&attr_revoked_total.attr.attr,
	&attr_refused_total.attr.attr,
	NULL,
};

const struct attribute_group neap_buffers_group = {
	.name = "buffers",
	.attrs = buffers_attrs,
};
