// SPDX-License-Identifier: MIT
#include "os/task.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/printk.h"
#include "os/cgroup.h"
#include "os/thread.h"

enum {
	CHUNK = 4096, /* bytes of a stack read at once: no page boundary is inside */
	SAME_STACK = 64 << 10, /* bytes between two frames of one stack, here */
	STACK_MAX = 1 << 20, /* whoever is deeper is left alone */
	WORDS = CHUNK / sizeof(uintptr_t),
};

/* The caller stands still in these while somebody else goes on with its memory. */
static bool lends_itself(long nr)
{
#ifdef SYS_vfork
	if (nr == SYS_vfork)
		return true;
#endif
#ifdef SYS_clone3
	if (nr == SYS_clone3)
		return true;
#endif
	return nr == SYS_clone;
}

static bool read_of(u32 tid, const char *name, char *text)
{
	struct seq_file path;

	seq_open(&path, -1);
	seq_printf(&path, "/proc/self/task/%u/%s%c", tid, name, 0);
	return os_read_text(path.buf, text);
}

static uintptr_t hexadecimal(const char *s)
{
	uintptr_t v = 0;

	for (s += s[0] == '0' && s[1] == 'x' ? 2 : 0;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v * 16 + (uintptr_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			v = v * 16 + (uintptr_t)(*s - 'a' + 10);
		else
			return v;
	}
}

/* "nr arg0 ... arg5 sp pc"; "running"; or "-1 sp pc" for one that is blocked outside a system call. */
static bool read_call(u32 tid, long *call, uintptr_t *sp)
{
	char text[OS_TEXT_MAX], *field = text;
	long nr = 0;
	bool asleep = read_of(tid, "syscall", text) && *text >= '0' && *text <= '9';

	for (; asleep && *field >= '0' && *field <= '9'; field++)
		nr = nr * 10 + (*field - '0');
	for (int i = 0; asleep && i < 7; i++) {
		field = strchr(field, ' ');
		asleep = field != NULL;
		field += asleep;
	}
	if (asleep)
		*sp = hexadecimal(field);
	*call = nr;
	return asleep;
}

/*
 * Under an emulator (qemu-user) the kernel sees the emulator's threads: one that sleeps may be in the middle of an
 * instruction of ours. The caller's own stack pointer, in the call that reads this, tells.
 */
static bool is_emulated(void)
{
	static u32 known; /* 1: no, 2: yes */
	uintptr_t sp, here = (uintptr_t)__builtin_frame_address(0);
	u32 is = READ_ONCE(known);
	long call;

	if (!is) {
		bool near = read_call(os_thread_id(), &call, &sp) &&
			    here - sp + SAME_STACK < 2 * (uintptr_t)SAME_STACK;

		is = near ? 1 : 2;
		WRITE_ONCE(known, is);
	}
	return is == 2;
}

bool os_task_asleep(u32 tid, uintptr_t *sp)
{
	long call;

	return !is_emulated() && read_call(tid, &call, sp) && !lends_itself(call) &&
	       *sp % sizeof(uintptr_t) == 0;
}

size_t os_task_naps(u32 tid)
{
	static const char name[] = "\nvoluntary_ctxt_switches:";
	char text[OS_TEXT_MAX];
	const char *line = read_of(tid, "status", text) ? strstr(text, name) : NULL;

	return line ? os_field(line + 1, name + 1) : SIZE_MAX;
}

/* Bytes read from the process's own memory, where it may end at any page. */
static u32 peek(uintptr_t from, void *to, u32 len)
{
	struct iovec local = { to, len }, remote = { (void *)from, len };
	ssize_t n = syscall(SYS_process_vm_readv, getpid(), &local, 1ul, &remote, 1ul, 0ul);

	return n > 0 ? (u32)n : 0;
}

/*
 * In a signal frame of x86-64 the interrupted address is followed by the flags and the code segment of 64-bit
 * programs; elsewhere any word that could be the address counts.
 */
static bool is_interrupted(const uintptr_t *word, uintptr_t text, uintptr_t end)
{
	if (word[0] < text || word[0] >= end)
		return false;
#if defined(__x86_64__)
	return (word[2] & 0xffff) == 0x33;
#else
	return true;
#endif
}

bool os_task_interrupted_in(uintptr_t sp, const void *top, const void *text, const void *end)
{
	uintptr_t word[WORDS + 2] = { 0 };
	uintptr_t at = sp, limit = sp + STACK_MAX;
	bool near = (uintptr_t)top - sp < STACK_MAX;
	int saved = errno;
	bool found = false, all = false, some = false;

	/* To the top or to the end of what can be read. A chunk's last two words are looked at with the next one. */
	while (!found && !all && at < limit) {
		u32 len = (u32)(CHUNK - at % CHUNK), n = peek(at, word + 2, len);

		all = n < len || (near && at + len >= (uintptr_t)top);
		some |= n > 0;
		memset((char *)(word + 2) + n, 0, len - n);
		for (u32 i = 0; i < len / sizeof(*word) && !found; i++)
			found = is_interrupted(word + i, (uintptr_t)text, (uintptr_t)end);
		memcpy(word, word + len / sizeof(*word), 2 * sizeof(*word));
		at += len;
	}
	errno = saved;
	return found || !all || !some;
}
