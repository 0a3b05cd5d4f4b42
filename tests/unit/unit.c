// SPDX-License-Identifier: MIT
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *what)
{
	dprintf(STDERR_FILENO, "%s:%d: not true: %s\n", file, line, what);
	_exit(1);
}

u64 random_u64(u64 *rng)
{
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return *rng * 0x2545f4914f6cdd1dull;
}

bool all_bytes_are(const void *p, size_t n, u8 value)
{
	const u8 *bytes = p;

	return !n || (bytes[0] == value && !memcmp(bytes, bytes + 1, n - 1));
}

bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

/* qemu-user tells of the death of a child on the child's own stderr. */
static void forget_emulator(char *text)
{
	char *line = strstr(text, "qemu: uncaught target signal"), *end;

	if (line && (end = strchr(line, '\n')))
		memmove(line, end + 1, strlen(end + 1) + 1);
}

static void collect(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = 0;
	close(fd);
	forget_emulator(text);
}

struct outcome run_in_child(void (*fn)(void))
{
	struct outcome o;
	int err = memfd_create("stderr", MFD_CLOEXEC);
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* cmocka's handlers would return to the parent's tests. */
		signal(SIGABRT, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		alarm(120);
		dup2(err, STDERR_FILENO);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &o.status, 0), pid);
	collect(err, o.err, sizeof(o.err));
	return o;
}

void assert_child_succeeds(void (*fn)(void))
{
	struct outcome o = run_in_child(fn);

	if (o.status)
		fail_msg("wait status %#x: %s", (unsigned int)o.status, o.err);
}

void assert_child_aborts(void (*fn)(void), const char *err)
{
	struct outcome o = run_in_child(fn);

	assert_string_equal(o.err, err);
	assert_true(WIFSIGNALED(o.status));
	assert_int_equal(WTERMSIG(o.status), SIGABRT);
}

const char *stderr_of(void (*fn)(void))
{
	static char text[8000];
	int err = memfd_create("stderr", MFD_CLOEXEC), saved = dup(STDERR_FILENO);

	fflush(NULL);
	dup2(err, STDERR_FILENO);
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	collect(err, text, sizeof(text));
	return text;
}
