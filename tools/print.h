/* SPDX-License-Identifier: MIT */
/*
 * print.h - a snapshot as text: for people, as JSON, and as Prometheus reads it.
 */
#pragma once

#include <stdio.h>

#include "heap.h"

/* "408.9K": four or five characters, and a unit. */
const char *human(size_t bytes, char buf[16]);

/* "running", "stopped" or "core". */
const char *state_name(const struct heap *h, const struct snapshot *s);

/* Text out of another process, in quotes: anything may be in it. */
void json_string(FILE *f, const char *text);

void print_text(FILE *f, const struct heap *h, const struct snapshot *s);

/* One object on one line. */
void print_json(FILE *f, const struct heap *h, const struct snapshot *s);
void print_prometheus(FILE *f, const struct heap *h, const struct snapshot *s);
