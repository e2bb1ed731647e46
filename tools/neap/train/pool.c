// SPDX-License-Identifier: MIT
/* A pool owns its threads, which end in pool_free(). */
#include "tools/neap/train/pool.h"
#include "engine/base.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct pool_thread {
	struct pool *pool;
	pthread_t id;
	uint32_t number;
};

struct pool {
	uint32_t threads, started;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	uint64_t round; /* of work given out */
	uint32_t left;  /* threads still at it */
	bool stop;
	void (*fn)(void *arg, uint32_t thread);
	void *arg;
	struct pool_thread *thread;
};

static void *serve(void *user)
{
	struct pool_thread *t = user;
	struct pool *p = t->pool;
	uint64_t seen = 0;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->round == seen && !p->stop)
			pthread_cond_wait(&p->work, &p->lock);
		if (p->stop)
			break;
		seen = p->round;
		pthread_mutex_unlock(&p->lock);
		p->fn(p->arg, t->number);
		pthread_mutex_lock(&p->lock);
		if (--p->left == 0)
			pthread_cond_signal(&p->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are for the main thread. */
static int start(struct pool *p)
{
	sigset_t all, before;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (uint32_t i = 1; i < p->threads && rc == 0; i++) {
		p->thread[i] = (struct pool_thread){.pool = p, .number = i};
		rc = pthread_create(&p->thread[i].id, NULL, serve, &p->thread[i]);
		if (rc == 0)
			p->started = i;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int pool_new(uint32_t threads, struct pool **ret)
{
	struct pool *p;
	int rc;

	if (!threads || threads > POOL_MAX_THREADS)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->threads = threads;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);
	p->thread = calloc(threads, sizeof(*p->thread));
	rc = p->thread ? start(p) : -ENOMEM;
	if (rc < 0) {
		pool_free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (uint32_t i = 1; i <= p->started; i++)
		pthread_join(p->thread[i].id, NULL);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	free(p->thread);
	free(p);
}

uint32_t pool_threads(const struct pool *p)
{
	return p->threads;
}

void pool_run(struct pool *p, void (*fn)(void *arg, uint32_t thread), void *arg)
{
	pthread_mutex_lock(&p->lock);
	p->fn = fn;
	p->arg = arg;
	p->left = p->threads - 1;
	p->round++;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	fn(arg, 0);
	pthread_mutex_lock(&p->lock);
	while (p->left)
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}
