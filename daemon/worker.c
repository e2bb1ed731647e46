/* SPDX-License-Identifier: MIT */
/*
 * Workers. An idle worker waits in an epoll set that holds the doorbells of all sessions, so that a
 * client's doorbell wakes the thread that will compute, with no other thread in between (a hand-over
 * between threads costs about 3 us and a second wake-up). The doorbells are edge-triggered: one
 * edge wakes one of the waiting workers, and nobody ever reads them. io_uring has no such queue
 * that many threads can wait on, so this set is epoll in either kind of loop.
 *
 * A worker that has work keeps going without system calls: it looks at the rings of sessions that
 * were active ("awake") by itself, and before it sleeps it tells those clients (`asleep`) to ring
 * again. A long run while another worker idles is announced likewise before it starts, so that the
 * other one is woken for what comes meanwhile.
 */
#include "daemon/worker.h"
#include "daemon/log.h"
#include "daemon/rings.h"
#include "daemon/stream.h"
#include "daemon/transport/device.h"

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_BYTES (256u << 10) /* ne_run() uses an arena; deep frames there are none */
#define EVENTS      8
/* Below this a run is over before another worker would be awake. */
#define LONG_RUN_US 20.0
/* How often a busy worker looks at the doorbells of sessions that sleep. */
#define POLL_NS 50000

struct worker {
	struct server *server;
	unsigned index;
	pthread_t thread;
	int64_t busy_since_us; /* atomic; 0 = not running a model */
};

/* One run, as the hooks see it. */
struct run {
	struct worker *worker;
	struct request *rq;
	struct model_version *version;
	struct ne_decision decision;
	int64_t latency_end_ns; /* by budget/latency_us */
	float confidence;       /* threshold; > 1 = never */
	double run_us;          /* measured; finer than what the completion tells */
	enum ne_reason reason;
	bool below_floor;
	bool began; /* a stream */
};

/* ---- looking for work; all with the lock held ---- */

static struct session *find_session(struct server *srv, uint64_t id)
{
	for (uint32_t i = 0; i < SERVER_MAX_SESSIONS; i++)
		if (srv->session[i] && srv->session[i]->id == id)
			return srv->session[i];
	return NULL;
}

static void handle_doorbells(struct server *srv, const struct epoll_event *ev, int n)
{
	int64_t now = server_now_ns();

	for (int i = 0; i < n; i++) {
		/* By number, not by address: the session may have ended since. 0 is a kick. */
		struct session *s = ev[i].data.u64 ? find_session(srv, ev[i].data.u64) : NULL;

		if (!s || s->ended)
			continue;
		rings_stay_awake(s);
		rings_take(s, now);
	}
}

/* Takes what came in since. */
static void pump(struct server *srv, int64_t now_ns)
{
	for (uint32_t i = 0; i < srv->n_awake; i++)
		rings_take(srv->awake[i], now_ns);
	if (srv->n_awake < srv->n_rings && now_ns - srv->polled_ns > POLL_NS) {
		struct epoll_event ev[EVENTS];
		int n = epoll_wait(srv->doorbells, ev, EVENTS, 0);

		srv->polled_ns = now_ns;
		handle_doorbells(srv, ev, n);
	}
}

/* Asks the clients of all awake sessions to ring from now on; false if something came. */
static bool put_to_sleep(struct server *srv)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < srv->n_awake; i++) {
		struct session *s = srv->awake[i];

		if (!s->ended && !rings_try_sleep(s))
			srv->awake[kept++] = s;
		else
			s->rings.awake = false;
	}
	srv->n_awake = kept;
	return kept == 0;
}

void workers_kick(struct server *srv)
{
	uint64_t one = 1;

	/* Never read, as the doorbells: each write is an edge. */
	if (write(srv->kick_fd, &one, sizeof(one)) < 0)
		log_error("kick: %s", strerror(errno));
}

static void wait_for_doorbell(struct worker *w)
{
	struct server *srv = w->server;
	struct epoll_event ev[EVENTS];
	int n;

	srv->n_idle++;
	pthread_mutex_unlock(&srv->lock);
	n = epoll_wait(srv->doorbells, ev, EVENTS, -1);
	pthread_mutex_lock(&srv->lock);
	srv->n_idle--;
	if (n > 0)
		handle_doorbells(srv, ev, n);
}

/* For how long a worker can do something else while others wait. They are given the same safety in
 * time as the governor gives the request itself. With the lock held. */
