// SPDX-License-Identifier: MIT
#include "cmocka.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOOD, FAILED, SKIPPED };

static jmp_buf out;

void cmocka_shim_end(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	if (file) {
		va_start(ap, fmt);
		fprintf(stderr, "%s:%d: ", file, line);
		vfprintf(stderr, fmt, ap);
		fputc('\n', stderr);
		va_end(ap);
	}
	longjmp(out, file ? FAILED : SKIPPED);
}

static int run(const struct CMUnitTest *test)
{
	static const char *const words[] = { "       OK", "  FAILED ", "  SKIPPED" };
	void *state = test->initial_state;
	volatile int result = setjmp(out);

	if (result == GOOD) {
		fprintf(stderr, "[ RUN      ] %s\n", test->name);
		if (test->setup_func && test->setup_func(&state))
			longjmp(out, FAILED);
		test->test_func(&state);
	}
	if (setjmp(out) == GOOD) {
		if (test->teardown_func && test->teardown_func(&state))
			result = FAILED;
	} else {
		result = FAILED;
	}
	fprintf(stderr, "[%s ] %s\n", words[result], test->name);
	return result;
}

/* Names in the environment, between spaces: what this machine's emulator cannot do. */
static bool impossible(const char *name)
{
	const char *list = getenv("CMOCKA_SHIM_SKIP");
	size_t n = strlen(name);

	for (const char *s = list; s && (s = strstr(s, name)); s += n)
		if ((s == list || s[-1] == ' ') && (!s[n] || s[n] == ' '))
			return true;
	return false;
}

int cmocka_shim_run(const char *group, const struct CMUnitTest *tests, size_t n,
		    CMFixtureFunction setup, CMFixtureFunction teardown)
{
	int count[3] = { 0 };
	void *state = NULL;

	if (setup && setup(&state))
		return 1;
	for (size_t i = 0; i < n; i++)
		count[impossible(tests[i].name) ? SKIPPED : run(&tests[i])]++;
	if (teardown && teardown(&state))
		count[FAILED]++;
	fprintf(stderr, "[==========] %s: %d passed, %d failed, %d skipped\n", group, count[GOOD],
		count[FAILED], count[SKIPPED]);
	return count[FAILED];
}
