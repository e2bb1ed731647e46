// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers: dma-bufs of pinned, zeroed pages.
 *
 * A mapping is filled by faults, page by page, with real pages (VM_MIXEDMAP), so that
 * get_user_pages() and io_uring can take them. Taking a mapping away (the server owns the buffer,
 * or it was revoked) is: change the state under buf->lock, then zap the PTEs of the dma-buf's own
 * inode. A fault inserts under the same lock and only in a VMA that is linked already, so no PTE
 * can appear behind the zap (fork copies entries, but links the copy behind its original, where
 * the zap comes later). Mappings of the server's mm are exempt: they fault back in.
 *
 * What no zap can reach - a reference on a page beside the page tables', a device's or the
 * kernel's mapping - makes strict ownership impossible, and BUF_OWN says so (-EBUSY).
 */
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/iosys-map.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "neap.h"

#define FAULT_AROUND 16  /* pages inserted by one fault at most */
#define LINGER_HZ    HZ  /* how often pages that outlived their buffer are looked at */
#define MAX_MAPPINGS 256 /* of a buffer: a zap visits each, on the server's time */

struct neap_buf {
	struct list_head node; /* in live or lingering, under list_lock */
	struct neap_account *account;
	u64 id, bytes;
	unsigned long n_pages;
	struct page **pages;
	struct dma_buf *dmabuf;
	atomic_t n_mappings; /* VMAs */

	struct mutex lock; /* guards the state and the insertion of PTEs */
	bool owned, revoked;
	unsigned int n_users;         /* attached devices and mappings of the kernel */
	wait_queue_head_t returned;   /* woken when owned becomes false or revoked true */
	struct list_head attachments; /* under lock */
};

struct neap_attachment {
	struct list_head node;
	struct device *dev;
	struct sg_table sgt;
	bool mapped;
};

static DEFINE_MUTEX(list_lock);
static LIST_HEAD(live);
static LIST_HEAD(lingering);
static u64 next_id = 1;

static void linger_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(linger, linger_work);

/* ---- pages ---- */

static void free_pages_of(struct neap_buf *buf)
{
	unsigned long i = 0;

	while (i < buf->n_pages && buf->pages[i]) {
		unsigned int order = compound_order(buf->pages[i]);

		__free_pages(buf->pages[i], order);
		i += 1UL << order;
	}
	kvfree(buf->pages);
}

