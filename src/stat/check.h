/* SPDX-License-Identifier: MIT */
/*
 * check.h - do the invariants hold? Each one that does not is a line on stderr.
 */
#pragma once

/* Walks everything; returns how many invariants are broken. Other threads should be quiet. */
unsigned long check_all(void);
