// SPDX-License-Identifier: GPL-2.0-only
/*
 * Three hostile clients (user nobody) and a server do at random whatever the module and the kernel
 * let them do to buffers, while their parent kills one now and then:
 *
 *	fuzz_ioctl [--seconds N] [--seed N]
 *
 * The test is that the kernel finds nothing to complain about (the caller reads its log) and that at
 * the end no byte is charged, no buffer is left and a server and a client can work. Timing differs
 * from run to run; the seed repeats what each process tries, not how they meet.
 */
#include "kselftest.h"
#include "neap_test.h"

#include <linux/dma-buf.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#define N_PROCS 4 /* the first is the server */
#define N_FDS   12
#define N_MAPS  12
#define N_OPS   24

struct map {
	unsigned char *p;
	size_t bytes;
};

struct proc {
	uint64_t rng;
	bool server;
	int device, mail, pipes[2];
	int fds[N_FDS];
	struct map maps[N_MAPS];
};

/* How often each operation was tried and how often it succeeded: shared with the parent. */
static struct {
	unsigned long tried[2][N_OPS], done[2][N_OPS];
} * counts;

static uint32_t rnd(struct proc *p)
{
	p->rng ^= p->rng << 13;
	p->rng ^= p->rng >> 7;
	p->rng ^= p->rng << 17;
	return (uint32_t)(p->rng >> 32);
}

static uint32_t below(struct proc *p, uint32_t n)
{
	return rnd(p) % n;
}

/* ---- what may block, or end in a signal, ends after 50 ms ---- */

static void on_alarm(int sig)
{
	siglongjmp(fault_jump, sig);
}

/* Reads or writes; the signal that ended it, or 0. */
static int dare(volatile unsigned char *p, bool write)
{
	struct itimerval soon = {.it_value = {.tv_usec = 50000}}, never = {0};
	int sig = sigsetjmp(fault_jump, 1);

	if (!sig) {
		setitimer(ITIMER_REAL, &soon, NULL);
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	return sig;
}

static void catch_signals(void)
{
	static const int signals[] = {SIGBUS, SIGSEGV, SIGALRM};
	struct sigaction sa = {.sa_handler = on_alarm};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- descriptors and mappings ---- */

static int any_fd(struct proc *p)
{
	return p->fds[below(p, N_FDS)];
}

static bool keep_fd(struct proc *p, int fd)
{
	int i = (int)below(p, N_FDS);

	if (fd < 0)
		return false;
	if (p->fds[i] >= 0)
		close(p->fds[i]);
	p->fds[i] = fd;
	return true;
}

static struct map *any_map(struct proc *p)
{
	return &p->maps[below(p, N_MAPS)];
}

static bool mail_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &m, MSG_DONTWAIT) == 1;
}

static int mailed_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* ---- operations of both: true where it succeeded ---- */

/* Any number, size and direction, and an argument that is garbage, read-only, or nowhere. */
static bool op_garbage(struct proc *p)
{
	uint64_t words[20];
	uint32_t nr = below(p, 8), dir = below(p, 4),
		 size = below(p, 3) ? 8 * below(p, 20) : rnd(p);
	unsigned long cmd = _IOC(dir, NEAP_IOC_MAGIC, nr, size & _IOC_SIZEMASK);
	void *args[] = {words,
			NULL,
			(void *)1,
			(void *)-4096ul,
			(void *)op_garbage,
			any_map(p)->p,
			(char *)words + 1};

	for (size_t i = 0; i < 20; i++)
		words[i] = below(p, 2) ? below(p, 64) : (uint64_t)rnd(p) << 32 | rnd(p);
	if (below(p, 2))
		memcpy(words, &(int){any_fd(p)}, sizeof(int));
	/* An argument that comes from a buffer may block: the kernel waits as the process would. */
	if (below(p, 16) == 0)
		cmd = rnd(p);
	return ioctl(below(p, 8) ? p->device : any_fd(p), cmd,
		     args[below(p, 5 + (p->server ? 1 : 0))]) >= 0;
}