static int64_t slack_ns(struct server *srv, int64_t now_ns)
{
	const struct ne_predictor *p = &srv->governor.predictor;

	return sched_slack_ns(&srv->sched, now_ns, srv->n_worker,
			      p->ratio + NE_GOV_SIGMAS * sqrt(p->variance));
}

/* Something came that is no work, perhaps a flood of bad entries: others get at the lock. */
static void give_way(struct server *srv)
{
	pthread_mutex_unlock(&srv->lock);
	sched_yield();
	pthread_mutex_lock(&srv->lock);
}

/* ---- exits ---- */

static int64_t left_us(const struct run *run, int64_t now_ns)
{
	int64_t end = NE_MIN(run->rq->deadline_ns, run->latency_end_ns);

	return end == INT64_MAX ? NE_GOV_NO_DEADLINE : (end - now_ns) / 1000;
}

/* The level that an answer from exit @depth is. */
static int level_at(const struct run *run, uint32_t depth)
{
	return ne_program_level_at(run->version->program, run->decision.level, depth);
}

/* What the part of the run from exit @depth to the next exit takes at most; < 0: unknown. */
static double next_part_us(const struct run *run, uint32_t depth, int here)
{
	uint32_t last = run->version->level[run->decision.level].depth;

	for (uint32_t d = depth + 1; d <= last; d++) {
		int next = level_at(run, d);

		if (next >= 0)
			return (double)run->version->level[next].time_us -
			       (double)run->version->level[here].time_us;
	}
	return -1;
}

/* Would somebody who waits miss the deadline because this run goes on to its next exit? */
static bool others_need_worker(struct server *srv, double next_us, int64_t now_ns)
{
	int64_t slack;

	pump(srv, now_ns);
	if (srv->n_idle || !srv->sched.n_waiting)
		return false;
	slack = slack_ns(srv, now_ns);
	return slack != INT64_MAX && (double)slack < next_us * srv->governor.predictor.ratio * 1e3;
}

static enum ne_exit_choice on_pass(void *user, uint32_t depth)
{
	struct run *run = user;
	struct request *rq = run->rq;
	struct server *srv = run->worker->server;
	int64_t now = server_now_ns();
	int here = level_at(run, depth);
	bool floor_kept, stop = false;
	double next;

	if (__atomic_load_n(&rq->session->ended, __ATOMIC_RELAXED))
		return NE_EXIT_STOP; /* nobody waits for the answer */
	if (here < 0)
		return NE_EXIT_CONTINUE; /* the file does not know this point */
	next = next_part_us(run, depth, here);
	if (next < 0)
		return NE_EXIT_CONTINUE;
	floor_kept = run->version->level[here].accuracy >= rq->min_accuracy;

	pthread_mutex_lock(&srv->lock);
	if (!ne_governor_go_on(&srv->governor, next, left_us(run, now), now / 1000, &run->reason)) {
		/* The floor wins over energy and CPU, not over time. */
		stop = floor_kept || run->reason == NE_REASON_TIME;
	} else if (floor_kept && others_need_worker(srv, next, now)) {
		run->reason = NE_REASON_TIME;
		stop = true;
	}
	pthread_mutex_unlock(&srv->lock);
	if (stop) {
		run->below_floor = !floor_kept;
		return NE_EXIT_STOP;
	}
	run->reason = run->decision.reason;
	return floor_kept && run->confidence <= 1 ? NE_EXIT_LOOK : NE_EXIT_CONTINUE;
}

static bool on_seen(void *user, uint32_t depth, float top)
{
	struct run *run = user;

	(void)depth;
	if (!(top >= run->confidence))
		return false;
	run->reason = NE_REASON_CONFIDENCE;
	return true;
}

/* ---- one request ---- */

/*
 * Time that the governor has to leave for those who wait: what this request has, less how long the
 * others can be kept waiting. It never takes so much that not even the smallest level would fit,
 * where the request alone would have fitted.
 */
static int64_t backlog_us(struct server *srv, const struct run *run, int64_t left, int64_t now_ns)
{
	int64_t slack, least = 2 * (int64_t)run->version->least_us;

	if (!srv->sched.n_waiting || srv->n_idle)
		return 0;
	slack = slack_ns(srv, now_ns);
	if (slack == INT64_MAX)
		return 0;
	slack = NE_MAX(slack / 1000, least);
	if (left == NE_GOV_NO_DEADLINE || slack >= left)
		return 0;
	return NE_MIN(left - slack, NE_MAX(left - least, 0));
}

