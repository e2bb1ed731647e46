// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state page: what the daemon wants to know at every request, without a system call. One writer
 * at a time (state_lock); readers follow the sequence counter.
 *
 * Load averages change every 5 s and nothing tells; a deferrable timer (which wakes no idle CPU)
 * copies them while a server is there.
 */
#include <linux/atomic.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched/loadavg.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "neap.h"

#define LOAD_HZ (5 * HZ)

static DEFINE_MUTEX(state_lock);
static struct page *page;
static struct neap_state *state;

static void load_work(struct work_struct *work);
static DECLARE_DEFERRABLE_WORK(load_timer, load_work);

void neap_state_update(void)
{
	struct neap_state fresh = {.bytes = sizeof(fresh)};
	unsigned int i;

	mutex_lock(&state_lock);
	neap_budget_fill(&fresh);
	neap_supply_fill(&fresh);
	for (i = 0; i < ARRAY_SIZE(fresh.load); i++)
		fresh.load[i] = READ_ONCE(avenrun[i]);
	fresh.seq = state->seq + 1;
	WRITE_ONCE(state->seq, fresh.seq); /* odd: being written */
	/* The odd count before the new values; pairs with the fence of readers in user space. */
	smp_wmb();
	memcpy((char *)state + sizeof(fresh.seq), (char *)&fresh + sizeof(fresh.seq),
	       sizeof(fresh) - sizeof(fresh.seq));
	/* The new values before the even count; pairs with the reader's first load. */
	smp_store_release(&state->seq, fresh.seq + 1);
	mutex_unlock(&state_lock);
}

static void load_work(struct work_struct *work)
{
	neap_supply_recount();
	neap_state_update();
	schedule_delayed_work(&load_timer, LOAD_HZ);
}

void neap_state_server(bool there)
{
	if (there)
		schedule_delayed_work(&load_timer, 0);
	else
		cancel_delayed_work_sync(&load_timer);
}

int neap_state_mmap(struct vm_area_struct *vma)
{
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EPERM;
	neap_vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP | VM_MIXEDMAP,
			  VM_MAYWRITE | VM_MAYEXEC);
	return vm_insert_page(vma, vma->vm_start, page);
}

int neap_state_init(void)
{
	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	state = page_address(page);
	return 0;
}

void neap_state_exit(void)
{
	cancel_delayed_work_sync(&load_timer);
	put_page(page); /* a mapping that outlives us keeps its own reference */
}