static bool op_query(struct proc *p)
{
	struct neap_query q;

	return ioctl(p->device, NEAP_IOC_QUERY, &q) == 0;
}

static bool op_mmap(struct proc *p)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				    PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC};
	struct map *m = any_map(p);
	size_t bytes = (1 + below(p, 40)) * PAGE;
	int flags = below(p, 8) ? MAP_SHARED : MAP_PRIVATE;
	void *at;

	if (below(p, 6) == 0)
		flags |= MAP_LOCKED;
	at = mmap(NULL, bytes, prots[below(p, 5)], flags, any_fd(p),
		  (off_t)(below(p, 4) ? 0 : below(p, 20) * PAGE));
	if (at == MAP_FAILED)
		return false;
	if (m->p)
		munmap(m->p, m->bytes);
	*m = (struct map){at, bytes};
	return true;
}

static bool op_munmap(struct proc *p)
{
	struct map *m = any_map(p);
	size_t part;

	if (!m->p)
		return false;
	part = below(p, 2) ? m->bytes : (1 + below(p, (uint32_t)(m->bytes / PAGE))) * PAGE;
	munmap(m->p, part);
	m->p = part < m->bytes ? m->p + part : NULL;
	m->bytes -= part;
	return true;
}

static bool op_mprotect(struct proc *p)
{
	struct map *m = any_map(p);

	return m->p && mprotect(m->p, (1 + below(p, (uint32_t)(m->bytes / PAGE))) * PAGE,
				(int)below(p, 8)) == 0;
}

/* Every advice but those that poison memory of the machine. */
static bool op_madvise(struct proc *p)
{
	static const int advice[] = {0,  1,  2,  3,  4,  8,  9,  10, 11, 12, 13,
				     14, 15, 16, 17, 18, 19, 20, 21, 24, 25};
	struct map *m = any_map(p);
	int a = advice[below(p, sizeof(advice) / sizeof(advice[0]))];

	/* Populating waits for an owned buffer, and only a kill ends that. */
	if ((a == 22 || a == 23) && !p->server)
		return false;
	return m->p && madvise(m->p, m->bytes, a) == 0;
}

static bool op_mremap(struct proc *p)
{
	struct map *m = any_map(p);
	size_t bytes = below(p, 3) ? m->bytes : (1 + below(p, 64)) * PAGE;
	void *at;

	if (!m->p)
		return false;
	at = mremap(m->p, below(p, 8) ? m->bytes : 0, bytes, below(p, 2) ? MREMAP_MAYMOVE : 0);
	if (at == MAP_FAILED)
		return false;
	*m = (struct map){at, bytes};
	return true;
}

static bool op_touch(struct proc *p)
{
	struct map *m = any_map(p);

	return m->p && dare(m->p + below(p, (uint32_t)m->bytes), below(p, 2)) == 0;
}

static bool op_close(struct proc *p)
{
	int i = (int)below(p, N_FDS);

	if (p->fds[i] < 0)
		return false;
	close(p->fds[i]);
	p->fds[i] = -1;
	return true;
}

static bool op_dup(struct proc *p)
{
	return keep_fd(p, dup(any_fd(p)));
}

static bool op_send(struct proc *p)
{
	int fd = any_fd(p);

	return fd >= 0 && mail_fd(p->mail, fd);
}

static bool op_receive(struct proc *p)
{
	return keep_fd(p, mailed_fd(p->mail));
}

static bool op_splice(struct proc *p)
{
	struct map *m = any_map(p);
	struct iovec iov = {m->p, m->bytes};
	struct itimerval soon = {.it_value = {.tv_usec = 50000}}, never = {0};
	volatile bool done = false;

	if (!m->p || (!p->server && below(p, 8)))
		return false;
	if (!sigsetjmp(fault_jump, 1)) {
		setitimer(ITIMER_REAL, &soon, NULL);
		done = vmsplice(p->pipes[1], &iov, 1, SPLICE_F_NONBLOCK) > 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	return done;
}

static bool op_drain(struct proc *p)
{
	char bytes[4096];
	bool any = false;

	while (read(p->pipes[0], bytes, sizeof(bytes)) > 0)
		any = true;
	return any;
}

/* A child with what was inherited, sometimes also a mapping, which touches, maps and goes. */
static bool op_fork(struct proc *p)
{
	struct map *m = any_map(p);
	int status;
	pid_t pid;

	if (below(p, 4))
		return false;
	if (m->p && below(p, 2))
		madvise(m->p, m->bytes, MADV_DOFORK);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < 8; i++) {
			op_touch(p);
			op_mmap(p);
			op_munmap(p);
		}
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid;
}