static int alloc_pages_of(struct neap_buf *buf)
{
	/*
	 * Large orders first, and only where they are there for the taking; orders above 0 are
	 * compound, so that one reference holds all of their pages.
	 */
	static const unsigned int orders[] = {9, 4, 0};
	/* A client that finds no memory gets -ENOMEM: nobody is killed, nothing is logged. */
	const gfp_t base =
		GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;
	unsigned long i = 0, k;
	unsigned int o = 0;

	buf->pages = kvcalloc(buf->n_pages, sizeof(*buf->pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!buf->pages)
		return -ENOMEM;
	while (i < buf->n_pages) {
		struct page *page = NULL;
		gfp_t gfp = base;

		if (fatal_signal_pending(current)) {
			free_pages_of(buf);
			return -EINTR;
		}
		while (1UL << orders[o] > buf->n_pages - i)
			o++;
		if (orders[o])
			gfp = (base | __GFP_COMP) & ~(__GFP_RECLAIM | __GFP_RETRY_MAYFAIL);
		page = alloc_pages(gfp, orders[o]);
		if (!page && orders[o]) {
			o++;
			continue;
		}
		if (!page) {
			free_pages_of(buf);
			return -ENOMEM;
		}
		for (k = 0; k < 1UL << orders[o]; k++)
			buf->pages[i++] = page + k;
		cond_resched();
	}
	return 0;
}

/* Somebody beside us holds a page: it was pinned before the mapping went away. */
static bool pages_held(const struct neap_buf *buf)
{
	unsigned long i = 0;

	while (i < buf->n_pages) {
		if (page_count(buf->pages[i]) > 1)
			return true;
		i += 1UL << compound_order(buf->pages[i]);
	}
	return false;
}

/*
 * The same while there are mappings: references beside ours and the page tables'. Call with
 * buf->lock held, or a fault may be between its reference and its entry.
 */
static bool pages_pinned(const struct neap_buf *buf)
{
	unsigned long i = 0;

	while (i < buf->n_pages) {
		struct page *head = buf->pages[i];
		int refs = page_count(head);

		if (refs > 1 && refs > 1 + neap_mapcount(head))
			return true;
		i += 1UL << compound_order(head);
	}
	return false;
}

static void free_buf(struct neap_buf *buf)
{
	u64 bytes = buf->bytes;
	struct neap_account *account = buf->account;

	free_pages_of(buf);
	kfree(buf);
	neap_account_uncharge(account, bytes);
}

/*
 * Pages that outlive their buffer stay charged until they are let go, and the module stays loaded.
 * Nothing tells when a reference goes, so this looks once a second while there are any.
 */
static void linger_work(struct work_struct *work)
{
	struct neap_buf *buf, *next;
	unsigned int freed = 0;

	mutex_lock(&list_lock);
	list_for_each_entry_safe(buf, next, &lingering, node) {
		cond_resched();
		if (pages_held(buf))
			continue;
		list_del(&buf->node);
		free_buf(buf);
		freed++;
	}
	if (!list_empty(&lingering))
		schedule_delayed_work(&linger, LINGER_HZ);
	mutex_unlock(&list_lock);
	while (freed--)
		module_put(THIS_MODULE);
}

/* ---- mappings ---- */

static bool client_may_access(const struct neap_buf *buf)
{
	return !READ_ONCE(buf->owned) || READ_ONCE(buf->revoked);
}

/* The server computes: wait without the mmap lock until the buffer comes back, then fault again. */
static vm_fault_t wait_until_returned(struct neap_buf *buf, struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;

	/* A kernel thread that borrowed the client's mm cannot be killed out of a wait. */
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY) || (current->flags & PF_KTHREAD))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	get_file(file); /* the VMA may go away while we wait, and the buffer with it */
	neap_release_fault_lock(vmf);
	if (vmf->flags & FAULT_FLAG_USER)
		wait_event_interruptible(buf->returned, client_may_access(buf));
	else
		wait_event_killable(buf->returned, client_may_access(buf));
	fput(file);
	return VM_FAULT_RETRY;
}

static vm_fault_t neap_buf_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct neap_buf *buf = vma->vm_private_data;
	bool server = neap_is_server(vma->vm_mm);
	unsigned long i, n, address = vmf->address & PAGE_MASK;
	vm_fault_t ret;

	if (vmf->pgoff >= buf->n_pages)
		return VM_FAULT_SIGBUS;
	mutex_lock(&buf->lock);
	if (!server && buf->revoked) {
		mutex_unlock(&buf->lock);
		return VM_FAULT_SIGBUS;
	}
	if (!server && buf->owned) {
		mutex_unlock(&buf->lock);
		return wait_until_returned(buf, vmf);
	}
	n = min3((vma->vm_end - address) >> PAGE_SHIFT, buf->n_pages - vmf->pgoff,
		 (unsigned long)FAULT_AROUND);
	ret = vmf_insert_page(vma, address, buf->pages[vmf->pgoff]);
	/* The neighbours are a guess: what is there already, or does not fit, is no error. */
	for (i = 1; ret == VM_FAULT_NOPAGE && i < n; i++)
		if (vm_insert_page(vma, address + (i << PAGE_SHIFT), buf->pages[vmf->pgoff + i]))
			break;
	mutex_unlock(&buf->lock);
	return ret;
}

static int neap_buf_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

/* A split, or a fork after MADV_DOFORK: the latter may pass the limit, and BUF_OWN looks. */
static void neap_buf_vma_open(struct vm_area_struct *vma)
{
	struct neap_buf *buf = vma->vm_private_data;

	atomic_inc(&buf->n_mappings);
}

static void neap_buf_vma_close(struct vm_area_struct *vma)
{
	struct neap_buf *buf = vma->vm_private_data;

	atomic_dec(&buf->n_mappings);
}

static int neap_buf_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	struct neap_buf *buf = vma->vm_private_data;

	return atomic_read(&buf->n_mappings) < MAX_MAPPINGS ? 0 : -ENOMEM;
}

