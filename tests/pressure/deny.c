// SPDX-License-Identifier: MIT
/*
 * deny.c - usage: deny CALL PROGRAM ARGUMENT…: runs the program where a system call is refused.
 *
 * As a sandbox does whose maker has not thought of it: the call answers EPERM, or ends the program.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	unsigned int number, answer;
} calls[] = {
	{ "madvise", SYS_madvise, SECCOMP_RET_ERRNO | EPERM },
	{ "ppoll", SYS_ppoll, SECCOMP_RET_ERRNO | EPERM },
	{ "membarrier", SYS_membarrier, SECCOMP_RET_ERRNO | EPERM },
	{ "prctl", SYS_prctl, SECCOMP_RET_ERRNO | EPERM },
#ifdef SYS_process_madvise
	{ "process_madvise", SYS_process_madvise, SECCOMP_RET_KILL_PROCESS },
#endif
};

static int deny(unsigned int number, unsigned int answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(*code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(calls) / sizeof(*calls); i++) {
		if (strcmp(calls[i].name, argv[1]))
			continue;
		if (deny(calls[i].number, calls[i].answer)) {
			perror("seccomp");
			return 77;
		}
		execv(argv[2], argv + 2);
		perror(argv[2]);
		return 127;
	}
	fprintf(stderr, "usage: deny CALL PROGRAM ARGUMENT…\n");
	return 2;
}
