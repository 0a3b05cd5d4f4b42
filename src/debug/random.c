// SPDX-License-Identifier: MIT
#include "debug/random.h"

u64 random_seed(void)
{
	static u64 seed;
	u64 s = READ_ONCE(seed), none = 0;

	if (s)
		return s;
	s = os_random() | 1;
	return __atomic_compare_exchange_n(&seed, &none, s, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED)
		       ? s
		       : none;
}

u64 get_random_u64(void)
{
	static u64 counter;

	return random_mix(random_seed() +
			  __atomic_add_fetch(&counter, 0x9e3779b97f4a7c15ull, __ATOMIC_RELAXED));
}
