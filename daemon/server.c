/* SPDX-License-Identifier: MIT */
/*
 * Putting the parts together, and what the loop's thread does: accept, messages, budgets, models,
 * sensors, signals, the end.
 */
#include "daemon/server.h"
#include "daemon/listen.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/rings.h"
#include "daemon/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sensors: this often while requests come, and when none do. */
#define TICK_BUSY_US  200000
#define TICK_QUIET_US 5000000
/* A file that is being copied tells of itself several times: wait for the last. */
#define MODELS_SETTLE_US 50000
/* Full completion rings are looked at after this long, then twice that and so on. A client that
 * keeps to its ring's size never needs it. */
#define OVERFLOW_FIRST_US 1000
#define OVERFLOW_LAST_US  256000
#define STOP_POLL_US      5000
#define ACCEPT_TURN       16

/* ---- limits ---- */

int server_charge(struct server *srv, struct session *s, uint64_t bytes, struct ne_error *err)
{
	struct account *a = s->account;

	if (s->bytes + bytes > SESSION_MAX_BYTES)
		return ne_fail(err, EDQUOT, "a session has at most %llu MiB of memory",
			       (unsigned long long)(SESSION_MAX_BYTES >> 20));
	if (__atomic_load_n(&a->bytes, __ATOMIC_RELAXED) + bytes > SERVER_MAX_BYTES_PER_UID)
		return ne_fail(err, EDQUOT, "a user has at most %llu MiB of memory",
			       (unsigned long long)(SERVER_MAX_BYTES_PER_UID >> 20));
	if (__atomic_load_n(&srv->bytes, __ATOMIC_RELAXED) + bytes > SERVER_MAX_BYTES)
		return ne_fail(err, EDQUOT,
			       "the daemon's %llu MiB of memory for clients are used up",
			       (unsigned long long)(SERVER_MAX_BYTES >> 20));
	s->bytes += bytes;
	__atomic_fetch_add(&a->bytes, bytes, __ATOMIC_RELAXED);
	__atomic_fetch_add(&srv->bytes, bytes, __ATOMIC_RELAXED);
	return 0;
}

void server_uncharge(struct server *srv, struct account *a, uint64_t bytes)
{
	__atomic_fetch_sub(&a->bytes, bytes, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&srv->bytes, bytes, __ATOMIC_RELAXED);
}

static struct account *find_account(struct server *srv, uid_t uid)
{
	struct account *unused = NULL;

	for (unsigned i = 0; i < SERVER_MAX_SESSIONS; i++) {
		struct account *a = &srv->account[i];

		if (!a->sessions && !__atomic_load_n(&a->bytes, __ATOMIC_RELAXED))
			unused = unused ? unused : a;
		else if (a->uid == uid)
			return a;
	}
	if (unused)
		unused->uid = uid;
	return unused;
}

/* ---- sessions ---- */

static void remove_session(struct server *srv, struct session *s, int status, const char *text)
{
	session_end(s, status, text);
	pthread_mutex_lock(&srv->lock);
	srv->session[s->slot] = NULL;
	srv->n_session--;
	s->account->sessions--;
	pthread_mutex_unlock(&srv->lock);
	log_debug("session %llu: ended%s%s", (unsigned long long)s->id, text ? ": " : "",
		  text ? text : "");
	session_unref(s);
}

static void on_session(void *user, unsigned events)
{
	struct session *s = user;
	struct server *srv = s->server;
	struct ne_error why = {0};
	int r = 0;

	if (events & LOOP_READ)
		r = session_receive(s, &why);
	if (r >= 0 && (events & LOOP_HANGUP) && !(events & LOOP_READ))
		r = -ECONNRESET;
	if (r >= 0)
		return;
	if (why.text[0]) {
		pthread_mutex_lock(&srv->lock);
		srv->metrics.protocol_errors++;
		pthread_mutex_unlock(&srv->lock);
		log_warn("session %llu (%s, uid %u, pid %d): %s", (unsigned long long)s->id,
			 s->name, s->uid, (int)s->pid, why.text);
	}
	remove_session(srv, s, r, why.text[0] ? why.text : NULL);
}

