/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/printk.h"

/* The message Profile of pprof's profile.proto, not compressed. Addresses only: readers have the symbols. */
void profile_write_pprof(struct seq_file *m);
