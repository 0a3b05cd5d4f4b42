/* SPDX-License-Identifier: MIT */
/*
 * random.c - the target of calls.c on the shared library as it is shipped, with random bytes for input.
 *
 *     fuzz-random [OPERATIONS [SEED]]
 *
 * libFuzzer looks for new paths, at some 30,000 operations a second; this one for rare coincidences, and is thirty times
 * as fast: no coverage, no mutation, long inputs. All of them come from the seed, one after the other. What time has a
 * part in, whether an atomic request fails, can be different again, but each input is the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "calls.h"

/* Some 11,000 operations: what the end of an input costs, all blocks freed, does not matter then. */
#define INPUT ((size_t)64 * 1024)
/* Operations between two lines that say how far it is. */
#define STEP ((uint64_t)25000000)

static uint64_t state;

/* splitmix64, as in tests/api/rng.c, whose name is taken here. */
static uint64_t random_word(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

int main(int argc, char **argv)
{
	static uint64_t input[INPUT / sizeof(uint64_t)];
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL), said = 0;

	fprintf(stderr, "random: again with: %s %" PRIu64 " %" PRIu64 "\n", argv[0], wanted, seed);
	state = seed;
	while (calls_operations() < wanted) {
		for (size_t i = 0; i < sizeof(input) / sizeof(*input); i++)
			input[i] = random_word();
		LLVMFuzzerTestOneInput((const uint8_t *)input, sizeof(input));
		if (calls_operations() / STEP > said) {
			said = calls_operations() / STEP;
			fprintf(stderr, "random: %" PRIu64 " operations\n", calls_operations());
		}
	}
	return 0;
}
