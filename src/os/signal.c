// SPDX-License-Identifier: MIT
#include "os/signal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "base/platform.h"

static bool (*fault_fn)(const struct os_fault *fault);
static struct sigaction before;

enum { PF_WRITE = 2 }; /* x86: a bit of the error code of a page fault */
enum { ESR_WRITE = 1 << 6 }; /* arm64: the same of the syndrome register */

#if defined(__aarch64__)
/* The fault's syndrome register is in one of the records behind the registers, where the kernel writes it. */
static enum fault_kind fault_kind(const ucontext_t *uc)
{
	const unsigned char *at = uc->uc_mcontext.__reserved;
	const unsigned char *end = at + sizeof(uc->uc_mcontext.__reserved);

	while (at + sizeof(struct esr_context) <= end) {
		const struct esr_context *c = (const void *)at;

		if (c->head.magic == ESR_MAGIC)
			return c->esr & ESR_WRITE ? FAULT_WRITE : FAULT_READ;
		if (c->head.size < sizeof(c->head))
			break;
		at += c->head.size;
	}
	return FAULT_UNKNOWN;
}
#endif

static struct os_fault fault_of(const siginfo_t *info, const ucontext_t *uc)
{
	struct os_fault f = { .address = (uintptr_t)info->si_addr, .kind = FAULT_UNKNOWN };

#if defined(__x86_64__)
	f.pc = (const void *)uc->uc_mcontext.gregs[REG_RIP];
	f.kind = uc->uc_mcontext.gregs[REG_ERR] & PF_WRITE ? FAULT_WRITE : FAULT_READ;
#elif defined(__aarch64__)
	f.pc = (const void *)uc->uc_mcontext.pc;
	f.kind = fault_kind(uc);
#elif defined(__riscv)
	f.pc = (const void *)uc->uc_mcontext.__gregs[REG_PC];
#else
	(void)uc;
#endif
	return f;
}

/*
 * The default action has to happen where the fault did, so that a core file shows it: the instruction is run
 * again, without a handler. What kill() sent does not come back by itself.
 */
static void die_of(int sig, const siginfo_t *info)
{
	signal(sig, SIG_DFL);
	if (info->si_code <= 0)
		raise(sig);
}

static void call_before(int sig, siginfo_t *info, void *context)
{
	struct sigaction old = before;
	sigset_t self;

	if (!(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL) {
		die_of(sig, info);
		return;
	}
	/* Nobody can ignore a fault: the system kills. */
	if (!(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_IGN) {
		if (info->si_code > 0)
			die_of(sig, info);
		return;
	}
	if (old.sa_flags & (int)SA_RESETHAND) {
		before.sa_flags = 0;
		before.sa_handler = SIG_DFL;
	}
	/* The return from this handler restores the mask. */
	pthread_sigmask(SIG_BLOCK, &old.sa_mask, NULL);
	if (old.sa_flags & SA_NODEFER) {
		sigemptyset(&self);
		sigaddset(&self, sig);
		pthread_sigmask(SIG_UNBLOCK, &self, NULL);
	}
	if (old.sa_flags & SA_SIGINFO)
		old.sa_sigaction(sig, info, context);
	else
		old.sa_handler(sig);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	struct os_fault f = fault_of(info, context);

	/* Codes above 0 are the system's own: an access happened. */
	if (info->si_code <= 0 || !fault_fn(&f))
		call_before(sig, info, context);
	errno = saved;
}

bool os_catch_faults(bool (*fn)(const struct os_fault *fault))
{
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	fault_fn = fn;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGSEGV, NULL, &before) == 0 && sigaction(SIGSEGV, &action, NULL) == 0;
}

/* Not those that tell of an error, nor those that cannot be caught or that the C library wants. */
unsigned int platform_signal(const char *name, size_t len)
{
	static const struct {
		char name[8];
		u8 number;
	} known[] = { { "HUP", SIGHUP },       { "INT", SIGINT },   { "QUIT", SIGQUIT },
		      { "USR1", SIGUSR1 },     { "USR2", SIGUSR2 }, { "ALRM", SIGALRM },
		      { "VTALRM", SIGVTALRM }, { "PROF", SIGPROF }, { "WINCH", SIGWINCH },
		      { "IO", SIGIO },         { "PWR", SIGPWR },   { "URG", SIGURG } };
	unsigned int number = 0;
	size_t digits = 0;

	if (len > 3 && memcmp(name, "SIG", 3) == 0) {
		name += 3;
		len -= 3;
	}
	for (; digits < len && name[digits] >= '0' && name[digits] <= '9' && number < 100; digits++)
		number = number * 10 + (unsigned int)(name[digits] - '0');
	if (digits && digits < len)
		return 0;
	if ((int)number >= SIGRTMIN && (int)number <= SIGRTMAX)
		return number;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (number == known[i].number ||
		    (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0))
			return known[i].number;
	return 0;
}

static void (*signal_fn)(bool room);

static void on_signal(int sig)
{
	int saved = errno;
	stack_t st = { .ss_flags = SS_DISABLE };

	(void)sig;
	sigaltstack(NULL, &st);
	signal_fn(!(st.ss_flags & SS_ONSTACK) ||
		  (char *)__builtin_frame_address(0) - (char *)st.ss_sp >= OS_SIGNAL_STACK);
	errno = saved;
}

bool os_catch_signal(unsigned int sig, void (*fn)(bool room))
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART };

	signal_fn = fn;
	sigemptyset(&action.sa_mask);
	return sigaction((int)sig, &action, NULL) == 0;
}
