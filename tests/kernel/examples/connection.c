/* SPDX-License-Identifier: MIT */
/*
 * connection.c - a server's connections as an object cache: constructed once, used many times.
 *
 *	connection PORT		an echo server on 127.0.0.1 that serves until it is killed
 *	connection		server and clients in one process, and how often a connection was constructed
 *
 * What every connection needs at its start, and has again at its end, is made by the cache's constructor: an initialised
 * mutex, empty buffers, no descriptor. A connection that is freed is in that state, so the next one that is
 * allocated has nothing to initialise (Bonwick 1994, §2). What its use has changed, its end undoes; that is less than
 * to make it: here three numbers.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "slabmalloc/slab.h"

enum { BUFFER = 2000, CLIENTS = 4, CALLS = 200 };

struct buffer {
	size_t used;
	char data[BUFFER];
};

/* Between uses: mutex initialised and free, fd -1, buffers empty. */
struct connection {
	pthread_mutex_t lock;
	int fd;
	unsigned long served; /* over all its uses: it is never reset */
	struct buffer in, out;
};

static struct kmem_cache *connections;
static unsigned long constructed, opened;

static void connection_construct(void *object)
{
	struct connection *c = object;

	pthread_mutex_init(&c->lock, NULL);
	c->fd = -1;
	c->served = 0;
	c->in.used = 0;
	c->out.used = 0;
	__atomic_fetch_add(&constructed, 1, __ATOMIC_RELAXED);
}

static struct connection *connection_open(int fd)
{
	struct connection *c = kmem_cache_alloc(connections, GFP_KERNEL);

	if (!c)
		return NULL;
	if (c->fd != -1 || c->in.used || c->out.used)
		abort();
	c->fd = fd;
	__atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED);
	return c;
}

static void connection_close(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
	c->in.used = 0;
	c->out.used = 0;
	kmem_cache_free(connections, c);
}

static bool send_all(struct connection *c)
{
	size_t done = 0;

	while (done < c->out.used) {
		ssize_t n = send(c->fd, c->out.data + done, c->out.used - done, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	c->out.used = 0;
	return true;
}

/* Until the client has said all it wanted to. */
static void *serve(void *arg)
{
	struct connection *c = arg;
	ssize_t n;

	pthread_mutex_lock(&c->lock);
	while ((n = read(c->fd, c->in.data, BUFFER)) > 0) {
		c->in.used = (size_t)n;
		memcpy(c->out.data, c->in.data, c->in.used);
		c->out.used = c->in.used;
		c->served++;
		if (!send_all(c))
			break;
	}
	pthread_mutex_unlock(&c->lock);
	connection_close(c);
	return NULL;
}

/* Accepts `calls` connections, each with a thread of its own. */
static void accept_calls(int listener, unsigned long calls)
{
	pthread_attr_t detached;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (unsigned long i = 0; i < calls; i++) {
		int fd = accept(listener, NULL, NULL);
		struct connection *c = fd < 0 ? NULL : connection_open(fd);
		pthread_t thread;

		if (c && pthread_create(&thread, &detached, serve, c))
			connection_close(c);
	}
	pthread_attr_destroy(&detached);
}

static int listen_on(struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)address, len) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)address, &len)) {
		perror("connection");
		exit(1);
	}
	return fd;
}

static void *client(void *arg)
{
	const struct sockaddr_in *address = arg;

	for (int i = 0; i < CALLS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		char text[64], answer[64];
		int n = snprintf(text, sizeof(text), "call %d", i);

		if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
		    write(fd, text, (size_t)n) != n || read(fd, answer, sizeof(answer)) != n ||
		    memcmp(text, answer, (size_t)n) != 0)
			abort();
		close(fd);
	}
	return NULL;
}

static int demonstrate(int listener, struct sockaddr_in *address)
{
	pthread_t threads[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		if (pthread_create(&threads[i], NULL, client, address))
			return 1;
	accept_calls(listener, CLIENTS * CALLS);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	printf("%lu connections, %lu constructed\n", opened, constructed);
	return opened != CLIENTS * CALLS || constructed >= opened / 2;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener;

	connections = kmem_cache_create("connection", sizeof(struct connection), 0,
					SLAB_HWCACHE_ALIGN, connection_construct);
	if (!connections)
		return 1;
	if (argc == 2)
		address.sin_port = htons((unsigned short)atoi(argv[1]));
	listener = listen_on(&address);
	if (argc != 2)
		return demonstrate(listener, &address);
	accept_calls(listener, ~0ul);
	return 0;
}
