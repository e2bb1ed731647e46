/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of the module. Who owns what:
 *
 * - A buffer (struct neap_buf) belongs to its dma-buf and dies with the dma-buf's last reference;
 *   its pages and its charge live on while somebody has them pinned (buffer.c).
 * - An account (struct neap_account) belongs to the charges made to it (account.c).
 * - The state page belongs to the module and is mapped read-only by the server (state.c).
 *
 * Locks: neap_buf.lock is taken inside of mmap_lock or a VMA's lock (a fault), of a dma-buf's
 * reservation (an importer) and of server_lock then list_lock (the server went away). Page tables
 * are allocated under it. The zap takes i_mmap_rwsem and nothing of ours is held then. The
 * spinlocks of accounts and supply, and state_lock, are leaves.
 */
#ifndef _NEAP_H
#define _NEAP_H

#include <linux/device.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "neap/uapi/neap_ioctl.h"

/* account.c: bytes in use, per uid and over all, and their limits */
struct neap_account;

int neap_account_charge(kuid_t uid, u64 bytes, struct neap_account **ret);
void neap_account_uncharge(struct neap_account *account, u64 bytes);
kuid_t neap_account_uid(const struct neap_account *account);
void neap_account_query(struct neap_query *q, kuid_t uid);
kuid_t neap_charged_uid(void);
void neap_account_count_refused(void);
void neap_account_count_revoked(void);
void neap_account_init(void);
extern const struct attribute_group neap_buffers_group;

/* buffer.c */
struct dma_buf;
int neap_buf_alloc(struct neap_buf_alloc *arg, struct dma_buf **ret_dmabuf);
int neap_buf_info(struct neap_buf_info *arg);
int neap_buf_own(const struct neap_buf_own *arg);
int neap_buf_revoke(const struct neap_buf_revoke *arg);
void neap_buf_return_all(void); /* the server is gone: clients go on */
void neap_buf_exit(void);

/* budget.c: the values that the daemon reads; the module only keeps and checks them */
extern const struct attribute_group neap_budget_group;
void neap_budget_fill(struct neap_state *state);

/* supply.c */
extern const struct attribute_group neap_supply_group;
int neap_supply_init(void);
void neap_supply_start(struct device *dev); /* @dev: whose sysfs files to notify */
void neap_supply_recount(void);             /* a supply that went away gives no event */
void neap_supply_exit(void);
void neap_supply_fill(struct neap_state *state);

/* state.c */
int neap_state_init(void);
void neap_state_exit(void);
void neap_state_update(void);
void neap_state_server(bool there);
int neap_state_mmap(struct vm_area_struct *vma);

/* main.c */
bool neap_is_server(const struct mm_struct *mm);

#endif
