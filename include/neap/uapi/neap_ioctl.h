/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The kernel module's interface: /dev/neap for clients, /dev/neap-server for the daemon. Every call
 * and its errors are described in docs/neap-ioctl.md and neap(4).
 *
 * Structures only grow at the end. The kernel takes shorter ones (the rest counts as zero) and
 * longer ones (the rest must be zero), by the size in the ioctl's number. Unknown flags and
 * reserved fields that are not zero are -EINVAL; unknown numbers are -ENOTTY.
 */
#ifndef _UAPI_NEAP_IOCTL_H
#define _UAPI_NEAP_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define NEAP_IOC_MAGIC 0xE7

/* neap_query.features */
#define NEAP_FEATURE_OWN    (1ULL << 0) /* NEAP_IOC_BUF_OWN */
#define NEAP_FEATURE_REVOKE (1ULL << 1) /* NEAP_IOC_BUF_REVOKE */
#define NEAP_FEATURE_STATE  (1ULL << 2) /* the state page */

struct neap_query {
	__u64 features;
	__u64 max_bytes;           /* of one buffer */
	__u64 limit_bytes;         /* of all buffers */
	__u64 limit_bytes_per_uid; /* of the caller's */
	__u64 used_bytes;          /* of all */
	__u64 used_bytes_uid;      /* of the caller's */
};

struct neap_buf_alloc {
	__u64 bytes; /* in: 1..max_bytes; out: rounded up to pages */
	__u32 flags; /* in: 0 */
	__s32 fd;    /* out: a dma-buf, O_RDWR | O_CLOEXEC */
};

/* neap_buf_info.state */
#define NEAP_BUF_OWNED   (1U << 0) /* by the server: the client's accesses wait */
#define NEAP_BUF_REVOKED (1U << 1) /* the client's accesses are SIGBUS */
#define NEAP_BUF_PINNED  (1U << 2) /* held by io_uring, direct I/O, a pipe, a device */

struct neap_buf_info {
	__s32 fd;    /* in */
	__u32 state; /* out */
	__u64 bytes; /* out */
	__u64 id;    /* out: unique while the module is loaded */
	__u32 uid;   /* out: who is charged */
	__u32 reserved;
};

#define NEAP_OWNER_CLIENT 0U
#define NEAP_OWNER_SERVER 1U

struct neap_buf_own {
	__s32 fd;
	__u32 who; /* NEAP_OWNER_* */
};

struct neap_buf_revoke {
	__s32 fd;
	__u32 reserved;
};

#define NEAP_IOC_QUERY      _IOR(NEAP_IOC_MAGIC, 0, struct neap_query)
#define NEAP_IOC_BUF_ALLOC  _IOWR(NEAP_IOC_MAGIC, 1, struct neap_buf_alloc)
#define NEAP_IOC_BUF_INFO   _IOWR(NEAP_IOC_MAGIC, 2, struct neap_buf_info)
#define NEAP_IOC_BUF_OWN    _IOW(NEAP_IOC_MAGIC, 3, struct neap_buf_own)
#define NEAP_IOC_BUF_REVOKE _IOW(NEAP_IOC_MAGIC, 4, struct neap_buf_revoke)

/* Supply sources, in struct neap_state and supply/source. */
#define NEAP_SUPPLY_UNKNOWN 0U /* no supply is registered: take it as mains without end */
#define NEAP_SUPPLY_MAINS   1U
#define NEAP_SUPPLY_BATTERY 2U

/*
 * The state page: one page at offset 0 of /dev/neap-server, mapped PROT_READ and MAP_SHARED.
 * Read it like a seqlock: load seq (acquire) until it is even, copy, fence, load seq again; start
 * over where it changed.
 */
struct neap_state {
	__u32 seq;
	__u32 bytes; /* of this structure in the running module */
	/* budget/, in the order and units of docs/sysfs-abi */
	__u32 latency_us;
	__u32 power_mw_mains;
	__u32 power_mw_battery;
	__u32 cpu_permille;
	__u32 autonomy_min;
	__u32 reserve_permille;
	__u32 depth_max;
	__u32 width_max_permille;
	/* supply/ */
	__u32 source; /* NEAP_SUPPLY_* */
	__u32 charge_permille;
	__u32 energy_mwh;     /* left in the batteries */
	__u32 draw_mw;        /* from the batteries; 0 where they charge or nothing tells */
	__u32 full_mwh;       /* energy of the batteries when full; 0 = unknown */
	__u32 supply_changes; /* rises by one with each change of the above five */
	__u32 load[3];        /* averages of 1, 5 and 15 minutes, 2048 = 1.0; renewed every 5 s */
	__u32 reserved;
};

#endif
