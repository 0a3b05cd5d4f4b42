/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "api.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/*
 * stderr goes to a memory file and not to a pipe: a pipe fills, and stays open in grandchildren.
 * cmocka handles fatal signals in the parent; here they must kill.
 */
static void enter_child(int err)
{
	setpgid(0, 0);
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGPIPE)
			signal(sig, SIG_DFL);
	dup2(err, STDERR_FILENO);
}

static void await(struct child *c, pid_t pid, unsigned int seconds)
{
	const struct timespec tick = { .tv_nsec = 500000 };
	double deadline = seconds_now() + seconds;

	while (waitpid(pid, &c->status, WNOHANG) == 0) {
		if (seconds_now() > deadline) {
			c->timed_out = true;
			kill(-pid, SIGKILL);
			waitpid(pid, &c->status, 0);
			return;
		}
		nanosleep(&tick, NULL);
	}
}

static void collect(struct child *c, pid_t pid, int err, unsigned int seconds)
{
	ssize_t n;

	check(pid > 0);
	memset(c, 0, sizeof(*c));
	await(c, pid, seconds);
	n = pread(err, c->err, sizeof(c->err) - 1, 0);
	c->err[n < 0 ? 0 : n] = '\0';
	close(err);
}

void child_run(struct child *c, void (*fn)(void *arg), void *arg, unsigned int seconds)
{
	int err = memfd_create("stderr", MFD_CLOEXEC);
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		enter_child(err);
		fn(arg);
		exit(0);
	}
	collect(c, pid, err, seconds);
}

void child_exec(struct child *c, char *const argv[], size_t limit_as, unsigned int seconds)
{
	int err = memfd_create("stderr", MFD_CLOEXEC);
	struct rlimit limit = { limit_as, limit_as };
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		enter_child(err);
		if (limit_as)
			setrlimit(RLIMIT_AS, &limit);
		execv(argv[0], argv);
		_exit(127);
	}
	collect(c, pid, err, seconds);
}

bool child_succeeded(const struct child *c)
{
	if (!c->timed_out && WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0)
		return true;
	if (c->timed_out)
		fprintf(stderr, "child hung and was killed\n");
	else if (WIFSIGNALED(c->status))
		fprintf(stderr, "child: signal %d (%s)\n", WTERMSIG(c->status),
			strsignal(WTERMSIG(c->status)));
	else
		fprintf(stderr, "child: exit status %d\n", WEXITSTATUS(c->status));
	fprintf(stderr, "%s", c->err);
	return false;
}

bool succeeds_in_child(void (*fn)(void *arg), void *arg, unsigned int seconds)
{
	struct child c;

	child_run(&c, fn, arg, seconds);
	return child_succeeded(&c);
}