/* Finds a place for the session; -EUSERS with the limit. */
static int admit(struct server *srv, struct session *s, struct ne_error *err)
{
	struct account *a;
	uint32_t slot = 0;
	int r = 0;

	pthread_mutex_lock(&srv->lock);
	a = find_account(srv, s->uid);
	while (slot < SERVER_MAX_SESSIONS && srv->session[slot])
		slot++;
	if (!a || slot == SERVER_MAX_SESSIONS) {
		r = ne_fail(err, EUSERS, "the daemon serves %u clients already",
			    SERVER_MAX_SESSIONS);
	} else if (a->sessions >= SERVER_MAX_SESSIONS_PER_UID) {
		r = ne_fail(err, EUSERS, "user %u has %u connections already", s->uid, a->sessions);
	} else {
		s->account = a;
		s->slot = slot;
		s->id = ++srv->next_session;
		a->sessions++;
		srv->session[slot] = s;
		srv->n_session++;
		srv->metrics.sessions++;
	}
	srv->metrics.sessions_refused += r < 0;
	pthread_mutex_unlock(&srv->lock);
	return r;
}

/*
 * Ends the sessions whose peers are gone already. A limit is reached by clients that live: hang-ups
 * that this turn of the loop has not come to yet must not keep a new client out.
 */
static unsigned reap_gone(struct server *srv)
{
	unsigned gone = 0;

	for (uint32_t i = 0; i < SERVER_MAX_SESSIONS; i++) {
		struct session *s = srv->session[i];
		struct pollfd p = {.fd = s ? s->fd : -1};

		if (s && poll(&p, 1, 0) == 1 && (p.revents & POLLHUP)) {
			remove_session(srv, s, -ECONNRESET, NULL);
			gone++;
		}
	}
	return gone;
}

static void greet(struct server *srv, int fd)
{
	struct ne_error err = {0};
	struct session *s;
	int r;

	if (session_new(srv, fd, &s) < 0)
		return;
	r = admit(srv, s, &err);
	if (r < 0 && reap_gone(srv) > 0)
		r = admit(srv, s, &err);
	if (r < 0) {
		log_warn("a connection of uid %u is refused: %s", s->uid, err.text);
		session_send_goodbye(fd, NEAP_MSG_GOODBYE, 0, -EUSERS, err.text);
		session_unref(s);
		return;
	}
	if (loop_add_fd(srv->loop, fd, LOOP_READ, on_session, s, &s->source) < 0)
		remove_session(srv, s, -ENOMEM, "the daemon is out of memory");
}

/* No descriptor is left: takes the connection with the one kept for this, and says so. */
static void refuse_one(struct server *srv)
{
	static const char text[] = "the daemon is out of file descriptors";
	int fd;

	if (srv->reserve_fd >= 0)
		close(srv->reserve_fd);
	fd = accept4(srv->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		session_send_goodbye(fd, NEAP_MSG_GOODBYE, 0, -EMFILE, text);
		close(fd);
	}
	srv->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	log_warn("a connection is refused: %s", text);
	pthread_mutex_lock(&srv->lock);
	srv->metrics.sessions_refused++;
	pthread_mutex_unlock(&srv->lock);
}