static const struct vm_operations_struct neap_buf_vm_ops = {
	.open = neap_buf_vma_open,
	.close = neap_buf_vma_close,
	.may_split = neap_buf_may_split,
	.fault = neap_buf_fault,
	.mremap = neap_buf_mremap,
};

static int neap_buf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct neap_buf *buf = dmabuf->priv;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (atomic_inc_return(&buf->n_mappings) > MAX_MAPPINGS) {
		atomic_dec(&buf->n_mappings);
		return -ENOMEM;
	}
	neap_vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP | VM_MIXEDMAP, VM_MAYEXEC);
	vma->vm_ops = &neap_buf_vm_ops;
	vma->vm_private_data = buf; /* held by vma->vm_file */
	return 0;
}

static void zap(struct neap_buf *buf)
{
	unmap_mapping_range(buf->dmabuf->file->f_mapping, 0, 0, 1);
}

/* ---- dma-buf ---- */

/*
 * May a device be attached now? It cannot be made to wait, and from then on may map the buffer at
 * any time: an owned or revoked buffer takes none, and an attached one cannot be owned.
 */
static int may_attach(const struct neap_buf *buf)
{
	if (buf->revoked)
		return -ENODEV;
	return buf->owned ? -EBUSY : 0;
}

static int neap_buf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	struct neap_buf *buf = dmabuf->priv;
	struct neap_attachment *a = kzalloc(sizeof(*a), GFP_KERNEL);
	int err;

	if (!a)
		return -ENOMEM;
	/* No segment longer than the device can take. */
	err = sg_alloc_table_from_pages_segment(&a->sgt, buf->pages, buf->n_pages, 0, buf->bytes,
						dma_get_max_seg_size(attachment->dev), GFP_KERNEL);
	if (err) {
		kfree(a);
		return err;
	}
	a->dev = attachment->dev;
	attachment->priv = a;
	mutex_lock(&buf->lock);
	err = may_attach(buf);
	if (!err) {
		list_add(&a->node, &buf->attachments);
		buf->n_users++;
	}
	mutex_unlock(&buf->lock);
	if (err) {
		sg_free_table(&a->sgt);
		kfree(a);
	}
	return err;
}

static void neap_buf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	struct neap_buf *buf = dmabuf->priv;
	struct neap_attachment *a = attachment->priv;

	mutex_lock(&buf->lock);
	list_del(&a->node);
	buf->n_users--;
	mutex_unlock(&buf->lock);
	sg_free_table(&a->sgt);
	kfree(a);
}

static struct sg_table *neap_buf_map(struct dma_buf_attachment *attachment,
				     enum dma_data_direction dir)
{
	struct neap_buf *buf = attachment->dmabuf->priv;
	struct neap_attachment *a = attachment->priv;
	int err;

	mutex_lock(&buf->lock);
	if (buf->revoked)
		err = -ENODEV;
	else if (a->mapped)
		err = -EBUSY; /* one table: a second mapping would overwrite its addresses */
	else
		err = dma_map_sgtable(attachment->dev, &a->sgt, dir, 0);
	a->mapped |= !err;
	mutex_unlock(&buf->lock);
	return err ? ERR_PTR(err) : &a->sgt;
}

static void neap_buf_unmap(struct dma_buf_attachment *attachment, struct sg_table *sgt,
			   enum dma_data_direction dir)
{
	struct neap_buf *buf = attachment->dmabuf->priv;
	struct neap_attachment *a = attachment->priv;

	mutex_lock(&buf->lock);
	dma_unmap_sgtable(attachment->dev, sgt, dir, 0);
	a->mapped = false;
	mutex_unlock(&buf->lock);
}

static int neap_buf_begin_cpu(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct neap_buf *buf = dmabuf->priv;
	struct neap_attachment *a;

	mutex_lock(&buf->lock);
	list_for_each_entry(a, &buf->attachments, node)
		if (a->mapped)
			dma_sync_sgtable_for_cpu(a->dev, &a->sgt, dir);
	mutex_unlock(&buf->lock);
	return 0;
}

static int neap_buf_end_cpu(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct neap_buf *buf = dmabuf->priv;
	struct neap_attachment *a;

	mutex_lock(&buf->lock);
	list_for_each_entry(a, &buf->attachments, node)
		if (a->mapped)
			dma_sync_sgtable_for_device(a->dev, &a->sgt, dir);
	mutex_unlock(&buf->lock);
	return 0;
}