static bool op_dmabuf(struct proc *p)
{
	struct dma_buf_sync s = {.flags = below(p, 8)};
	struct pollfd pfd = {.fd = any_fd(p), .events = POLLIN | POLLOUT};
	int fd = any_fd(p);

	ioctl(fd, DMA_BUF_SET_NAME_B, "fuzz");
	poll(&pfd, 1, 0);
	lseek(fd, 0, (int)below(p, 3));
	if (below(p, 4) == 0)
		ftruncate(fd, 0);
	return ioctl(fd, DMA_BUF_IOCTL_SYNC, &s) == 0;
}

static bool op_lock(struct proc *p)
{
	struct map *m = any_map(p);

	if (!m->p)
		return false;
	munlock(m->p, m->bytes);
	return syscall(SYS_remap_file_pages, m->p, m->bytes, 0, below(p, 4), 0) == 0;
}

/* Another process's view of the mapping: must not wait for ever. */
static bool op_peek(struct proc *p)
{
	struct map *m = any_map(p);
	char bytes[64];
	struct iovec local = {bytes, sizeof(bytes)}, remote = {m->p, sizeof(bytes)};

	return p->server && m->p && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) > 0;
}

static bool op_sysfs(struct proc *p)
{
	static const char *const names[] = {"buffers/used_bytes", "buffers/peak_bytes",
					    "supply/charge_permille", "budget/latency_us"};
	const char *name = names[below(p, 4)];

	if (p->server && below(p, 2))
		return write_sysfs_number("budget/latency_us", below(p, 100)) == 0;
	return read_sysfs(name) >= 0;
}

/* ---- of clients ---- */

static bool op_alloc(struct proc *p)
{
	struct neap_buf_alloc a = {.bytes = (1 + below(p, 40)) * PAGE};

	if (below(p, 16) == 0)
		a.bytes = (uint64_t)rnd(p) << below(p, 32);
	if (below(p, 32) == 0)
		a.bytes = 3 << 20;
	if (below(p, 64) == 0)
		a.flags = rnd(p);
	return ioctl(p->device, NEAP_IOC_BUF_ALLOC, &a) == 0 && keep_fd(p, a.fd);
}

/* ---- of the server ---- */

static bool op_info(struct proc *p)
{
	struct neap_buf_info info = {.fd = any_fd(p)};

	return ioctl(p->device, NEAP_IOC_BUF_INFO, &info) == 0;
}

/* Takes it, holds it for a moment, gives it back but for once in a while. */
static bool op_own(struct proc *p)
{
	int fd = any_fd(p);

	if (set_owner(p->device, fd, NEAP_OWNER_SERVER))
		return false;
	usleep(below(p, 2000));
	if (below(p, 16))
		set_owner(p->device, fd, NEAP_OWNER_CLIENT);
	return true;
}

static bool op_give_back(struct proc *p)
{
	return set_owner(p->device, any_fd(p), NEAP_OWNER_CLIENT) == 0;
}

static bool op_revoke(struct proc *p)
{
	return below(p, 2) == 0 && revoke_buf(p->device, any_fd(p)) == 0;
}

static bool op_reopen(struct proc *p)
{
	if (below(p, 2))
		return false;
	/* A mapping of the state page holds the node as a descriptor does. */
	for (int i = 0; i < N_MAPS; i++) {
		if (p->maps[i].p)
			munmap(p->maps[i].p, p->maps[i].bytes);
		p->maps[i].p = NULL;
	}
	close(p->device);
	while ((p->device = open_server()) < 0)
		usleep(1000); /* a child that was forked off holds the last one for a moment */
	return true;
}

