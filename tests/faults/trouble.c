/* SPDX-License-Identifier: MIT */
/*
 * trouble SYSCALL ERRNO FIRST LAST PROGRAM [ARGUMENT…] - runs a program in which one system call fails.
 *
 * From its FIRST to its LAST use, counted over all threads and children from the moment when the program says that
 * trouble may begin until it says that it is over (trouble.h). LAST 0: none fails, they are only counted. At the end a
 * line "calls N failed N", and the program's exit status (128 + its signal).
 *
 * A seccomp filter stops the program at that call alone, and a tracer gives the answer in the kernel's place: so it
 * works for a library as it is, and what the C library calls by itself fails too.
 */
#define _GNU_SOURCE
#include "trouble.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT = 77 };

#define NR(name)                  \
	{                         \
#name, SYS_##name \
	}

static const struct {
	const char *name;
	int nr;
} calls[] = {
	NR(mmap),           NR(munmap),       NR(mremap),         NR(madvise),
	NR(mprotect),       NR(mincore),      NR(getcpu),         NR(futex),
	NR(clone),          NR(clone3),       NR(openat),         NR(read),
	NR(write),          NR(close),        NR(fstat),          NR(newfstatat),
	NR(lseek),          NR(fcntl),        NR(memfd_create),   NR(ftruncate),
	NR(fallocate),      NR(getrandom),    NR(prctl),          NR(mbind),
	NR(get_mempolicy),  NR(rt_sigaction), NR(rt_sigprocmask), NR(sched_getaffinity),
	NR(membarrier),     NR(ppoll),        NR(gettid),         NR(getpid),
	NR(sched_yield),    NR(rseq),         NR(set_mempolicy),  NR(epoll_create1),
	NR(timerfd_create), NR(eventfd2),     NR(move_pages),     NR(process_madvise),
};

static const struct {
	const char *name;
	int number;
} errors[] = {
	{ "ENOMEM", ENOMEM }, { "EAGAIN", EAGAIN }, { "EINVAL", EINVAL }, { "ENOSYS", ENOSYS },
	{ "EMFILE", EMFILE }, { "EPERM", EPERM },   { "EINTR", EINTR },   { "EIO", EIO },
	{ "ENOSPC", ENOSPC }, { "EFAULT", EFAULT }, { "EBADF", EBADF },   { "EACCES", EACCES },
};

struct trouble {
	int nr, error;
	unsigned long first, last;
	bool on;
	unsigned long calls, failed;
};

static void die(const char *what)
{
	perror(what);
	_exit(CANNOT);
}

/* Stops at prctl(TROUBLE, …), and at the one call. */
static void filter(int nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TROUBLE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		die("trouble: no seccomp filter");
}

#if defined(__x86_64__)
static void at_call(struct trouble *t, pid_t tid)
{
	struct user_regs_struct regs;
	int nr;

	if (ptrace(PTRACE_GETREGS, tid, NULL, &regs))
		return;
	nr = (int)regs.orig_rax;
	if (nr == SYS_prctl && (unsigned int)regs.rdi == TROUBLE) {
		t->on = regs.rsi;
		return;
	}
	if (nr != t->nr || !t->on)
		return;
	/* To lose a wake-up is nothing that a kernel does; a wait may end for no reason at any time. */
	if (nr == SYS_futex && (regs.rsi & FUTEX_CMD_MASK) != FUTEX_WAIT &&
	    (regs.rsi & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET)
		return;
	if (++t->calls < t->first || t->calls > t->last)
		return;
	t->failed++;
	regs.orig_rax = (unsigned long)-1;
	regs.rax = (unsigned long)-(long)t->error;
	ptrace(PTRACE_SETREGS, tid, NULL, &regs);
}
#else
static void at_call(struct trouble *t, pid_t tid)
{
	(void)t;
	(void)tid;
	fprintf(stderr, "trouble: the registers of x86-64 only\n");
	_exit(CANNOT);
}
#endif

static int trace(struct trouble *t, pid_t program)
{
	const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
	int status, result = CANNOT;
	pid_t tid;

	if (waitpid(program, &status, 0) != program || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, program, NULL, options))
		die("trouble: cannot trace");
	ptrace(PTRACE_CONT, program, NULL, NULL);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		int sig = 0, event = status >> 16;

		if (!WIFSTOPPED(status)) {
			if (tid == program)
				result = WIFEXITED(status) ? WEXITSTATUS(status)
							   : 128 + WTERMSIG(status);
			continue;
		}
		if (event == PTRACE_EVENT_SECCOMP)
			at_call(t, tid);
		else if (!event && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP)
			sig = WSTOPSIG(status);
		ptrace(PTRACE_CONT, tid, NULL, (long)sig);
	}
	return result;
}

static int lookup(const char *name, bool error)
{
	for (size_t i = 0; !error && i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(name, calls[i].name) == 0)
			return calls[i].nr;
	for (size_t i = 0; error && i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(name, errors[i].name) == 0)
			return errors[i].number;
	fprintf(stderr, "trouble: what is %s?\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	struct trouble t = { 0 };
	pid_t program;
	int result;

	if (argc < 6) {
		fprintf(stderr, "usage: trouble SYSCALL ERRNO FIRST LAST PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	t.nr = lookup(argv[1], false);
	t.error = lookup(argv[2], true);
	t.first = strtoul(argv[3], NULL, 10);
	t.last = strtoul(argv[4], NULL, 10);
	program = fork();
	if (program == 0) {
		const char *preload = getenv("TROUBLE_PRELOAD");

		if (preload)
			setenv("LD_PRELOAD", preload, 1);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			die("trouble: cannot be traced");
		raise(SIGSTOP);
		filter(t.nr);
		execv(argv[5], argv + 5);
		die(argv[5]);
	}
	result = trace(&t, program);
	printf("calls %lu failed %lu\n", t.calls, t.failed);
	return result;
}
