/* SPDX-License-Identifier: MIT */
/*
 * slub_debug_users.h - tracks counted by call site, for alloc_traces, free_traces and reports of leaks.
 */
#pragma once

#include "debug/slub_debug_internal.h"

struct users;

/* NULL: no memory. Its memory is a mapping of its own, for the time of one list. */
struct users *users_new(void);
void users_delete(struct users *users);

void users_add(struct users *users, const struct track *t);

/* Most objects first: "      3 f+0x1a/0x40 age=1/5/9 pid=41-42 cpus=0-1", and the stack. */
void users_show(struct users *users, struct seq_file *m);
