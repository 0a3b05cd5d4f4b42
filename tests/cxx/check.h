// SPDX-License-Identifier: MIT
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                               \
	do {                                                                                      \
		if (!(cond)) {                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond); \
			exit(1);                                                                  \
		}                                                                                 \
	} while (0)