static int neap_buf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct neap_buf *buf = dmabuf->priv;
	void *addr = NULL;
	int err = -EBUSY;

	/*
	 * The core warns about a vmap() that fails. Whoever is attached finds the buffer not owned;
	 * of a revoked one he could have had the mapping before.
	 */
	mutex_lock(&buf->lock);
	if (!buf->owned) {
		addr = vmap(buf->pages, buf->n_pages, VM_MAP, PAGE_KERNEL);
		err = addr ? 0 : -ENOMEM;
	}
	if (!err)
		buf->n_users++;
	mutex_unlock(&buf->lock);
	if (!err)
		iosys_map_set_vaddr(map, addr);
	return err;
}

static void neap_buf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct neap_buf *buf = dmabuf->priv;

	vunmap(map->vaddr);
	mutex_lock(&buf->lock);
	buf->n_users--;
	mutex_unlock(&buf->lock);
}

static void neap_buf_release(struct dma_buf *dmabuf)
{
	struct neap_buf *buf = dmabuf->priv;

	mutex_lock(&list_lock);
	list_del(&buf->node);
	if (pages_held(buf)) {
		/* The dma-buf's hold on the module goes with it; this one replaces it. */
		__module_get(THIS_MODULE);
		list_add(&buf->node, &lingering);
		schedule_delayed_work(&linger, LINGER_HZ);
		buf = NULL;
	}
	mutex_unlock(&list_lock);
	if (buf)
		free_buf(buf);
}

static const struct dma_buf_ops neap_buf_ops = {
	.attach = neap_buf_attach,
	.detach = neap_buf_detach,
	.map_dma_buf = neap_buf_map,
	.unmap_dma_buf = neap_buf_unmap,
	.begin_cpu_access = neap_buf_begin_cpu,
	.end_cpu_access = neap_buf_end_cpu,
	.mmap = neap_buf_mmap,
	.vmap = neap_buf_vmap,
	.vunmap = neap_buf_vunmap,
	.release = neap_buf_release,
};

/* ---- calls ---- */

static struct neap_buf *new_buf(u64 bytes)
{
	struct neap_buf *buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	int err;

	if (!buf)
		return ERR_PTR(-ENOMEM);
	mutex_init(&buf->lock);
	init_waitqueue_head(&buf->returned);
	INIT_LIST_HEAD(&buf->attachments);
	buf->bytes = bytes;
	buf->n_pages = bytes >> PAGE_SHIFT;
	err = neap_account_charge(neap_charged_uid(), bytes, &buf->account);
	if (err) {
		kfree(buf);
		return ERR_PTR(err);
	}
	err = alloc_pages_of(buf);
	if (err) {
		neap_account_uncharge(buf->account, bytes);
		kfree(buf);
		return ERR_PTR(err);
	}
	return buf;
}

/*
 * Makes a buffer and reserves its descriptor; the caller installs *ret_dmabuf's file there, or puts
 * both, once user space knows the number.
 */
int neap_buf_alloc(struct neap_buf_alloc *arg, struct dma_buf **ret_dmabuf)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp);
	struct dma_buf *dmabuf;
	struct neap_buf *buf;
	struct neap_query limits;

	if (arg->flags || !arg->bytes)
		return -EINVAL;
	neap_account_query(&limits, neap_charged_uid());
	/* Before rounding up, which must not overflow; sizes are size_t in a dma-buf. */
	if (arg->bytes > min_t(u64, limits.max_bytes, LONG_MAX & PAGE_MASK)) {
		neap_account_count_refused();
		return -EDQUOT;
	}
	buf = new_buf(PAGE_ALIGN(arg->bytes));
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	exp.exp_name = "neap";
	exp.owner = THIS_MODULE;
	exp.ops = &neap_buf_ops;
	exp.size = buf->bytes;
	exp.flags = O_RDWR;
	exp.priv = buf;
	/* Listed before the dma-buf exists: its release() unlists. */
	mutex_lock(&list_lock);
	buf->id = next_id++;
	list_add(&buf->node, &live);
	mutex_unlock(&list_lock);
	dmabuf = dma_buf_export(&exp);
	if (IS_ERR(dmabuf)) {
		mutex_lock(&list_lock);
		list_del(&buf->node);
		mutex_unlock(&list_lock);
		free_buf(buf);
		return PTR_ERR(dmabuf);
	}
	WRITE_ONCE(buf->dmabuf, dmabuf);
	arg->bytes = buf->bytes;
	arg->fd = get_unused_fd_flags(O_CLOEXEC);
	if (arg->fd < 0) {
		dma_buf_put(dmabuf);
		return arg->fd;
	}
	*ret_dmabuf = dmabuf;
	return 0;
}

