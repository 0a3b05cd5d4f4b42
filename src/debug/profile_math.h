/* SPDX-License-Identifier: MIT */
/*
 * profile_math.h - the two functions of libm that sampling needs, where libm cannot be called.
 */
#pragma once

#include "base/compiler.h"

/* The natural logarithm of x > 0, to 1e-12: of the mantissa by atanh's series. */
static inline double profile_ln(double x)
{
	const double ln2 = 0.693147180559945309;
	double z, square, sum = 0;
	u64 bits;
	int e;

	__builtin_memcpy(&bits, &x, sizeof(bits));
	e = (int)(bits >> 52) - 1023;
	bits = (bits & ((1ull << 52) - 1)) | 1023ull << 52;
	__builtin_memcpy(&x, &bits, sizeof(x));
	z = (x - 1) / (x + 1);
	square = z * z;
	for (int k = 27; k > 0; k -= 2)
		sum = sum * square + 1.0 / k;
	return e * ln2 + 2 * z * sum;
}

/* 1 - exp(-x) for x >= 0: Taylor's series of a small part of x, then doubled up. */
static inline double profile_probability(double x)
{
	double sum = 0;
	int doublings = 0;

	if (x > 40)
		return 1;
	for (; x > 0.25; x /= 2)
		doublings++;
	for (int k = 14; k > 0; k--)
		sum = -x / k * (1 + sum);
	while (doublings--)
		sum *= 2 + sum;
	return -sum;
}
