/* SPDX-License-Identifier: MIT */
/*
 * file.h - files: of memory (memfd), mappings of those, and files that are written. False: the system refuses. All
 * keep errno.
 *
 * A program may close descriptors that it does not know, and open others with their numbers. So each use makes sure that
 * the file is still the same one: false, and a line the first time, if it is not.
 */
#pragma once

#include "base/compiler.h"

struct os_file {
	int fd;
	unsigned long device, inode;
};

bool os_memory_file(struct os_file *file);
bool os_file_resize(const struct os_file *file, size_t size);

/* Gives memory back: the bytes read as zero again. */
bool os_file_punch(const struct os_file *file, size_t offset, size_t size);

/* Shows a part of the file at an address that is the caller's, instead of what is there. */
bool os_map_file_at(void *addr, size_t size, const struct os_file *file, size_t offset);

/*
 * A file that is there as a whole or not at all: what is written goes to another one beside it, which takes its place at
 * the end. What is no plain file (a pipe, /dev/stdout, a link), or lies where nothing can be made, is written as it is.
 */
enum { OS_PATH_MAX = 320 };

struct os_output {
	int fd;
	char path[OS_PATH_MAX];
	char beside[OS_PATH_MAX]; /* empty: it is written as it is */
};

/* "%p" in the path is the process id, "%n" the number, if there is one (not 0). Too long a path is cut. */
bool os_output_open(struct os_output *out, const char *path, u32 number);

/* good: all was written. Else the old file stays, if there was one. False: it was not opened, or not good, or cannot be. */
bool os_output_close(struct os_output *out, bool good);
