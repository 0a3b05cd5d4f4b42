// SPDX-License-Identifier: MIT
#include "os/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/printk.h"
#include "os/call.h"
#include "os/cgroup.h"

enum {
	POKE = NR_OS_PRESSURES, /* the eventfd of os_pressure_poke */
	NR_WATCHED,
	HIGH_FDS = 512, /* out of the way of programs that count on low numbers ... */
	LOW_FDS = 64, /* ... or as high as the limit lets it be */
	AVAILABLE_SHARE = 20, /* of the memory: less than this part is short */
	STALL_US = 50000, /* stall time between two looks that counts */
};

/* Stall of 100 ms within a second; without privileges the window is a multiple of two. */
static const char *const triggers[] = { "some 100000 1000000", "some 200000 2000000" };

static struct watched {
	int fd; /* 0: none. (Standard input is not ours.) */
	bool event; /* an eventfd */
	u64 device, inode; /* or its id */
} watched[NR_WATCHED];

struct os_pressure_state os_pressure_state;

static int move_up(int fd)
{
	int high;

	if (fd < 0)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FDS);
	if (high < 0)
		high = fcntl(fd, F_DUPFD_CLOEXEC, LOW_FDS);
	if (high < 0)
		return fd;
	sys_close(fd);
	return high;
}

static u64 event_id(int fd)
{
	char text[OS_TEXT_MAX];
	struct seq_file path;

	seq_open(&path, -1);
	seq_printf(&path, "/proc/self/fdinfo/%d%c", fd, 0);
	/* The first of a system is number 0, and what is not there reads as 0. */
	if (!os_read_text(path.buf, text) || !strstr(text, "eventfd-id:"))
		return 0;
	return os_field(text, "eventfd-id:") + 1;
}

static void identify(int fd, bool event, u64 *device, u64 *inode)
{
	struct stat st;

	*device = *inode = 0;
	if (fstat(fd, &st))
		return;
	*device = st.st_dev;
	*inode = event ? event_id(fd) : st.st_ino;
}

static bool is_ours(const struct watched *w)
{
	u64 device, inode;

	identify(w->fd, w->event, &device, &inode);
	return device == w->device && inode == w->inode && (inode || !w->event);
}

static void watch(u32 which, int fd, bool event)
{
	struct watched *w = &watched[which];

	u64 device, inode;

	w->event = event;
	identify(fd, event, &device, &inode);
	WRITE_ONCE(w->device, device);
	WRITE_ONCE(w->inode, inode);
	/* Release: who pokes it must know it from another's of this number. */
	__atomic_store_n(&w->fd, fd, __ATOMIC_RELEASE);
	if (which < NR_OS_PRESSURES)
		__atomic_fetch_or(&os_pressure_state.sources, 1u << which, __ATOMIC_RELAXED);
}

/* Not ours any more, or at its end: it says nothing that could be believed, and would say it for ever. */
static void drop(u32 which)
{
	if (is_ours(&watched[which]))
		sys_close(watched[which].fd);
	WRITE_ONCE(watched[which].fd, 0);
	__atomic_fetch_and(&os_pressure_state.sources, ~(1u << which), __ATOMIC_RELAXED);
	counter_add(os_pressure_state.dropped, 1);
}

static void watch_psi(u32 which, const char *path)
{
	for (u32 i = 0; i < ARRAY_SIZE(triggers); i++) {
		int fd = move_up(sys_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0));
		size_t len = strlen(triggers[i]) + 1;

		if (fd < 0)
			return;
		if (sys_write(fd, triggers[i], len) == (ssize_t)len) {
			watch(which, fd, false);
			return;
		}
		sys_close(fd);
	}
}

