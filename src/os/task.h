/* SPDX-License-Identifier: MIT */
/*
 * task.h - what another thread of this process is doing, as the kernel tells it.
 */
#pragma once

#include "base/compiler.h"

/*
 * Is the thread blocked in a system call, and no child of vfork or clone using its memory meanwhile? *sp: its stack
 * pointer. False where the kernel does not tell, or tells of an emulator's threads. What it says held at one instant within the call.
 */
bool os_task_asleep(u32 tid, uintptr_t *sp);

/* How often the thread has gone to sleep, about to the last time; SIZE_MAX: nobody knows. */
size_t os_task_naps(u32 tid);

/*
 * Did a signal interrupt the thread, whose stack pointer is sp, at an instruction in [text, end), and its handler has not
 * returned? True where that cannot be excluded. top: an address above all frames where it is on the same stack as
 * sp, as a thread's own variables (__thread) are.
 */
bool os_task_interrupted_in(uintptr_t sp, const void *top, const void *text, const void *end);