static bool op_state_page(struct proc *p)
{
	struct map *m = any_map(p);
	void *at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, p->device, 0);

	if (at == MAP_FAILED)
		return false;
	if (m->p)
		munmap(m->p, m->bytes);
	*m = (struct map){at, PAGE};
	return true;
}

static bool op_import(struct proc *p)
{
	char text[16];
	int file = open("/sys/kernel/debug/neap_import", O_WRONLY | O_CLOEXEC), n;
	bool done;

	if (file < 0)
		return false;
	n = snprintf(text, sizeof(text), "%d", any_fd(p));
	done = write(file, text, (size_t)n) > 0;
	close(file);
	return done;
}

struct op {
	const char *name;
	bool (*fn)(struct proc *p);
	bool must_succeed; /* at least once in a run, or the fuzzer tests nothing */
};

#define COMMON                                                                                     \
	{"garbage", op_garbage, false}, {"query", op_query, true}, {"mmap", op_mmap, true},        \
		{"munmap", op_munmap, true}, {"mprotect", op_mprotect, true},                      \
		{"madvise", op_madvise, true}, {"mremap", op_mremap, false},                       \
		{"touch", op_touch, true}, {"touch", op_touch, true}, {"close", op_close, true},   \
		{"dup", op_dup, true}, {"send", op_send, true}, {"receive", op_receive, true},     \
		{"vmsplice", op_splice, true}, {"drain", op_drain, true}, {"fork", op_fork, true}, \
		{"dma-buf", op_dmabuf, true}, {"remap", op_lock, false}, {"peek", op_peek, false}, \
	{                                                                                          \
		"sysfs", op_sysfs, true                                                            \
	}

static const struct op client_ops[] = {
	COMMON, {"alloc", op_alloc, true}, {"alloc", op_alloc, true}};
static const struct op server_ops[] = {
	COMMON, {"info", op_info, true}, {"own", op_own, true}, {"give back", op_give_back, true}};
/* The server's rarer ones: tried beside the above, each one time in 32. */
static const struct op server_rare[] = {{"revoke", op_revoke, true},
					{"reopen", op_reopen, true},
					{"state page", op_state_page, true},
					{"import", op_import, false}};

#define N_CLIENT (sizeof(client_ops) / sizeof(client_ops[0]))
#define N_SERVER (sizeof(server_ops) / sizeof(server_ops[0]))
#define N_RARE   (sizeof(server_rare) / sizeof(server_rare[0]))
static unsigned long (*rare_done)[N_RARE];

static void child_main(struct proc *p)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	catch_signals();
	for (int i = 0; i < N_FDS; i++)
		p->fds[i] = -1;
	if (pipe2(p->pipes, O_NONBLOCK | O_CLOEXEC))
		_exit(1);
	if (p->server) {
		while ((p->device = open_server()) < 0)
			usleep(1000);
	} else {
		p->device = open_client();
		if (p->device < 0 || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
	}
	for (;;) {
		uint32_t i = below(p, p->server ? N_SERVER : N_CLIENT);
		const struct op *op = p->server ? &server_ops[i] : &client_ops[i];

		__atomic_fetch_add(&counts->tried[p->server][i], 1, __ATOMIC_RELAXED);
		if (op->fn(p))
			__atomic_fetch_add(&counts->done[p->server][i], 1, __ATOMIC_RELAXED);
		if (p->server && below(p, 8) == 0) {
			i = below(p, N_RARE);
			if (server_rare[i].fn(p))
				__atomic_fetch_add(&(*rare_done)[i], 1, __ATOMIC_RELAXED);
		}
	}
}

static pid_t start(int i, uint64_t seed, unsigned generation, const int mail[2])
{
	pid_t pid = fork();

	if (!pid) {
		/* The server holds one end and the clients the other. */
		struct proc p = {.rng = seed * 0x9e3779b97f4a7c15ull ^
					(uint64_t)(i + 1) * 0xbf58476d1ce4e5b9ull ^
					((uint64_t)generation << 20),
				 .server = i == 0,
				 .mail = mail[i == 0]};

		child_main(&p);
	}
	return pid;
}

