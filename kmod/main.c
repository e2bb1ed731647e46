// SPDX-License-Identifier: GPL-2.0-only
/*
 * neap: pinned buffers, budgets and the supply's state for the neap daemon and its clients.
 * Two misc devices: /dev/neap for clients (0660, group by udev), /dev/neap-server for the daemon,
 * which one process has open at a time. The interface is include/neap/uapi/neap_ioctl.h.
 */
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "neap.h"

static DEFINE_MUTEX(server_lock);
/*
 * The daemon's mm, held while its /dev/neap-server is open, so that its address means nobody else.
 * Each open file has its own hold, in private_data.
 */
static struct mm_struct *server_mm;
/* Set when nothing can fail any more: a module that fails to load is freed under its openers. */
static bool ready;

bool neap_is_server(const struct mm_struct *mm)
{
	return mm && mm == READ_ONCE(server_mm);
}

/* ---- calls ---- */

union neap_arg {
	struct neap_query query;
	struct neap_buf_alloc alloc;
	struct neap_buf_info info;
	struct neap_buf_own own;
	struct neap_buf_revoke revoke;
	char raw[128]; /* no structure will outgrow this without a new number */
};

static int do_query(union neap_arg *arg)
{
	arg->query = (struct neap_query){
		.features = NEAP_FEATURE_OWN | NEAP_FEATURE_REVOKE | NEAP_FEATURE_STATE,
	};
	neap_account_query(&arg->query, neap_charged_uid());
	return 0;
}

static int do_info(union neap_arg *arg)
{
	return neap_buf_info(&arg->info);
}

static int do_own(union neap_arg *arg)
{
	return neap_buf_own(&arg->own);
}

static int do_revoke(union neap_arg *arg)
{
	return neap_buf_revoke(&arg->revoke);
}

struct neap_call {
	unsigned int cmd;
	int (*fn)(union neap_arg *arg); /* NULL: needs more than its argument */
};

static const struct neap_call client_calls[] = {
	{NEAP_IOC_QUERY, do_query},
	{NEAP_IOC_BUF_ALLOC, NULL},
};

static const struct neap_call server_calls[] = {
	{NEAP_IOC_QUERY, do_query},
	{NEAP_IOC_BUF_INFO, do_info},
	{NEAP_IOC_BUF_OWN, do_own},
	{NEAP_IOC_BUF_REVOKE, do_revoke},
};

/* By number, type and direction; the size is the caller's and may differ. */
static const struct neap_call *find_call(const struct neap_call *calls, size_t n, unsigned int cmd)
{
	const unsigned int size_mask = IOCSIZE_MASK;
	size_t i;

	for (i = 0; i < n; i++)
		if ((calls[i].cmd & ~size_mask) == (cmd & ~size_mask))
			return &calls[i];
	return NULL;
}

/* The descriptor becomes visible only after its number has reached the caller. */
static int alloc_and_install(union neap_arg *arg, void __user *user, size_t bytes)
{
	struct dma_buf *dmabuf;
	int err = neap_buf_alloc(&arg->alloc, &dmabuf);

	if (err)
		return err;
	if (copy_to_user(user, arg, bytes)) {
		put_unused_fd(arg->alloc.fd);
		dma_buf_put(dmabuf);
		return -EFAULT;
	}
	fd_install(arg->alloc.fd, dmabuf->file);
	return 0;
}

static long call(const struct neap_call *calls, size_t n_calls, unsigned int cmd,
		 unsigned long user_arg)
{
	const struct neap_call *c = find_call(calls, n_calls, cmd);
	void __user *user = (void __user *)user_arg;
	size_t ours, theirs = _IOC_SIZE(cmd), i;
	union neap_arg arg = {};
	int err;

	if (!c)
		return -ENOTTY;
	ours = _IOC_SIZE(c->cmd);
	if (theirs > sizeof(arg))
		return -EINVAL;
	if (cmd & IOC_IN) {
		if (copy_from_user(&arg, user, theirs))
			return -EFAULT;
		for (i = ours; i < theirs; i++)
			if (arg.raw[i])
				return -EINVAL;
	}
	if (c->cmd == NEAP_IOC_BUF_ALLOC)
		/* A caller that cannot take the descriptor would leak it. */
		return theirs < sizeof(arg.alloc) ? -EINVAL : alloc_and_install(&arg, user, theirs);
	err = c->fn(&arg);
	if (err)
		return err;
	if ((cmd & IOC_OUT) && copy_to_user(user, &arg, theirs))
		return -EFAULT;
	return 0;
}