/* With the lock held. */
static void decide(struct server *srv, struct run *run, int64_t now_ns)
{
	const struct request *rq = run->rq;
	int64_t wait_us = (now_ns - rq->taken_ns) / 1000;
	uint32_t latency_us;
	struct ne_gov_request gr = {
		.waited_us = wait_us,
		.min_accuracy = rq->min_accuracy,
		.strict = rq->strict,
	};

	/* a stream that goes on stays at its level */
	const struct stream *st = rq->stream && rq->stream->begun && !rq->anew &&
						  rq->stream->generation == run->version->generation
					  ? rq->stream
					  : NULL;

	server_follow_state(srv, now_ns / 1000);
	latency_us = srv->governor.budget.latency_us;
	run->latency_end_ns = latency_us ? rq->taken_ns + (int64_t)latency_us * 1000 : INT64_MAX;
	gr.left_us = rq->deadline_ns == SCHED_NO_DEADLINE ? NE_GOV_NO_DEADLINE
							  : (rq->deadline_ns - now_ns) / 1000;
	gr.backlog_us = backlog_us(srv, run, left_us(run, now_ns), now_ns);
	ne_governor_decide(&srv->governor, run->version->level + (st ? st->level : 0),
			   st ? 1 : run->version->n_level, &gr, now_ns / 1000, &run->decision);
	if (st)
		run->decision.level = st->level;
	run->reason = run->decision.reason;
}

/* Others may be needed for what waits, or for what comes during a long run. With the lock held;
 * true: kick one after unlocking. */
static bool share_work(struct server *srv, double run_us)
{
	if (!srv->n_idle || run_us < LONG_RUN_US)
		return false;
	if (srv->sched.n_waiting)
		return true;
	return !put_to_sleep(srv);
}

/*
 * Into memory that others write too: the client, and another worker if the client gave two requests
 * one place. Whole words, so that nothing here depends on who wins; offsets and block sizes are
 * multiples of 64.
 */
static void copy_out(void *to, const void *from, uint64_t bytes)
{
	uint64_t *dst = to;
	const uint64_t *src = from;

	for (uint64_t i = 0; i < bytes / sizeof(*dst); i++)
		__atomic_store_n(&dst[i], src[i], __ATOMIC_RELAXED);
}

static int compute(struct run *run, struct ne_result *result)
{
	const struct model_io *io = &run->version->io;
	struct model_worker *mine = &run->version->worker[run->worker->index];
	const struct ne_hooks hooks = {.user = run, .pass = on_pass, .seen = on_seen};
	const struct request *rq = run->rq;
	const char *in_block = (const char *)rq->in->map.addr + rq->in_offset;
	const void *in[NEAP_WIRE_MAX_IO];
	void *out[NEAP_WIRE_MAX_IO];
	int r;

	for (uint32_t i = 0; i < io->n_in; i++)
		in[i] = in_block + io->io[i].offset;
	for (uint32_t i = 0; i < io->n_out; i++)
		out[i] = mine->scratch + io->io[io->n_in + i].offset;
	if (rq->stream) {
		NE_RETURN_IF(stream_prepare(rq->stream, run->version, rq->anew));
		ne_context_set_state(mine->context, rq->stream->state);
	}
	r = ne_run(run->version->program, mine->context, run->decision.level, in, out, &hooks,
		   result);
	if (rq->stream) {
		ne_context_set_state(mine->context, NULL);
		run->began = r >= 0 && !rq->stream->begun;
		rq->stream->begun |= r >= 0;
		rq->stream->level = run->decision.level;
	}
	/* Only now: the client never sees half an answer, nor one that nobody asked for any more. */
	if (r >= 0 && !__atomic_load_n(&rq->session->ended, __ATOMIC_RELAXED))
		copy_out((char *)rq->out->map.addr + rq->out_offset, mine->scratch, io->out_bytes);
	return r;
}

static uint16_t per_10000(float share)
{
	return share > 0 && share <= 1 ? (uint16_t)lroundf(share * 10000) : 0;
}

static void describe_answer(const struct run *run, const struct ne_result *result,
			    struct neap_cqe *cqe)
{
	int level = result->depth == run->version->level[run->decision.level].depth
			    ? (int)run->decision.level
			    : level_at(run, result->depth);
	const struct ne_gov_level *l;

