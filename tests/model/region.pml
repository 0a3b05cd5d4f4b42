/* SPDX-License-Identifier: MIT */
/*
 * region.pml - how a region's address space goes and comes (region_put and region_get in src/page/section.c), for spin.
 *
 * R gives a region back, and the system may refuse. Meanwhile anybody may be given its address space: the program P, for a
 * mapping of its own, in which it looks a pointer up; or the heap itself, G, for a new region. Neither may find the old one;
 * and what was refused must be found as before.
 *
 * WITHOUT_FORGETTING_FIRST the region is forgotten when its address space is gone; _PUTTING_BACK: one that stays is not put
 * back. Each time spin must find the way to disaster.
 */

mtype = { OLD, PROGRAM, NEW, NOBODY };
mtype space = OLD;	/* whose the address space is */
mtype found = OLD;	/* section->region[]: OLD, NEW, or NOBODY */
bit locked;

#define LOCK atomic { !locked -> locked = 1 }
#define UNLOCK locked = 0

active proctype R()
{
	bit refused;

	LOCK;
#ifndef WITHOUT_FORGETTING_FIRST
	found = NOBODY;
#endif
	if
	:: space = NOBODY
	:: refused = 1
	fi;
#ifdef WITHOUT_FORGETTING_FIRST
	if
	:: !refused -> found = NOBODY
	:: else
	fi;
#endif
#ifndef WITHOUT_PUTTING_BACK
	if
	:: refused -> found = OLD
	:: else
	fi;
#endif
	UNLOCK;
	assert(!refused || found == OLD)
}

active proctype P()
{
end:	atomic { space == NOBODY -> space = PROGRAM };
	assert(found == NOBODY);
	space = NOBODY
}

active proctype G()
{
	mtype r;

end:	atomic { space == NOBODY -> space = NEW };
	LOCK;
	r = found;
	if
	:: r == NOBODY -> r = NEW; found = NEW
	:: else
	fi;
	UNLOCK;
	assert(r == NEW && found == NEW)
}