static void run(uint64_t seed, long seconds, const int mail[2])
{
	struct proc parent = {.rng = seed | 1};
	unsigned generation = 0;
	pid_t pids[N_PROCS];
	time_t end = time(NULL) + seconds;

	for (int i = 0; i < N_PROCS; i++)
		pids[i] = start(i, seed, generation++, mail);
	while (time(NULL) < end) {
		int i = (int)below(&parent, N_PROCS);

		usleep(200000 + below(&parent, 3000000));
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
		pids[i] = start(i, seed, generation++, mail);
	}
	for (int i = 0; i < N_PROCS; i++)
		kill(pids[i], SIGKILL);
	for (int i = 0; i < N_PROCS; i++)
		waitpid(pids[i], NULL, 0);
	printf("# %u processes were started\n", generation);
}

/* What fails to succeed among the first @n_common is not a failure: the clients do them too. */
static bool report(const char *who, const struct op *ops, size_t n, const unsigned long *tried,
		   const unsigned long *done, size_t n_common)
{
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		printf("# %s: %s: %lu done of %lu\n", who, ops[i].name, done[i],
		       tried ? tried[i] : done[i]);
		if (i >= n_common && ops[i].must_succeed && !done[i]) {
			printf("# %s: %s never succeeded\n", who, ops[i].name);
			ok = false;
		}
	}
	return ok;
}

static bool all_is_back(void)
{
	int client = open_client(), server = open_server(), fd = alloc_buf(client, PAGE);
	bool ok = client >= 0 && server >= 0 && fd >= 0;

	if (!ok)
		printf("# afterwards: client %d, server %d, buffer %d\n", client, server, fd);
	close(fd);
	close(server);
	close(client);
	if (!wait_sysfs("buffers/used_bytes", 0, 10000) || !wait_sysfs("buffers/count", 0, 1000)) {
		printf("# afterwards: %lld bytes in %lld buffers are left\n",
		       read_sysfs("buffers/used_bytes"), read_sysfs("buffers/count"));
		ok = false;
	}
	return ok;
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	uint64_t v = text ? strtoull(text, &end, 0) : 0;

	if (!text || *end || end == text) {
		fprintf(stderr, "fuzz_ioctl: %s takes a number\n", option);
		exit(2);
	}
	return v;
}

int main(int argc, char **argv)
{
	uint64_t seed = 0, seconds = 10;
	bool ok;
	int mail[2];

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return KSFT_FAIL;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = number(argv[i], argv[i + 1]), i++;
		else if (!strcmp(argv[i], "--seed"))
			seed = number(argv[i], argv[i + 1]), i++;
		else
			return fprintf(stderr, "usage: fuzz_ioctl [--seconds N] [--seed N]\n"), 2;
	}
	ksft_print_header();
	ksft_set_plan(1);
	printf("# seed %llu, %llu s\n", (unsigned long long)seed, (unsigned long long)seconds);
	fflush(stdout);
	counts = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, mail))
		return KSFT_FAIL;
	rare_done = (void *)((char *)counts + PAGE);
	if (access("/dev/neap", R_OK | W_OK))
		ksft_exit_skip("/dev/neap: %s\n", strerror(errno));

	run(seed, (long)seconds, mail);
	close(mail[0]); /* and with it the descriptors on their way */
	close(mail[1]);
	ok = report("client", client_ops, N_CLIENT, counts->tried[0], counts->done[0], 0);
	ok &= report("server", server_ops, N_SERVER, counts->tried[1], counts->done[1],
		     N_SERVER - 3);
	ok &= report("server", server_rare, N_RARE, NULL, *rare_done, 0);
	ok &= all_is_back();
	write_sysfs("budget/latency_us", "0");
	if (ok)
		ksft_test_result_pass("fuzz\n");
	else
		ksft_test_result_fail("fuzz\n");
	ksft_exit(ok);
}