static void on_connect(void *user, unsigned events)
{
	struct server *srv = user;

	(void)events;
	for (int i = 0; i < ACCEPT_TURN; i++) {
		int fd = accept4(srv->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			greet(srv, fd);
		} else if (errno == EMFILE || errno == ENFILE) {
			refuse_one(srv);
		} else if (errno == ENOBUFS || errno == ENOMEM) {
			/* Level-triggered: without a pause this would spin until memory is there. */
			usleep(10000);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

/* ---- budgets, models, sensors ---- */

static void warn_budget(void *user, const char *text)
{
	(void)user;
	log_warn("budget: %s", text);
}

static void apply_budget(struct server *srv)
{
	pthread_mutex_lock(&srv->lock);
	ne_governor_set_budget(&srv->governor, budget_get(srv->budget), loop_now_us());
	pthread_mutex_unlock(&srv->lock);
}

static void on_budget(void *user, unsigned events)
{
	struct server *srv = user;

	(void)events;
	if (budget_refresh(srv->budget) > 0)
		apply_budget(srv);
}

static void on_models_dir(void *user, unsigned events)
{
	struct server *srv = user;

	(void)events;
	if (models_changed(srv->models))
		loop_timer_set(srv->models_timer, MODELS_SETTLE_US);
}

static void on_models_settled(void *user)
{
	struct server *srv = user;

	models_scan(srv->models);
}

static void read_sensors(struct server *srv)
{
	struct sensor_values v;

	sensors_read(srv->sensors, loop_now_us(), &v);
	pthread_mutex_lock(&srv->lock);
	srv->sensed = v;
	ne_governor_set_supply(&srv->governor, &v.supply, loop_now_us());
	pthread_mutex_unlock(&srv->lock);
}

/* The supply changed: the governor knows before the next request. */
static void on_sensors(void *user, unsigned events)
{
	(void)events;
	read_sensors(user);
}

static void on_tick(void *user)
{
	struct server *srv = user;
	uint64_t requests;

	read_sensors(srv);
	pthread_mutex_lock(&srv->lock);
	requests = srv->metrics.requests;
	srv->ticking = requests != srv->ticked_requests;
	srv->ticked_requests = requests;
	srv->quiet = !srv->ticking;
	pthread_mutex_unlock(&srv->lock);
	loop_timer_set(srv->tick_timer, srv->ticking ? TICK_BUSY_US : TICK_QUIET_US);
}

/* ---- full completion rings ---- */

static void on_overflow(void *user)
{
	struct server *srv = user;
	bool left = false, moved = false;

	pthread_mutex_lock(&srv->lock);
	for (uint32_t i = 0; i < SERVER_MAX_SESSIONS; i++) {
		struct session *s = srv->session[i];
		uint32_t before;

		if (!s || s->ended || !s->rings.n_overflow)
			continue;
		before = s->rings.n_overflow;
		if (rings_flush(s))
			session_wake(s);
		moved |= s->rings.n_overflow < before;
		left |= s->rings.n_overflow > 0;
		/* What waits in the ring for room is for the workers. */
		rings_stay_awake(s);
	}
	srv->overflow_seen = left;
	pthread_mutex_unlock(&srv->lock);
	if (moved)
		workers_kick(srv);
	srv->overflow_us =
		moved ? OVERFLOW_FIRST_US : NE_MIN(2 * srv->overflow_us, OVERFLOW_LAST_US);
	if (left)
		loop_timer_set(srv->overflow_timer, srv->overflow_us);
}

/* A worker asked for attention. */
static void on_wake(void *user)
{
	struct server *srv = user;
	bool overflow, was_ticking;

	pthread_mutex_lock(&srv->lock);
	overflow = srv->overflow_seen;
	was_ticking = srv->ticking;
	pthread_mutex_unlock(&srv->lock);
	if (overflow && srv->overflow_us == 0) {
		srv->overflow_us = OVERFLOW_FIRST_US;
		loop_timer_set(srv->overflow_timer, srv->overflow_us);
	} else if (overflow) {
		on_overflow(srv);
	} else {
		srv->overflow_us = 0;
	}
	if (!was_ticking)
		on_tick(srv);
}

/* ---- signals and the end ---- */

static void on_stop_timer(void *user)
{
	struct server *srv = user;
	uint32_t in_flight;

	pthread_mutex_lock(&srv->lock);
	in_flight = srv->in_flight;
	pthread_mutex_unlock(&srv->lock);
	if (in_flight && loop_now_us() < srv->drain_us + SERVER_DRAIN_US)
		loop_timer_set(srv->stop_timer, STOP_POLL_US);
	else
		loop_stop(srv->loop);
}

void server_drain(struct server *srv)
{
	if (srv->draining)
		return;
	pthread_mutex_lock(&srv->lock);
	srv->draining = true;
	log_info("draining: %u requests are in flight", srv->in_flight);
	pthread_mutex_unlock(&srv->lock);
	notify_state("STOPPING=1\nSTATUS=Finishing the requests accepted");
	loop_remove(srv->listen_source);
	srv->listen_source = NULL;
	srv->drain_us = loop_now_us();
	/* Not at once: the answer to "drain" goes out first. */
	loop_timer_set(srv->stop_timer, STOP_POLL_US);
}

static void reload(struct server *srv)
{
	struct ne_error err = {0};

	log_info("SIGHUP: looking at the configuration, models and budgets again");
	if (config_reload(srv->config, &err) < 0)
		log_error("configuration: %s; what was in force stays", err.text);
	log_set_level(srv->config->log_level);
	models_configure(srv->models, srv->config->active_power_mw, &srv->config->limits);
	models_rescan_all(srv->models);
	if (budget_refresh(srv->budget) > 0)
		apply_budget(srv);
	read_sensors(srv);
}

static void on_signal(void *user, unsigned events)
{
	struct server *srv = user;
	struct signalfd_siginfo si;

	(void)events;
	while (read(srv->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload(srv);
		else
			server_drain(srv);
	}
}

static void on_watchdog(void *user)
{
	struct server *srv = user;

	/* A worker that never comes back is as dead as a loop that does not. */
	if (workers_longest_us(srv) < 2 * srv->watchdog_us)
		notify_state("WATCHDOG=1");
	loop_timer_set(srv->watchdog_timer, srv->watchdog_us);
}

/* ---- life ---- */

static int open_signals(struct server *srv, struct ne_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return ne_fail(err, errno, "sigprocmask: %s", strerror(errno));
	srv->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (srv->signal_fd < 0)
		return ne_fail(err, errno, "signalfd: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int open_socket(struct server *srv, struct ne_error *err)
{
	int fd = notify_listen_fd(err);

	if (fd >= 0) {
		srv->listen_fd = fd;
		srv->listen_inherited = true;
		return 0;
	}
	if (fd != -ENOENT)
		return fd;
	return listen_open(srv->config->socket, SERVER_BACKLOG, &srv->listen_fd, err);
}

/* The module's where it is loaded, else our own. */
static int open_budget(struct server *srv, struct ne_error *err)
{
	const struct config *c = srv->config;
	struct ne_error why;
	char path[4096];

	if (snprintf(path, sizeof(path), "%s" BUDGET_SYSFS_DIR, c->sysroot ? c->sysroot : "") <
		    (int)sizeof(path) &&
	    access(path, F_OK) == 0) {
		if (budget_open(path, BUDGET_SYSFS, warn_budget, srv, &srv->budget, &why) >= 0) {
			srv->budget_by_module = !c->sysroot;
			return 0;
		}
		log_warn("the module's budgets are of no use: %s", why.text);
	}
	if (snprintf(path, sizeof(path), "%s/budget", c->runtime_dir) >= (int)sizeof(path))
		return ne_fail(err, ENAMETOOLONG, "the runtime directory's name is too long");
	return budget_open(path, BUDGET_FILES, warn_budget, srv, &srv->budget, err);
}

static int open_runtime(struct server *srv, struct ne_error *err)
{
	const struct config *c = srv->config;

	if (mkdir(c->runtime_dir, 0755) < 0 && errno != EEXIST)
		return ne_fail(err, errno, "runtime directory %.150s: %s", c->runtime_dir,
			       strerror(errno));
	NE_RETURN_IF(open_budget(srv, err));
	return sensors_new(c->sysroot ? c->sysroot : "", &srv->sensors, err);
}

static int open_models(struct server *srv, struct ne_error *err)
{
	struct models_config mc = {
		.n_dir = srv->config->n_model_dir,
		.workers = srv->config->workers,
		.active_power_mw = srv->config->active_power_mw,
		.limits = srv->config->limits,
	};

	for (unsigned i = 0; i < mc.n_dir; i++)
		mc.dir[i] = srv->config->model_dir[i];
	return models_new(&mc, &srv->lock, &srv->models, err);
}

static int add_sources(struct server *srv)
{
	struct loop *l = srv->loop;

	NE_RETURN_IF(loop_add_timer(l, on_models_settled, srv, &srv->models_timer));
	NE_RETURN_IF(loop_add_timer(l, on_tick, srv, &srv->tick_timer));
	NE_RETURN_IF(loop_add_timer(l, on_overflow, srv, &srv->overflow_timer));
	NE_RETURN_IF(loop_add_timer(l, on_watchdog, srv, &srv->watchdog_timer));
	NE_RETURN_IF(loop_add_timer(l, on_stop_timer, srv, &srv->stop_timer));
	NE_RETURN_IF(
		loop_add_fd(l, srv->signal_fd, LOOP_READ, on_signal, srv, &srv->signal_source));
	NE_RETURN_IF(
		loop_add_fd(l, srv->listen_fd, LOOP_READ, on_connect, srv, &srv->listen_source));
	if (budget_fd(srv->budget) >= 0)
		NE_RETURN_IF(loop_add_fd(l, budget_fd(srv->budget), LOOP_READ, on_budget, srv,
					 &srv->budget_source));
	if (sensors_fd(srv->sensors) >= 0)
		NE_RETURN_IF(loop_add_fd(l, sensors_fd(srv->sensors), LOOP_READ, on_sensors, srv,
					 &srv->sensors_source));
	if (models_fd(srv->models) >= 0)
		NE_RETURN_IF(loop_add_fd(l, models_fd(srv->models), LOOP_READ, on_models_dir, srv,
					 &srv->models_source));
	loop_on_wake(l, on_wake, srv);
	return 0;
}

static struct server *new_server(struct config *c)
{
	struct server *srv = calloc(1, sizeof(*srv));

	if (!srv)
		return NULL;
	srv->config = c;
	srv->listen_fd = srv->signal_fd = srv->doorbells = srv->kick_fd = -1;
	srv->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	srv->start_us = loop_now_us();
	srv->quiet = true;
	srv->state_seq = UINT32_MAX; /* odd: no state has it */
	pthread_mutex_init(&srv->lock, NULL);
	/* Unguessable is not needed, different from the one before is. */
	if (getrandom(&srv->instance, sizeof(srv->instance), GRND_NONBLOCK) !=
	    sizeof(srv->instance))
		srv->instance = (uint64_t)server_now_ns() ^ (uint64_t)getpid() << 32;
	ne_governor_init(&srv->governor, loop_now_us());
	return srv;
}

int server_new(struct config *c, struct server **ret, struct ne_error *err)
{
	struct server *srv = new_server(c);
	int r;

	if (!srv)
		return ne_fail(err, ENOMEM, "no memory");
	srv->transport = transport_pick(srv->transport_why, sizeof(srv->transport_why));
	r = sched_init(&srv->sched, SERVER_MAX_SESSIONS);
	if (r < 0) {
		ne_fail(err, -r, "no memory");
		goto fail;
	}
	if ((r = open_signals(srv, err)) < 0 || (r = loop_new(LOOP_AUTO, &srv->loop, err)) < 0 ||
	    (r = open_runtime(srv, err)) < 0 || (r = open_socket(srv, err)) < 0 ||
	    (r = open_models(srv, err)) < 0)
		goto fail;
	r = add_sources(srv);
	if (r < 0) {
		ne_fail(err, -r, "event loop: %s", strerror(-r));
		goto fail;
	}
	models_scan(srv->models);
	apply_budget(srv);
	r = workers_start(srv, c->workers, err);
	if (r < 0)
		goto fail;
	*ret = srv;
	return 0;
fail:
	server_free(srv);
	return r;
}

int server_run(struct server *srv)
{
	int64_t watchdog = notify_watchdog_us();
	int r;

	on_tick(srv);
	if (watchdog) {
		srv->watchdog_us = watchdog / 2;
		loop_timer_set(srv->watchdog_timer, srv->watchdog_us);
	}
	log_info("%s serves %s: %s loop (%s), %u workers, transport %s (%s)", NEAP_VERSION,
		 srv->listen_inherited ? "the service manager's socket" : srv->config->socket,
		 loop_name(srv->loop), loop_why(srv->loop), srv->n_worker, srv->transport->name,
		 srv->transport_why);
	notify_state("READY=1\nSTATUS=Serving, %s loop, transport %s", loop_name(srv->loop),
		     srv->transport->name);
	r = loop_run(srv->loop);
	if (r < 0)
		log_error("event loop: %s", strerror(-r));
	return r;
}

void server_free(struct server *srv)
{
	if (!srv)
		return;
	for (uint32_t i = 0; i < SERVER_MAX_SESSIONS; i++)
		if (srv->session[i])
			remove_session(srv, srv->session[i], -ESHUTDOWN, "neapd is stopping");
	workers_stop(srv);
	models_free(srv->models);
	sensors_free(srv->sensors);
	budget_close(srv->budget);
	loop_free(srv->loop);
	sched_done(&srv->sched);
	transport_done();
	if (srv->listen_fd >= 0) {
		if (!srv->listen_inherited)
			unlink(srv->config->socket);
		close(srv->listen_fd);
	}
	if (srv->signal_fd >= 0)
		close(srv->signal_fd);
	if (srv->reserve_fd >= 0)
		close(srv->reserve_fd);
	pthread_mutex_destroy(&srv->lock);
	free(srv);
}
