/* SPDX-License-Identifier: MIT */
/*
 * kshrinkd.pml - how kshrinkd comes and leaves (src/reclaim/kshrinkd.c), for spin.
 *
 * The program P makes threads, and calls kshrinkd_start behind each; threads T say when they are about to end, and
 * P joins them. When all is done and nobody can take a step:
 *
 *	there are threads beside P	=> one kshrinkd is there
 *	there are none			=> none is there
 *
 * WITHOUT_LEAVING_FIRST it looks who is there before it says that it leaves; _CALL_BACK: kshrinkd_start does not call
 * back one that is leaving; _LOOK: it leaves without looking; _LAST: it goes though it was called back; _WAKE: a thread's end wakes nobody; _EVENT_FIRST: it looks whether it was
 * asked before it notes where the count of wake-ups stands. Each time spin must find the way to disaster.
 */

mtype = { OFF, RUNNING, LEAVING };
mtype state = OFF;
byte threads = 1;	/* of the program, as the system counts them; kshrinkd is one more */
byte ended;	/* threads that nobody has joined yet */
byte made;		/* kshrinkds that are in run() */
bit look_around;
byte event;		/* the futex */

/* A compare-and-swap; did: it swapped. */
inline move(from, to, did)
{
	atomic {
		did = (state == from);
		if
		:: did -> state = to
		:: else
		fi
	}
}

inline sleep()
{
#ifndef WITHOUT_EVENT_FIRST
	seen = event;
#endif
	if
	:: look_around
	:: else ->
#ifdef WITHOUT_EVENT_FIRST
		seen = event;
#endif
end_sleep:	event != seen
	fi
}

proctype kshrinkd()
{
	bit did, asked, alone;
	byte seen;

	do
	:: atomic { asked = look_around; look_around = 0 };
	   if
	   :: asked ->
#ifndef WITHOUT_LEAVING_FIRST
		move(RUNNING, LEAVING, did);
#endif
#ifndef WITHOUT_LOOK
		alone = (threads == 1);
#else
		alone = 1;
#endif
#ifndef WITHOUT_LEAVING_FIRST
		skip;
#else
		if
		:: alone -> move(RUNNING, LEAVING, did)
		:: else
		fi;
#endif
		if
		:: !alone ->
			move(LEAVING, RUNNING, did)
		:: else ->
#ifndef WITHOUT_LAST
			move(LEAVING, OFF, did);
#else
			state = OFF; did = 1;
#endif
			if
			:: did -> break
			:: else
			fi
		fi
	   :: else
	   fi;
	   sleep()
	od;
	made--
}

inline wake()
{
#ifndef WITHOUT_WAKE
	event++
#else
	skip
#endif
}

inline kshrinkd_thread_ends()
{
	if
	:: state != OFF -> look_around = 1; wake()
	:: else
	fi
}

inline kshrinkd_start()
{
	if
	:: state == RUNNING
	:: else ->
#ifndef WITHOUT_CALL_BACK
		move(LEAVING, RUNNING, did);
#else
		did = 0;
#endif
		if
		:: did
		:: else ->
			move(OFF, RUNNING, did);
			if
			:: did ->
				look_around = 0;
				made++;
				run kshrinkd()
			:: else
			fi
		fi
	fi
}

/* It is still there when it says that it ends. */
proctype T()
{
	kshrinkd_thread_ends();
	atomic { threads--; ended++ }
}

inline join()
{
	atomic { ended > 0 -> ended--; running-- };
	kshrinkd_thread_ends()
}

active proctype P()
{
	byte n, running;
	bit did;

	for (n : 1 .. 2) {
		threads++;
		if
		:: running++; run T()
		:: skip	/* this one stays */
		fi;
		kshrinkd_start();
		if
		:: running > 0 -> join()
		:: skip
		fi
	}
	do
	:: running > 0 -> join()
	:: else -> break
	od;
	timeout;
	assert(threads == 1 || made == 1);
	assert(threads > 1 || made == 0)
}
