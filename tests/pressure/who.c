// SPDX-License-Identifier: MIT
/*
 * who.c - which threads does a process have?
 *
 * It prints a line at each stage of its life: the stage, the number of its threads, how many of them
 * are called kshrinkd, and how many of those block every signal that can be blocked.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static sem_t stop;

/* The line of a thread's status that begins so. */
static void status(const char *tid, const char *field, char *line, size_t size)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, (int)size, f))
		if (!strncmp(line, field, strlen(field)))
			break;
	if (f)
		fclose(f);
}

static void stage(const char *name)
{
	/* 1 to 31 without SIGKILL and SIGSTOP, which nobody can block, and SIGSYS, which must not be. */
	const unsigned long all = 0x7fffffff & ~(1ul << 8) & ~(1ul << 18) & ~(1ul << 30);
	int threads = 0, ours = 0, deaf = 0;
	struct dirent *entry;
	char line[300];
	DIR *d;

	usleep(100000); /* a new thread gives itself its name */
	d = opendir("/proc/self/task");
	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		threads++;
		status(entry->d_name, "Name:", line, sizeof(line));
		if (strcmp(line, "Name:\tkshrinkd\n") != 0)
			continue;
		ours++;
		status(entry->d_name, "SigBlk:", line, sizeof(line));
		if ((strtoul(line + 8, NULL, 16) & all) == all)
			deaf++;
	}
	if (d)
		closedir(d);
	printf("%s %d %d %d\n", name, threads, ours, deaf);
	fflush(stdout);
}

static void *sleeper(void *arg)
{
	sem_wait(&stop);
	return arg;
}

static void second_thread(const char *name)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, sleeper, NULL))
		abort();
	stage(name);
	sem_post(&stop);
	pthread_join(thread, NULL);
}

static void forked(void)
{
	pid_t child = fork();

	if (child == 0) {
		free(malloc(100));
		stage("forked");
		second_thread("forked-second");
		exit(0);
	}
	waitpid(child, NULL, 0);
}

int main(void)
{
	sem_init(&stop, 0, 0);
	for (int i = 0; i < 100000; i++)
		free(malloc((size_t)i % 3000));
	stage("single");
	/* Only a process of one thread may: EINVAL. Other errors are the machine's. */
	printf("alone %d 0 0\n", unshare(CLONE_FS | CLONE_THREAD) == 0 || errno != EINVAL);
	second_thread("second");
	forked();
	return 0;
}
