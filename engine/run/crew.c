/* SPDX-License-Identifier: MIT */
/*
 * Sharing a step among threads without a lock.
 *
 * A job is a step cut into pieces. One 64-bit word says which job it is and how many pieces nobody
 * has taken yet: (job number << 32) | pieces left. A piece is taken by compare-and-swap, so a thread
 * that slept through several jobs can never take a piece of the wrong one: the number differs. Only
 * after taking a piece does a member read the job's fields, and those stay as they are until every
 * piece is done. A member that does not wake in time is not waited for.
 */
#include "engine/run/crew.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS  2000 /* of a pause each: some tens of microseconds */
#define PIECES 4    /* a thread, so that one that is late does not hold up the others */

struct member {
	struct ne_crew *crew;
	pthread_t thread;
	struct ne_frame frame;
};

struct ne_crew {
	_Alignas(64) _Atomic uint64_t work;   /* job number << 32 | pieces left */
	_Alignas(64) _Atomic uint32_t done;   /* pieces finished of the job at hand */
	_Alignas(64) _Atomic uint32_t signal; /* futex: moves with every job, and to quit */
	_Atomic uint32_t sleepers;
	_Atomic bool running, quit;
	/* the job at hand; written by the caller while no piece is out */
	const struct ne_step *step;
	uint32_t piece, pieces; /* units of a piece; pieces of the job */
	uint32_t n;
	struct member *member;
};

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Takes and runs pieces until none is left. */
static void help(struct ne_crew *c, const struct ne_frame *f)
{
	uint64_t w = atomic_load_explicit(&c->work, memory_order_acquire);

	while ((uint32_t)w) {
		const struct ne_step *s;
		uint32_t first;

		if (!atomic_compare_exchange_weak_explicit(
			    &c->work, &w, w - 1, memory_order_acq_rel, memory_order_acquire))
			continue;
		s = c->step;
		first = ((uint32_t)w - 1) * c->piece;
		s->run(s, f, first, NE_MIN(c->piece, s->units - first));
		atomic_fetch_add_explicit(&c->done, 1, memory_order_release);
		w = atomic_load_explicit(&c->work, memory_order_acquire);
	}
}

/* Until the signal moves from @seen: a short spin during a run, then sleep. */
static void await_signal(struct ne_crew *c, uint32_t seen)
{
	for (uint32_t i = 0; i < SPINS && atomic_load_explicit(&c->running, memory_order_relaxed);
	     i++) {
		if (atomic_load_explicit(&c->signal, memory_order_acquire) != seen)
			return;
		pause_cpu();
	}
	atomic_fetch_add(&c->sleepers, 1);
	while (atomic_load(&c->signal) == seen)
		futex_wait(&c->signal, seen);
	atomic_fetch_sub(&c->sleepers, 1);
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	struct ne_crew *c = m->crew;
	uint32_t seen = 0;

	for (;;) {
		await_signal(c, seen);
		seen = atomic_load(&c->signal);
		if (atomic_load(&c->quit))
			return NULL;
		help(c, &m->frame);
	}
}

static void signal_members(struct ne_crew *c)
{
	atomic_fetch_add(&c->signal, 1);
	if (atomic_load(&c->sleepers))
		futex_wake(&c->signal);
}

void ne_crew_step(struct ne_crew *c, const struct ne_step *s, const struct ne_frame *own)
{
	uint64_t w = atomic_load_explicit(&c->work, memory_order_relaxed);
	uint32_t pieces = (c->n + 1) * PIECES;

	c->step = s;
	c->piece = NE_MAX((s->units + pieces - 1) / pieces, s->grain);
	c->piece = (c->piece + s->grain - 1) / s->grain * s->grain;
	c->pieces = (s->units + c->piece - 1) / c->piece;
	atomic_store_explicit(&c->done, 0, memory_order_relaxed);
	atomic_store_explicit(&c->work, ((w >> 32) + 1) << 32 | c->pieces, memory_order_release);
	signal_members(c);
	help(c, own);
	/* the others are in their last piece; give way if the kernel took one's CPU away */
	for (uint32_t i = 0; atomic_load_explicit(&c->done, memory_order_acquire) != c->pieces;
	     i++) {
		if (i < SPINS)
			pause_cpu();
		else
			syscall(SYS_sched_yield);
	}
}

void ne_crew_begin(struct ne_crew *c)
{
	atomic_store_explicit(&c->running, true, memory_order_relaxed);
}

void ne_crew_end(struct ne_crew *c)
{
	atomic_store_explicit(&c->running, false, memory_order_relaxed);
}

int ne_crew_new(uint32_t members, size_t scratch_bytes, const uintptr_t *base, struct ne_crew **ret)
{
	struct ne_crew *c = ne_alloc_aligned(sizeof(*c));
	int r = -ENOMEM;

	if (!c)
		return -ENOMEM;
	c->member = calloc(members, sizeof(*c->member));
	if (!c->member)
		goto fail;
	for (uint32_t i = 0; i < members; i++) {
		struct member *m = &c->member[i];

		m->crew = c;
		m->frame.base = base;
		m->frame.scratch = ne_alloc_aligned(scratch_bytes);
		if (!m->frame.scratch) {
			r = -ENOMEM;
			goto fail;
		}
		r = -pthread_create(&m->thread, NULL, member_main, m);
		if (r < 0) {
			free(m->frame.scratch);
			goto fail;
		}
		c->n++;
	}
	*ret = c;
	return 0;
fail:
	ne_crew_free(c);
	return r;
}

void ne_crew_free(struct ne_crew *c)
{
	if (!c)
		return;
	atomic_store(&c->quit, true);
	atomic_fetch_add(&c->signal, 1);
	futex_wake(&c->signal);
	for (uint32_t i = 0; i < c->n; i++) {
		pthread_join(c->member[i].thread, NULL);
		free(c->member[i].frame.scratch);
	}
	free(c->member);
	free(c);
}
