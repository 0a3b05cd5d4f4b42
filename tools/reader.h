/* SPDX-License-Identifier: MIT */
/*
 * reader.h - the memory of somebody else: a process, or what a core file kept of one.
 *
 * A process is only read (process_vm_readv, /proc): it is not stopped, and notices nothing. What is read may change
 * between two reads, and may be gone: every read can fail, and nothing that was read is believed before it is
 * looked at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mapping {
	uintptr_t start, end;
	uint64_t offset; /* in the file */
	bool readable, writable;
	char *path; /* of a file; NULL: anonymous */
};

struct reader {
	pid_t pid; /* of a core: of the process that was */
	bool core;
	char name[64]; /* of the program */
	struct mapping *map;
	size_t nr_maps;
	/* Bytes that could be read, from addr on. */
	size_t (*read)(const struct reader *r, uintptr_t addr, void *to, size_t n);

	/* A core's own. */
	const char *file;
	size_t file_size;
	struct segment *segment;
	size_t nr_segments;
	/* Of the last file of a mapping that a core left out. */
	struct backing *backing;
};

enum process_state { PROCESS_RUNNING, PROCESS_STOPPED, PROCESS_GONE };

/* "PID" or the path of a core file. NULL: *error says why, in a line. */
struct reader *reader_open(const char *what, char **error);
void reader_close(struct reader *r);

/* All n bytes, or false. */
bool reader_get(const struct reader *r, uintptr_t addr, void *to, size_t n);

/* Is it there, and can it change what is being read? A core is stopped. */
enum process_state reader_state(const struct reader *r);

/* The path under which the file of a mapping can be opened from here. */
void reader_path(const struct reader *r, const struct mapping *m, char *path, size_t size);

/* What both kinds do; in a message that *error takes. */
struct reader *reader_fail(struct reader *r, char **error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
struct mapping *reader_add_map(struct reader *r);
struct reader *reader_open_process(pid_t pid, char **error);
struct reader *reader_open_core(const char *path, char **error);
void reader_close_core(struct reader *r);
