/* SPDX-License-Identifier: MIT */
/* calls.h - the target of calls.c for a driver that is not libFuzzer: random.c. */
#ifndef CALLS_H
#define CALLS_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Of all inputs so far. */
uint64_t calls_operations(void);

#endif
