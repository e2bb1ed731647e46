/* SPDX-License-Identifier: GPL-2.0-only */
/* Every difference between kernels 6.1 and 7.x that neap meets. Nothing else tests the version. */
#ifndef _NEAP_COMPAT_H
#define _NEAP_COMPAT_H

#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/power_supply.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("DMA_BUF");
#else
MODULE_IMPORT_NS(DMA_BUF);
#endif

/* vma->vm_flags became read-only in 6.3. */
static inline void neap_vm_flags_mod(struct vm_area_struct *vma, unsigned long set,
				     unsigned long clear)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

/*
 * How many page table entries map the (compound) page @head. 6.1 does not export folio_mapcount(),
 * later kernels have no page_mapcount().
 */
static inline int neap_mapcount(struct page *head)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	return folio_mapcount(page_folio(head));
#else
	unsigned long i;
	int n = 0;

	for (i = 0; i < compound_nr(head); i++)
		n += page_mapcount(head + i);
	return n;
#endif
}

/* From 6.6 a fault may hold its VMA's lock in place of the mmap lock. */
static inline void neap_release_fault_lock(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	release_fault_lock(vmf);
#else
	mmap_read_unlock(vmf->vma->vm_mm);
#endif
}

/* Calls @fn(psy, data) for every power supply until it returns non-zero. */
struct neap_psy_call {
	int (*fn)(struct power_supply *psy, void *data);
	void *data;
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
static inline void neap_visit_supplies(struct neap_psy_call *call)
{
	power_supply_for_each_psy(call->data, call->fn);
}
#else
static inline int neap_psy_device(struct device *dev, void *data)
{
	struct neap_psy_call *call = data;

	return call->fn(dev_get_drvdata(dev), call->data);
}

static inline void neap_visit_supplies(struct neap_psy_call *call)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	power_supply_for_each_device(call, neap_psy_device);
#else
	class_for_each_device(power_supply_class, NULL, call, neap_psy_device);
#endif
}
#endif

#endif
