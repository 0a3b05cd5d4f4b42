/* SPDX-License-Identifier: MIT */
/* The tests ask for glibc's names too, which the library has everywhere. */
#pragma once

#include_next <malloc.h>

#include "../../../preload/glibc.h"
