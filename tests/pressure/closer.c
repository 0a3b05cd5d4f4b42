// SPDX-License-Identifier: MIT
/*
 * closer.c - a program closes descriptors that it has not opened, and uses their numbers itself.
 *
 * As daemons do when they start. It prints how many there were, how many of its own it has still got
 * two seconds later, and how many milliseconds of processor time went by meanwhile.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 16, WAIT_S = 2 };

static sem_t stop;

static void *sleeper(void *arg)
{
	sem_wait(&stop);
	return arg;
}

/* Has anything been read from, or is it something else now? */
static int is_ours(int fd, const struct stat *pipe)
{
	struct stat now;
	char byte;

	return !fstat(fd, &now) && now.st_dev == pipe->st_dev && now.st_ino == pipe->st_ino &&
	       read(fd, &byte, 1) == 1;
}

int main(void)
{
	static int taken[MOST];
	int n = 0, kept = 0, end[2];
	pthread_t thread;
	struct stat is;
	clock_t before;

	sem_init(&stop, 0, 0);
	if (pthread_create(&thread, NULL, sleeper, NULL))
		return 1;
	usleep(300000);
	for (int fd = 3; fd < MOST; fd++)
		if (fcntl(fd, F_GETFD) >= 0 && !close(fd))
			taken[n++] = fd;
	if (pipe(end) || fcntl(end[1], F_SETPIPE_SZ, MOST) < 0 || fstat(end[0], &is))
		return 1;
	for (int i = 0; i < n; i++) {
		if (taken[i] != end[0] && taken[i] != end[1] && dup2(end[0], taken[i]) < 0)
			return 1;
		if (write(end[1], "x", 1) != 1)
			return 1;
	}
	before = clock();
	for (int i = 0; i < WAIT_S * 100; i++) {
		free(malloc(100000));
		usleep(10000);
	}
	before = clock() - before;
	for (int i = 0; i < n; i++)
		kept += taken[i] == end[1] || is_ours(taken[i], &is);
	printf("%d %d %ld\n", n, kept, (long)(before * 1000 / CLOCKS_PER_SEC));
	sem_post(&stop);
	pthread_join(thread, NULL);
	return 0;
}
