/* SPDX-License-Identifier: MIT */
#pragma once

/* Before the program's first thread is made. */
void libnuma_load(void);
