// SPDX-License-Identifier: MIT
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/printk.h"
#include "os/call.h"
#include "os/mem.h"
#include "os/thread.h"

/* Out of the way of programs that count on low numbers. */
enum { LOW_FDS = 100 };

bool os_memory_file(struct os_file *file)
{
	int saved = errno, fd = memfd_create("slabmalloc", MFD_CLOEXEC), high;
	struct stat st = { 0 };

	high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LOW_FDS);
	if (high >= 0) {
		sys_close(fd);
		fd = high;
	}
	if (fd >= 0)
		fstat(fd, &st);
	errno = saved;
	*file = (struct os_file){ fd, st.st_dev, st.st_ino };
	return fd >= 0;
}

static bool is_there(const struct os_file *file)
{
	static bool said;
	struct stat st;

	if (fstat(file->fd, &st) == 0 && st.st_dev == file->device && st.st_ino == file->inode)
		return true;
	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		printk("the program closed descriptor %d, the file of ZONE_HIGHMEM: its frames cannot be mapped any more",
		       file->fd);
	return false;
}

bool os_file_resize(const struct os_file *file, size_t size)
{
	int saved = errno;
	bool ok = is_there(file) && ftruncate(file->fd, (off_t)size) == 0;

	errno = saved;
	return ok;
}

bool os_file_punch(const struct os_file *file, size_t offset, size_t size)
{
	int saved = errno;
	bool ok = is_there(file) && fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					      (off_t)offset, (off_t)size) == 0;

	errno = saved;
	return ok;
}

bool os_map_file_at(void *addr, size_t size, const struct os_file *file, size_t offset)
{
	int saved = errno;
	void *p = MAP_FAILED;

	if (is_there(file)) {
		u64 began = os_now_ns();

		p = mmap(addr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file->fd,
			 (off_t)offset);
		counter_add(os_stats.mmap, 1);
		os_timed(&os_stats.mmap_time, began);
	}
	errno = saved;
	return p == addr;
}

/* Is there nothing, or a plain file? A link is to stay one. */
static bool replaceable(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? errno == ENOENT : S_ISREG(st.st_mode);
}

static int create_beside(struct os_output *out)
{
	enum { FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC };
	struct seq_file m;
	int fd;

	seq_open(&m, -1);
	seq_printf(&m, "%s.%u~", out->path, (u32)gettid());
	if (m.len >= sizeof(out->beside) || !replaceable(out->path))
		return -1;
	memcpy(out->beside, m.buf, m.len);
	out->beside[m.len] = 0;
	fd = sys_open(out->beside, FLAGS, 0666);
	/* A thread of this number was killed while it wrote. */
	if (fd < 0 && errno == EEXIST && unlink(out->beside) == 0)
		fd = sys_open(out->beside, FLAGS, 0666);
	return fd;
}

static void expand_path(struct os_output *out, const char *path, u32 number)
{
	struct seq_file m;

	seq_open(&m, -1);
	for (; *path && m.len < sizeof(out->path); path++) {
		if (path[0] == '%' && path[1] == 'p')
			seq_printf(&m, "%d", getpid());
		else if (path[0] == '%' && path[1] == 'n' && number)
			seq_printf(&m, "%u", number);
		else {
			seq_putc(&m, *path);
			continue;
		}
		path++;
	}
	m.len = min(m.len, (u32)sizeof(out->path) - 1);
	memcpy(out->path, m.buf, m.len);
	out->path[m.len] = 0;
}

bool os_output_open(struct os_output *out, const char *path, u32 number)
{
	int saved = errno;

	expand_path(out, path, number);
	out->fd = create_beside(out);
	if (out->fd < 0) {
		out->beside[0] = 0;
		out->fd = sys_open(out->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	}
	errno = saved;
	return out->fd >= 0;
}

bool os_output_close(struct os_output *out, bool good)
{
	int saved = errno;

	if (out->fd < 0)
		return false;
	sys_close(out->fd);
	if (out->beside[0]) {
		good = good &&
		       syscall(SYS_renameat2, AT_FDCWD, out->beside, AT_FDCWD, out->path, 0) == 0;
		if (!good)
			unlink(out->beside);
	}
	errno = saved;
	return good;
}
