/* SPDX-License-Identifier: MIT */
/*
 * asleep.pml - the protocol of src/sheaf/asleep.c, for spin.
 *
 * A thread T uses its sheaves on fast paths (load this_cpu, change, done), on slow paths (inside raised, system calls
 * in the middle), sleeps, is interrupted by signals whose handlers sleep, and lends its memory to a child of vfork. A
 * reclaimer R takes its sheaves under W, O, I, F and S. Nobody may be in the sheaves with R.
 *
 * WITHOUT_W, _O, _I, _F, _S, _SECOND_O, _LENDING leave a condition out: each time spin must find the way to disaster.
 */

bit elsewhere;	/* T's this_cpu */
bit locked;	/* threads_lock */
bit asleep;	/* T, in a system call */
bit lends;	/* T, in vfork */
byte inside;
bit handler;	/* T: it was interrupted in our text, and the handler has not returned */
byte naps;	/* how often T fell asleep, as the kernel counts it */
bit t_in, r_in;	/* the sheaves */

#define LOCK atomic { !locked -> locked = 1 }
#define UNLOCK locked = 0

inline sleep()
{
	atomic { asleep = 1; naps++ };
	asleep = 0
}

/* This is the program's text: whoever is in it may sleep before the next statement. */
inline maybe_signal()
{
	if
	:: handler = 1; sleep(); handler = 0
	:: skip
	fi
}

inline fast_path()
{
	if
	:: atomic { !elsewhere -> t_in = 1 };
	   maybe_signal();
	   t_in = 0
	:: elsewhere -> slow_path()
	fi
}

inline slow_path()
{
	do
	:: atomic { elsewhere -> skip }; LOCK; UNLOCK
	:: atomic { !elsewhere -> break }
	od;
	/* Between reading this_cpu and raising inside: our text. */
	maybe_signal();
	inside++;
	t_in = 1;
	sleep();
	t_in = 0;
	inside--
}

active proctype T()
{
	byte n;

	for (n : 1 .. 3) {
		if
		:: fast_path()
		:: slow_path()
		:: sleep()
		:: lends = 1;
		   atomic { asleep = 1; naps++ };
		   /* The child, with T's this_cpu. */
		   if
		   :: atomic { !elsewhere -> t_in = 1 }; t_in = 0
		   :: elsewhere -> skip
		   fi;
		   asleep = 0;
		   lends = 0
		fi
	}
}

active proctype R()
{
	byte n, before;
	bit ok;

	for (n : 1 .. 2) {
		LOCK;
#ifndef WITHOUT_W
		elsewhere = 1;
#endif
		before = naps;
		atomic {
			ok = 1;
#ifndef WITHOUT_O
			ok = ok && asleep;
#endif
#ifndef WITHOUT_LENDING
			ok = ok && !lends;
#endif
			skip
		};
#ifndef WITHOUT_I
		ok = ok && inside == 0;
#endif
#ifndef WITHOUT_F
		ok = ok && !handler;
#endif
#ifndef WITHOUT_O
#ifndef WITHOUT_SECOND_O
		ok = ok && asleep;
#endif
#endif
#ifndef WITHOUT_S
		ok = ok && naps == before;
#endif
		if
		:: ok -> r_in = 1; r_in = 0
		:: else
		fi;
		elsewhere = 0;
		UNLOCK
	}
}

active proctype never_both()
{
	end: do
	:: atomic { t_in && r_in -> assert(false) }
	od
}