/* The buffer behind a descriptor, with a reference on its dma-buf. */
static struct neap_buf *get_buf(int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	if (dmabuf->ops != &neap_buf_ops) {
		dma_buf_put(dmabuf);
		return ERR_PTR(-EINVAL);
	}
	return dmabuf->priv;
}

int neap_buf_info(struct neap_buf_info *arg)
{
	struct neap_buf *buf;

	if (arg->reserved)
		return -EINVAL;
	buf = get_buf(arg->fd);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	mutex_lock(&buf->lock);
	arg->state = (buf->owned ? NEAP_BUF_OWNED : 0) | (buf->revoked ? NEAP_BUF_REVOKED : 0) |
		     (buf->n_users || pages_pinned(buf) ? NEAP_BUF_PINNED : 0);
	mutex_unlock(&buf->lock);
	arg->bytes = buf->bytes;
	arg->id = buf->id;
	arg->uid = from_kuid_munged(current_user_ns(), neap_account_uid(buf->account));
	dma_buf_put(buf->dmabuf);
	return 0;
}

static void give_back(struct neap_buf *buf)
{
	mutex_lock(&buf->lock);
	WRITE_ONCE(buf->owned, false);
	mutex_unlock(&buf->lock);
	wake_up_all(&buf->returned);
}

/* Once no client's page table has it any more: can somebody write to it all the same? */
static bool still_reachable(struct neap_buf *buf)
{
	unsigned int tries = 3;
	bool pinned;

	do {
		mutex_lock(&buf->lock);
		pinned = pages_pinned(buf);
		mutex_unlock(&buf->lock);
		/* A munmap under way takes its entries first and puts its references later. */
		if (pinned)
			usleep_range(20, 60);
	} while (pinned && --tries);
	return pinned;
}

int neap_buf_own(const struct neap_buf_own *arg)
{
	struct neap_buf *buf;
	int err = 0;

	if (arg->who != NEAP_OWNER_CLIENT && arg->who != NEAP_OWNER_SERVER)
		return -EINVAL;
	buf = get_buf(arg->fd);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	if (arg->who == NEAP_OWNER_CLIENT) {
		give_back(buf);
		goto put;
	}
	mutex_lock(&buf->lock);
	if (buf->revoked)
		err = -ESTALE;
	else if (buf->n_users || atomic_read(&buf->n_mappings) > MAX_MAPPINGS)
		err = -EBUSY;
	else
		WRITE_ONCE(buf->owned, true);
	mutex_unlock(&buf->lock);
	if (err)
		goto put;
	zap(buf);
	if (still_reachable(buf)) {
		give_back(buf);
		err = -EBUSY;
	}
put:
	dma_buf_put(buf->dmabuf);
	return err;
}

int neap_buf_revoke(const struct neap_buf_revoke *arg)
{
	struct neap_buf *buf;
	bool fresh;

	if (arg->reserved)
		return -EINVAL;
	buf = get_buf(arg->fd);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	mutex_lock(&buf->lock);
	fresh = !buf->revoked;
	WRITE_ONCE(buf->revoked, true);
	mutex_unlock(&buf->lock);
	wake_up_all(&buf->returned);
	zap(buf);
	if (fresh)
		neap_account_count_revoked();
	dma_buf_put(buf->dmabuf);
	return 0;
}

void neap_buf_return_all(void)
{
	struct neap_buf *buf;

	mutex_lock(&list_lock);
	list_for_each_entry(buf, &live, node)
		give_back(buf);
	mutex_unlock(&list_lock);
}

void neap_buf_exit(void)
{
	/* No buffer is left: each held the module. The last look may still be on its way out. */
	cancel_delayed_work_sync(&linger);
}