/* ---- /dev/neap ---- */

static long client_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return call(client_calls, ARRAY_SIZE(client_calls), cmd, arg);
}

static int client_open(struct inode *inode, struct file *file)
{
	return 0; /* misc's own open left the miscdevice in private_data; nothing here uses it */
}

static const struct file_operations client_fops = {
	.owner = THIS_MODULE,
	.open = client_open,
	.unlocked_ioctl = client_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static const struct attribute_group *client_groups[] = {
	&neap_buffers_group,
	&neap_budget_group,
	&neap_supply_group,
	NULL,
};

static struct miscdevice client_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "neap",
	.mode = 0660,
	.fops = &client_fops,
	.groups = client_groups,
};

/* ---- /dev/neap-server ---- */

/* A server that died has no user of its mm left, though a child may still hold its descriptor. */
static bool server_is_dead(void)
{
	return !atomic_read(&server_mm->mm_users);
}

static void let_server_go(void)
{
	neap_state_server(false);
	WRITE_ONCE(server_mm, NULL);
	neap_buf_return_all();
}

static int server_open(struct inode *inode, struct file *file)
{
	int err = 0;

	mutex_lock(&server_lock);
	if (!ready) {
		err = -ENODEV;
	} else if (server_mm && !server_is_dead()) {
		err = -EBUSY;
	} else {
		if (server_mm)
			let_server_go();
		mmgrab(current->mm);
		file->private_data = current->mm;
		WRITE_ONCE(server_mm, current->mm);
		neap_state_server(true);
	}
	mutex_unlock(&server_lock);
	return err;
}

static int server_release(struct inode *inode, struct file *file)
{
	struct mm_struct *mm = file->private_data;

	mutex_lock(&server_lock);
	if (mm == server_mm)
		let_server_go();
	mutex_unlock(&server_lock);
	mmdrop(mm);
	return 0;
}

/* Only the process that opened it may act: a descriptor that leaked is of no use. */
static bool called_by_server(void)
{
	return neap_is_server(current->mm);
}

static long server_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (!called_by_server())
		return -EPERM;
	return call(server_calls, ARRAY_SIZE(server_calls), cmd, arg);
}

static int server_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!called_by_server())
		return -EPERM;
	return neap_state_mmap(vma);
}

static const struct file_operations server_fops = {
	.owner = THIS_MODULE,
	.open = server_open,
	.release = server_release,
	.unlocked_ioctl = server_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = server_mmap,
};

static struct miscdevice server_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "neap-server",
	.mode = 0600,
	.fops = &server_fops,
};

/*
 * The client's node comes last: from then on buffers can exist, and nothing may fail. The server's
 * refuses to open until then.
 */
static int __init neap_init(void)
{
	int err;

	neap_account_init();
	err = neap_state_init();
	if (err)
		return err;
	err = neap_supply_init();
	if (err)
		goto no_supply;
	err = misc_register(&server_misc);
	if (err)
		goto no_server;
	err = misc_register(&client_misc);
	if (err)
		goto no_client;
	neap_supply_start(client_misc.this_device);
	neap_state_update();
	mutex_lock(&server_lock);
	ready = true;
	mutex_unlock(&server_lock);
	return 0;
no_client:
	misc_deregister(&server_misc);
no_server:
	neap_supply_exit();
no_supply:
	neap_state_exit();
	return err;
}

static void __exit neap_exit(void)
{
	misc_deregister(&server_misc);
	neap_supply_exit();
	misc_deregister(&client_misc);
	neap_buf_exit();
	neap_state_exit();
}

module_init(neap_init);
module_exit(neap_exit);
MODULE_DESCRIPTION("Pinned buffers, budgets and supply state for nested neural networks");
MODULE_LICENSE("GPL");
