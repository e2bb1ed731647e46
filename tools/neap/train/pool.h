/* SPDX-License-Identifier: MIT */
/* A few threads that run one function at a time, each with its number; they sleep in between. */
#ifndef NEAP_TRAIN_POOL_H
#define NEAP_TRAIN_POOL_H

#include <stdint.h>

#define POOL_MAX_THREADS 64u

struct pool;

/* @threads >= 1; the caller's own thread is number 0. */
int pool_new(uint32_t threads, struct pool **ret);
void pool_free(struct pool *p);
uint32_t pool_threads(const struct pool *p);
/* Runs fn(arg, thread) once on every thread and returns when all are done. */
void pool_run(struct pool *p, void (*fn)(void *arg, uint32_t thread), void *arg);

#endif