/* The eventfd is registered by writing "eventfd pressure_level low" to the group's event_control. */
static void watch_level(void)
{
	struct cgroup_dir dir;
	struct seq_file m;
	int event, level = -1, control = -1;
	bool ok = false;

	if (!os_cgroup_dir(CGROUP_V1, &dir))
		return;
	event = move_up(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	if (os_path_in(&dir, "memory.pressure_level"))
		level = sys_open(dir.path, O_RDONLY | O_CLOEXEC, 0);
	if (os_path_in(&dir, "cgroup.event_control"))
		control = sys_open(dir.path, O_WRONLY | O_CLOEXEC, 0);
	if (event >= 0 && level >= 0 && control >= 0) {
		seq_open(&m, -1);
		seq_printf(&m, "%d %d low", event, level);
		ok = sys_write(control, m.buf, m.len) == (ssize_t)m.len;
	}
	if (level >= 0)
		sys_close(level);
	if (control >= 0)
		sys_close(control);
	if (ok)
		watch(CGROUP_LEVEL, event, true);
	else if (event >= 0)
		sys_close(event);
}

u32 os_pressure_open(void)
{
	struct cgroup_dir dir;
	int saved = errno, fd;

	watch_psi(PSI_SYSTEM, "/proc/pressure/memory");
	if (os_cgroup_dir(CGROUP_V2, &dir) && os_path_in(&dir, "memory.pressure"))
		watch_psi(PSI_CGROUP, dir.path);
	watch_level();
	fd = move_up(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	if (fd >= 0) {
		watch(POKE, fd, true);
		if (!watched[POKE].inode)
			drop(POKE);
	}
	errno = saved;
	return os_pressure_sources();
}

void os_pressure_close(void)
{
	int saved = errno;

	for (u32 i = 0; i < NR_WATCHED; i++) {
		if (watched[i].fd && is_ours(&watched[i]))
			sys_close(watched[i].fd);
		WRITE_ONCE(watched[i].fd, 0);
	}
	WRITE_ONCE(os_pressure_state.sources, 0);
	errno = saved;
}

static bool memory_is_short(void)
{
	char text[OS_TEXT_MAX];
	size_t total, available;

	if (!os_read_text("/proc/meminfo", text))
		return false;
	total = os_field(text, "MemTotal:");
	available = os_field(text, "MemAvailable:");
	return available && available < total / AVAILABLE_SHARE;
}

/* Did it speak? What can be seen of it is spoken of once. */
static bool heard(u32 which, short revents)
{
	u64 count;

	if (!revents)
		return false;
	if (revents & (POLLERR | POLLNVAL | POLLHUP) || !is_ours(&watched[which])) {
		drop(which);
		return false;
	}
	return !watched[which].event || sys_read(watched[which].fd, &count, sizeof(count)) > 0;
}

u32 os_pressure_wait(int ms)
{
	struct pollfd fds[NR_WATCHED];
	u32 of[NR_WATCHED], n = 0, spoke = 0;
	int saved = errno;

	for (u32 i = 0; i < NR_WATCHED; i++) {
		if (!watched[i].fd)
			continue;
		fds[n] = (struct pollfd){ watched[i].fd, watched[i].event ? POLLIN : POLLPRI, 0 };
		of[n++] = i;
	}
	if (sys_poll(fds, n, ms) > 0)
		for (u32 i = 0; i < n; i++)
			if (heard(of[i], fds[i].revents) && of[i] != POKE)
				spoke |= 1u << of[i];
	spoke |= os_pressure_look();
	errno = saved;
	return spoke;
}

bool os_pressure_pokable(void)
{
	return READ_ONCE(watched[POKE].fd);
}

void os_pressure_poke(void)
{
	const struct watched w = { .fd = __atomic_load_n(&watched[POKE].fd, __ATOMIC_ACQUIRE),
				   .event = true,
				   .device = READ_ONCE(watched[POKE].device),
				   .inode = READ_ONCE(watched[POKE].inode) };
	const u64 one = 1;
	int saved = errno;
	ssize_t written = w.fd && is_ours(&w) ? sys_write(w.fd, &one, sizeof(one)) : 0;

	/* A full counter has woken it already. */
	(void)written;
	errno = saved;
}

/* "some avg10=... total=MICROSECONDS": has it grown by what counts? */
static bool stalled(u32 which, const char *path)
{
	static size_t seen[NR_OS_PRESSURES]; /* plus 1 */
	char text[OS_TEXT_MAX];
	const char *total;
	size_t now, before;

	if (!os_read_text(path, text) || !(total = strstr(text, "total=")))
		return false;
	__atomic_fetch_or(&os_pressure_state.sources, 1u << which, __ATOMIC_RELAXED);
	now = os_number(total + 6) + 1;
	before = __atomic_exchange_n(&seen[which], now, __ATOMIC_RELAXED);
	return before && now - before >= STALL_US;
}

u32 os_pressure_look(void)
{
	struct cgroup_dir dir;
	u32 spoke = 0;
	int saved = errno;

	if (!READ_ONCE(watched[PSI_SYSTEM].fd) && stalled(PSI_SYSTEM, "/proc/pressure/memory"))
		spoke |= 1u << PSI_SYSTEM;
	if (!READ_ONCE(watched[PSI_CGROUP].fd) && os_cgroup_dir(CGROUP_V2, &dir) &&
	    os_path_in(&dir, "memory.pressure") && stalled(PSI_CGROUP, dir.path))
		spoke |= 1u << PSI_CGROUP;
	if (!(READ_ONCE(os_pressure_state.sources) & 1u << PSI_SYSTEM)) {
		__atomic_fetch_or(&os_pressure_state.sources, 1u << MEM_AVAILABLE,
				  __ATOMIC_RELAXED);
		if (memory_is_short())
			spoke |= 1u << MEM_AVAILABLE;
	}
	errno = saved;
	return spoke;
}

u32 os_pressure_sources(void)
{
	return READ_ONCE(os_pressure_state.sources);
}

u32 os_pressure_dropped(void)
{
	return READ_ONCE(os_pressure_state.dropped);
}
