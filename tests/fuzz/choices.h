/* SPDX-License-Identifier: MIT */
/*
 * choices.h - the input of a fuzzer makes the choices that tests/api's random numbers make elsewhere.
 *
 * rng_below() takes as many bytes of the input as its bound needs, and 0 where none are left; rng_next() is as ever, so
 * patterns do not use the input up.
 */
#ifndef CHOICES_H
#define CHOICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void choices_begin(const uint8_t *data, size_t size);
bool choices_left(void);

#endif
