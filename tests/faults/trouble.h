/* SPDX-License-Identifier: MIT */
/* What a program and its tracer (trouble.c) agree on: prctl(TROUBLE, 1) trouble may begin, prctl(TROUBLE, 0) it is over. */
#pragma once

#include <signal.h>
#include <stdbool.h>

#define TROUBLE 0x51ab0001u