	level = level < 0 ? (int)run->decision.level : level;
	l = &run->version->level[level];
	cqe->level = (uint16_t)level;
	cqe->depth = (uint16_t)result->depth;
	cqe->width_permille = l->width_permille;
	cqe->reason = (uint8_t)run->reason;
	cqe->flags = run->decision.degraded || run->below_floor ? NEAP_CQE_DEGRADED : 0;
	cqe->flags |= run->began ? NEAP_CQE_BEGAN : 0;
	cqe->accuracy =
		per_10000(ne_program_level(run->version->program, (uint32_t)level)->accuracy);
	cqe->confidence = per_10000(result->top);
	cqe->top_index = result->top_index;
	cqe->energy_uj = (uint32_t)fmin(run->run_us * (double)l->energy_uj / (double)l->time_us,
					(double)UINT32_MAX);
}

static uint32_t to_us(int64_t ns)
{
	return (uint32_t)NE_CLAMP((ns + 500) / 1000, 0, (int64_t)UINT32_MAX);
}

/* Counts and posts; with the lock held. True: the client wants to be woken. */
static bool finish(struct server *srv, struct run *run, struct neap_cqe *cqe)
{
	struct request *rq = run->rq;
	int64_t now_us = (int64_t)(cqe->done_ns / 1000);
	struct metrics_outcome o = {
		.status = cqe->status,
		.level = cqe->level,
		.reason = cqe->reason,
		.degraded = cqe->flags & NEAP_CQE_DEGRADED,
		.has_deadline = rq->deadline_ns != SCHED_NO_DEADLINE,
		.queue_us = cqe->queue_us,
		.run_us = cqe->run_us,
		.energy_uj = cqe->energy_uj,
	};
	struct session *s = rq->session;
	bool wake;

	if (rq->deadline_ns < (int64_t)cqe->done_ns && cqe->status == 0)
		cqe->flags |= NEAP_CQE_LATE;
	o.late = cqe->flags & NEAP_CQE_LATE;
	if (cqe->status == 0) {
		ne_governor_account(&srv->governor, (double)run->version->level[cqe->level].time_us,
				    run->run_us, cqe->energy_uj, now_us);
		srv->metrics.answered++;
	} else {
		srv->metrics.failed++;
	}
	srv->metrics.late += o.late;
	srv->metrics.degraded += o.degraded;
	srv->metrics.with_deadline += o.has_deadline;
	metrics_model_add(rq->model->metrics, &o, now_us);
	metrics_session_add(&s->metrics, &o, now_us);
	sched_charge(&s->rings.queue, run->run_us);
	wake = rings_post(s, cqe);
	srv->metrics.wakes += wake;
	/* There is room again: what waits in the ring for it is looked at without a doorbell. */
	rings_stay_awake(s);
	return wake;
}

/* A request got its stream, or none, when it was taken; the model may have been replaced since. With
 * the lock held. */
static int check_stream(const struct run *run)
{
	if (!run->rq->stream)
		return ne_program_states(run->version->program) ? -ESTALE : 0;
	return stream_charge(run->rq->stream, run->version);
}

