// SPDX-License-Identifier: MIT
/*
 * when.c - when a dump is written by itself, and where to.
 *
 *	at exit		option stats
 *	by time		option stats_interval: kshrinkd where it runs, else the slow path that comes by when one is due
 *	by a signal	option stats_signal: in its handler
 *
 * A dump needs neither a lock nor malloc, so the handler writes it at once, whatever it interrupted: a program that hangs
 * answers too. Only where the stack is too small it is left to the next slow path. Who wants a dump while one is being written leaves that to the one who writes (dump.wanted): many
 * signals are one dump more.
 */
#include "base/lock.h"
#include "base/options.h"
#include "os/file.h"
#include "os/signal.h"
#include "os/thread.h"
#include "reclaim/kshrinkd.h"
#include "stat/stat.h"

enum { STDERR = 2, LAST_WAIT_MS = 2000 };

static struct {
	u32 writer; /* lock_id() of who writes; 0: nobody */
	bool wanted;
	bool left; /* by a handler that had no room */
	bool ready; /* stat_prepare was there */
	bool said; /* that a file cannot be written */
	u32 number; /* of the last dump */
	int stderr_copy; /* 0: none */
	u64 due_ms; /* by time; 0: not yet known */
} dump;

static bool is_stderr(const char *path)
{
	static const char name[] = "stderr";
	size_t i = 0;

	while (name[i] && path[i] == name[i])
		i++;
	return !name[i] && !path[i];
}

/* Dumps by time or signal go to stderr if nothing else is said. */
static const char *place(void)
{
	return options.stats[0] ? options.stats : "stderr";
}

void stat_dump_to(const char *path)
{
	struct os_output out;

	dump.number++;
	if (is_stderr(path)) {
		stat_write(dump.stderr_copy ? dump.stderr_copy : STDERR, options.stats_format);
		return;
	}
	if (os_output_close(&out, os_output_open(&out, path, dump.number) &&
					  stat_write(out.fd, options.stats_format)))
		return;
	if (!dump.said)
		printk("cannot write statistics to %s", out.path);
	dump.said = true;
}

static bool begin(void)
{
	u32 nobody = 0;

	return __atomic_compare_exchange_n(&dump.writer, &nobody, lock_id(), false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void end(void)
{
	__atomic_store_n(&dump.writer, 0, __ATOMIC_SEQ_CST);
}

/*
 * Somebody who comes between the last look at `wanted` and the end is served by the next turn: who ends stores writer and
 * then loads wanted, who comes stores wanted and then tries writer, and one of the two sees the other (all in one order).
 */
static void dump_now(void)
{
	__atomic_store_n(&dump.wanted, true, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&dump.wanted, __ATOMIC_SEQ_CST) && begin()) {
		while (__atomic_exchange_n(&dump.wanted, false, __ATOMIC_SEQ_CST))
			stat_dump_to(place());
		end();
	}
}

/* Milliseconds until the next one is due. */
static u32 dump_if_due(u64 now_ms)
{
	u64 due = READ_ONCE(dump.due_ms), interval = options.stats_interval * 1000;

	if (now_ms < due)
		return (u32)(due - now_ms);
	if (__atomic_compare_exchange_n(&dump.due_ms, &due, now_ms + interval, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		dump_now();
	return (u32)interval;
}

static void on_signal(bool room)
{
	if (room)
		dump_now();
	else
		WRITE_ONCE(dump.left, true);
}

void stat_tick(void)
{
	if (unlikely(READ_ONCE(dump.left)) &&
	    __atomic_exchange_n(&dump.left, false, __ATOMIC_RELAXED))
		dump_now();
	if (READ_ONCE(dump.due_ms) && !kshrinkd_runs())
		dump_if_due(os_now_ms());
}

void stat_prepare(void)
{
	if (dump.ready || !(options.stats[0] || options.stats_interval || options.stats_signal))
		return;
	dump.ready = true;
	if (is_stderr(place()))
		dump.stderr_copy = max(os_dup(STDERR), 0);
	if (options.stats_signal && !os_catch_signal(options.stats_signal, on_signal))
		printk("stats_signal: signal %u cannot be caught", options.stats_signal);
	if (!options.stats_interval)
		return;
	WRITE_ONCE(dump.due_ms, os_now_ms() + options.stats_interval * 1000);
	kshrinkd_errand(dump_if_due);
}

/* What another thread is writing may be the same file. A thread that never comes back is not waited for. */
void stat_exit(void)
{
	u32 nothing = 0;

	if (!options.stats[0])
		return;
	for (int i = 0; i < LAST_WAIT_MS && !begin() && READ_ONCE(dump.writer) != lock_id(); i++)
		os_futex_wait_ms(&nothing, 0, 1);
	stat_dump_to(place());
	end();
}

void stat_after_fork(void)
{
	dump.writer = 0;
}
