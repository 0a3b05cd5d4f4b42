// SPDX-License-Identifier: MIT
/*
 * policy.c - memory policies: the program's, which are kept to, and those of the heap's own ranges.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/topology.h"

enum {
	MPOL_DEFAULT,
	MPOL_PREFERRED,
	MPOL_BIND,
	MPOL_INTERLEAVE,
	MPOL_LOCAL,
	MPOL_PREFERRED_MANY,
	MPOL_WEIGHTED_INTERLEAVE,

	MPOL_MODES = 0xff, /* without the flags above them */
	MPOL_F_NODE = 1,
	MPOL_F_ADDR = 2,
	MPOL_F_MEMS_ALLOWED = 4,
	MAXNODE = MAX_NUMNODES + 1, /* the kernel takes one off */
};

struct numa_calls numa_calls;

static struct numa_library library;

void os_numa_library(const struct numa_library *l)
{
	library.distance = l->distance;
	__atomic_store_n(&library.get_mempolicy, l->get_mempolicy, __ATOMIC_RELEASE);
	__atomic_store_n(&library.mbind, l->mbind, __ATOMIC_RELEASE);
}

static bool get_mempolicy(int *mode, unsigned long *nodes, void *addr, unsigned int flags)
{
	unsigned long maxnode = nodes ? MAXNODE : 0;
	int saved = errno;
	bool ok;

	if (READ_ONCE(library.get_mempolicy))
		ok = library.get_mempolicy(mode, nodes, maxnode, addr, flags) == 0;
	else
		ok = syscall(SYS_get_mempolicy, mode, nodes, maxnode, addr, flags) == 0;
	errno = saved;
	return ok;
}

/* 0 or an error's number. */
static int bind_range(void *addr, size_t size, int mode, const unsigned long *nodes)
{
	int saved = errno, error;
	long r;

	if (READ_ONCE(library.mbind))
		r = library.mbind(addr, size, mode, nodes, MAXNODE, 0);
	else
		r = syscall(SYS_mbind, addr, size, mode, nodes, (unsigned long)MAXNODE, 0u);
	error = r ? errno : 0;
	errno = saved;
	return error;
}

u32 os_mems_allowed(unsigned long *nodes)
{
	int saved = errno;
	bool unknown;
	u32 n = 0;

	for (u32 i = 0; i < MAX_NUMNODES / 64; i++)
		nodes[i] = 0;
	if (syscall(SYS_get_mempolicy, NULL, nodes, (unsigned long)MAXNODE, NULL,
		    MPOL_F_MEMS_ALLOWED)) {
		unknown = errno != ENOSYS;
		errno = saved;
		return unknown ? 0 : 1;
	}
	for (u32 i = 0; i < MAX_NUMNODES / 64; i++)
		n += (u32)__builtin_popcountl(nodes[i]);
	return n;
}

bool os_policy_read(struct policy *p)
{
	static const u8 modes[] = {
		[MPOL_DEFAULT] = POLICY_LOCAL,
		[MPOL_PREFERRED] = POLICY_PREFERRED,
		[MPOL_BIND] = POLICY_BIND,
		[MPOL_INTERLEAVE] = POLICY_INTERLEAVE,
		[MPOL_LOCAL] = POLICY_LOCAL,
		[MPOL_PREFERRED_MANY] = POLICY_MANY,
		[MPOL_WEIGHTED_INTERLEAVE] = POLICY_INTERLEAVE,
	};
	int mode = 0;
	unsigned long any = 0;

	p->mode = POLICY_LOCAL;
	if (numa.fake || !get_mempolicy(&mode, p->nodes, NULL, 0))
		return false;
	for (u32 i = 0; i < ARRAY_SIZE(p->nodes); i++)
		any |= p->nodes[i];
	mode &= MPOL_MODES;
	/* Preferred without a node is the kernel's old way to say local. */
	if (any && mode < (int)ARRAY_SIZE(modes))
		p->mode = modes[mode];
	return true;
}

bool os_bind(void *addr, size_t size, u32 nid)
{
	static bool refused;
	struct policy p;
	int error;

	if (numa.fake || READ_ONCE(refused))
		return false;
	if (os_policy_read(&p) && p.mode == POLICY_BIND) {
		error = bind_range(addr, size, MPOL_BIND, p.nodes);
	} else {
		unsigned long nodes[MAX_NUMNODES / 64] = { 0 };

		nodes[nid / 64] = 1ul << nid % 64;
		error = bind_range(addr, size, MPOL_PREFERRED, nodes);
	}
	counter_add(numa_calls.mbind, 1);
	if (!error)
		return true;
	counter_add(numa_calls.refused, 1);
	/* A sandbox: it will not be permitted later, either. */
	if (error == EPERM || error == ENOSYS)
		WRITE_ONCE(refused, true);
	return false;
}

int os_node_of(void *p)
{
	int node;

	return !numa.fake && get_mempolicy(&node, NULL, p, MPOL_F_NODE | MPOL_F_ADDR) ? node : -1;
}

u32 os_library_distance(u32 from, u32 to)
{
	int distance = library.distance ? library.distance((int)from, (int)to) : 0;

	return distance > 0 ? (u32)distance : 0;
}