/* Serves @rq; called and returns with the lock held. */
static void serve(struct worker *w, struct request *rq)
{
	struct server *srv = w->server;
	struct session *s = session_ref(rq->session);
	struct run run = {.worker = w, .rq = rq};
	struct neap_cqe cqe = {.user_data = rq->user_data};
	struct ne_result result = {0};
	struct request_references held;
	int64_t start = server_now_ns(), end = start;
	bool kick, wake, quiet, strict = false, owned = false;

	cqe.queue_us = to_us(start - rq->taken_ns);
	if (!rq->model->current || rq->model->current->io.id != rq->io_id) {
		cqe.status = -ESTALE;
	} else {
		run.version = model_version_ref(rq->model->current);
		cqe.generation = run.version->generation;
		cqe.status = check_stream(&run);
	}
	if (cqe.status == 0) {
		decide(srv, &run, start);
		cqe.status = run.decision.error;
	}
	if (cqe.status == 0) {
		run.confidence = rq->confidence > 0 ? rq->confidence : run.version->confidence;
		if (!(run.confidence > 0))
			run.confidence = 2; /* never */
		kick = share_work(srv, run.decision.predicted_us);
		pthread_mutex_unlock(&srv->lock);
		__atomic_store_n(&w->busy_since_us, start / 1000, __ATOMIC_RELAXED);
		if (kick)
			workers_kick(srv);
		start = server_now_ns();
		strict = rq->in->own != NULL;
		owned = strict && device_buffer_own(rq->in->own);
		cqe.status = compute(&run, &result);
		if (owned)
			device_buffer_disown(rq->in->own);
		end = server_now_ns();
		__atomic_store_n(&w->busy_since_us, 0, __ATOMIC_RELAXED);
		pthread_mutex_lock(&srv->lock);
		srv->metrics.owned += owned;
		srv->metrics.own_refused += strict && !owned;
		cqe.run_us = to_us(end - start);
		cqe.run_ns = (uint32_t)NE_CLAMP(end - start, 0, (int64_t)UINT32_MAX);
		run.run_us = (double)(end - start) * 1e-3;
		if (cqe.status == 0)
			describe_answer(&run, &result, &cqe);
	}
	cqe.done_ns = (uint64_t)end;
	wake = finish(srv, &run, &cqe);
	if (rq->stream)
		stream_end_turn(rq->stream);
	rings_release(rq, &held);
	quiet = srv->quiet;
	srv->quiet = false;
	pthread_mutex_unlock(&srv->lock);
	if (wake)
		session_wake(s);
	if (quiet)
		loop_wake(srv->loop);
	request_references_drop(&held);
	model_version_unref(run.version);
	session_unref(s);
	pthread_mutex_lock(&srv->lock);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct server *srv = w->server;
	struct sched_queue *queue;

	pthread_mutex_lock(&srv->lock);
	for (;;) {
		struct sched_item *item;

		pump(srv, server_now_ns());
		item = sched_pick(&srv->sched, &queue);
		if (item)
			serve(w, (struct request *)(void *)item);
		else if (srv->stopping)
			break;
		else if (put_to_sleep(srv))
			wait_for_doorbell(w);
		else
			give_way(srv);
	}
	pthread_mutex_unlock(&srv->lock);
	workers_kick(srv); /* the next one */
	return NULL;
}

/* ---- life ---- */

static int start_one(struct worker *w, const pthread_attr_t *attr)
{
	sigset_t all, old;
	int r;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&w->thread, attr, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r >= 0)
		pthread_setname_np(w->thread, "neapd-worker");
	return r;
}

int workers_start(struct server *srv, unsigned n, struct ne_error *err)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = 0};
	pthread_attr_t attr;
	int r = 0;

	srv->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	srv->doorbells = epoll_create1(EPOLL_CLOEXEC);
	if (srv->kick_fd < 0 || srv->doorbells < 0 ||
	    epoll_ctl(srv->doorbells, EPOLL_CTL_ADD, srv->kick_fd, &ev) < 0)
		return ne_fail(err, errno, "doorbells: %s", strerror(errno));
	srv->worker = calloc(n, sizeof(*srv->worker));
	if (!srv->worker)
		return ne_fail(err, ENOMEM, "no memory for %u workers", n);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (unsigned i = 0; i < n && r >= 0; i++) {
		srv->worker[i].server = srv;
		srv->worker[i].index = i;
		r = start_one(&srv->worker[i], &attr);
		if (r >= 0) {
			pthread_mutex_lock(&srv->lock);
			srv->n_worker++;
			pthread_mutex_unlock(&srv->lock);
		}
	}
	pthread_attr_destroy(&attr);
	return r < 0 ? ne_fail(err, -r, "thread: %s", strerror(-r)) : 0;
}

void workers_stop(struct server *srv)
{
	pthread_mutex_lock(&srv->lock);
	srv->stopping = true;
	pthread_mutex_unlock(&srv->lock);
	if (srv->n_worker)
		workers_kick(srv);
	for (unsigned i = 0; i < srv->n_worker; i++)
		pthread_join(srv->worker[i].thread, NULL);
	free(srv->worker);
	srv->worker = NULL;
	srv->n_worker = 0;
	if (srv->doorbells >= 0)
		close(srv->doorbells);
	if (srv->kick_fd >= 0)
		close(srv->kick_fd);
	srv->doorbells = srv->kick_fd = -1;
}

int64_t workers_longest_us(const struct server *srv)
{
	int64_t now = loop_now_us(), longest = 0;

	for (unsigned i = 0; i < srv->n_worker; i++) {
		int64_t since = __atomic_load_n(&srv->worker[i].busy_since_us, __ATOMIC_RELAXED);

		if (since)
			longest = NE_MAX(longest, now - since);
	}
	return longest;
}
