/* SPDX-License-Identifier: MIT */
/*
 * lock.pml - the lock of src/base/lock.[ch], for spin: a futex word with the holder's id, and a bit if somebody may sleep.
 *
 * Three threads take it, some of them twice. Never are two of them inside, and nobody sleeps for ever.
 *
 * WITHOUT_BIT_KEPT a thread that has slept takes the lock without the bit; _BIT_SET it sleeps without having set the bit;
 * _COMPARE the system lets it sleep without looking at the word; _WAKE a release wakes nobody; _CAS it takes what it saw
 * free a moment ago. Each time spin must find the way to disaster.
 */

#define WAITERS 1
#define ID (2 * _pid + 2)	/* even, not 0 */

byte word;
byte sleepers;	/* in the system's queue */
byte woken;	/* of them, that may go */
byte inside;

/* Compare-and-swap of the word, from `old`; if it was another, that is in `old`. */
inline swap(to)
{
	atomic {
		if
		:: word == old -> word = to; did = 1
		:: else -> old = word; did = 0
		fi
	}
}

inline futex_wait(value)
{
	atomic {
		if
#ifndef WITHOUT_COMPARE
		:: word != value -> skip
		:: word == value -> sleepers++; slept = 1
#else
		:: sleepers++; slept = 1
#endif
		fi
	};
	if
	:: slept -> atomic { woken > 0 -> woken--; slept = 0 }
	:: else
	fi
}

inline take()
{
	old = 0;
#ifndef WITHOUT_CAS
	swap(ID);
#else
	did = (word == 0);
	if
	:: did -> word = ID
	:: else
	fi;
#endif
	do
	:: did -> break
	:: else ->
		old = word;
		if
#ifndef WITHOUT_BIT_KEPT
		:: old == 0 -> swap(ID | WAITERS)
#else
		:: old == 0 -> swap(ID)
#endif
		:: else ->
#ifndef WITHOUT_BIT_SET
			swap(old | WAITERS);
#else
			did = (word == old);
#endif
			if
#ifndef WITHOUT_BIT_SET
			:: did -> futex_wait((old | WAITERS)); did = 0
#else
			:: did -> futex_wait(old); did = 0
#endif
			:: else
			fi
		fi
	od
}

inline release()
{
	atomic { old = word; word = 0 };
#ifndef WITHOUT_WAKE
	if
	:: old & WAITERS -> atomic {
		if
		:: sleepers > 0 -> sleepers--; woken++
		:: else
		fi }
	:: else
	fi
#endif
}

active [3] proctype T()
{
	byte old, n;
	bit did, slept;

	for (n : 1 .. 2) {
		take();
		inside++;
		assert(inside == 1);
		inside--;
		release()
	}
}
