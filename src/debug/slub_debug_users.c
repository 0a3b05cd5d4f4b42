// SPDX-License-Identifier: MIT
#include "debug/slub_debug_users.h"

#include "os/mem.h"
#include "os/thread.h"

enum { USERS_MAX = 4096, MANY = USERS_MAX / 4 * 3 };

struct user {
	const void *addr;
	unsigned long count;
	u64 sum_ms, min_ms, max_ms; /* of ages */
	u32 handle;
	u32 min_pid, max_pid;
	u32 min_cpu, max_cpu;
};

/* A hash table until it is shown, which sorts it. */
struct users {
	u64 now_ms;
	u32 nr;
	unsigned long untracked,
		others; /* objects without a track; of call sites for which there was no room */
	struct user user[USERS_MAX];
};

static size_t users_bytes(void)
{
	return ALIGN(sizeof(struct users), os_page_size());
}

struct users *users_new(void)
{
	struct users *users = os_map(users_bytes());

	if (users)
		users->now_ms = os_now_ms();
	return users;
}

void users_delete(struct users *users)
{
	os_unmap(users, users_bytes());
}

static struct user *find(struct users *users, const struct track *t)
{
	u64 hash = ((uintptr_t)t->addr ^ (u64)t->handle << 32) * 0x9e3779b97f4a7c15ull;
	u32 i = (u32)(hash >> 52) % USERS_MAX;

	while (users->user[i].count &&
	       (users->user[i].addr != t->addr || users->user[i].handle != t->handle))
		i = (i + 1) % USERS_MAX;
	return &users->user[i];
}

void users_add(struct users *users, const struct track *t)
{
	u64 age = users->now_ms - min(t->when_ms, users->now_ms);
	struct user *u;

	if (!t->addr) {
		users->untracked++;
		return;
	}
	u = find(users, t);
	if (!u->count) {
		if (users->nr == MANY) {
			users->others++;
			return;
		}
		users->nr++;
		*u = (struct user){
			.addr = t->addr,
			.handle = t->handle,
			.min_ms = age,
			.min_pid = t->pid,
			.max_pid = t->pid,
			.min_cpu = t->cpu,
			.max_cpu = t->cpu,
		};
	}
	u->count++;
	u->sum_ms += age;
	u->min_ms = min(u->min_ms, age);
	u->max_ms = max(u->max_ms, age);
	u->min_pid = min(u->min_pid, t->pid);
	u->max_pid = max(u->max_pid, t->pid);
	u->min_cpu = min(u->min_cpu, t->cpu);
	u->max_cpu = max(u->max_cpu, t->cpu);
}

/* By count, and by address where that is equal. (qsort may call malloc.) */
static bool before(const struct user *a, const struct user *b)
{
	return a->count != b->count ? a->count > b->count : a->addr < b->addr;
}

static void sort(struct user *u, u32 n)
{
	for (u32 gap = n / 2; gap; gap /= 2) {
		for (u32 i = gap; i < n; i++) {
			struct user moved = u[i];
			u32 j = i;

			for (; j >= gap && before(&moved, &u[j - gap]); j -= gap)
				u[j] = u[j - gap];
			u[j] = moved;
		}
	}
}

static void show_range(struct seq_file *m, const char *name, u32 low, u32 high)
{
	seq_printf(m, low == high ? " %s=%u" : " %s=%u-%u", name, low, high);
}

static void show(struct seq_file *m, const struct user *u)
{
	struct stack stack;

	seq_printf(m, "%7lu ", u->count);
	stack_print_symbol(m, u->addr);
	seq_printf(m, " age=%lu/%lu/%lu", (unsigned long)u->min_ms,
		   (unsigned long)(u->sum_ms / u->count), (unsigned long)u->max_ms);
	show_range(m, "pid", u->min_pid, u->max_pid);
	show_range(m, "cpus", u->min_cpu, u->max_cpu);
	seq_putc(m, '\n');
	stack_depot_fetch(u->handle, &stack);
	stack_print(m, &stack);
	seq_putc(m, '\n');
}

void users_show(struct users *users, struct seq_file *m)
{
	sort(users->user, USERS_MAX);
	for (u32 i = 0; i < users->nr; i++)
		show(m, &users->user[i]);
	if (users->others)
		seq_printf(m, "%7lu <other call sites>\n", users->others);
	if (users->untracked)
		seq_printf(m, "%7lu <not-available>\n", users->untracked);
	if (!users->nr && !users->untracked)
		seq_puts(m, "No data\n");
}
