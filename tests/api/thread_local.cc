// SPDX-License-Identifier: MIT
// C++ objects with destructors at every end of life: of threads, of main, of the process.
// Constructed before and after the first allocation, they allocate and free when they die.
#include "api.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

// What it holds dies last, after it has allocated anew in its destructor.
struct Hoarder {
	std::vector<std::unique_ptr<std::string>> strings;

	explicit Hoarder(int n)
	{
		for (int i = 0; i < n; i++)
			strings.push_back(std::make_unique<std::string>(20 + 37 * i, 'x'));
	}

	~Hoarder()
	{
		std::vector<std::string> more;

		for (const auto &s : strings) {
			check(s->size() >= 20 && s->back() == 'x');
			more.push_back(*s + *s);
		}
		strings.clear();
		check(more.empty() || more.back().back() == 'x');
	}
};

Hoarder of_the_process(100);

thread_local Hoarder of_each_thread(50);
thread_local std::string touched_last;

void at_the_end()
{
	Hoarder h(30);
	free(malloc(100));
}

__attribute__((constructor)) void at_start()
{
	atexit(at_the_end);
	Hoarder h(10);
}

__attribute__((destructor)) void at_the_very_end()
{
	Hoarder h(10);
	// Of all exit handlers this is among the last: what it says is that all went well.
	static const char text[] = "ended well\n";
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
}

void live_shortly()
{
	touched_last = std::string(100, 'y');
	of_each_thread.strings.push_back(std::make_unique<std::string>(1000, 'x'));
}

} // namespace

int main()
{
	require_library();
	for (int i = 0; i < 100; i++)
		std::thread(live_shortly).join();
	const size_t before = rss_bytes();
	for (int i = 0; i < 3000; i++)
		std::thread(live_shortly).join();
	check(rss_bytes() < before + MIB);

	std::vector<std::thread> many;
	for (int i = 0; i < 64; i++)
		many.emplace_back(live_shortly);
	for (auto &t : many)
		t.join();

	check(heap_inconsistencies() == 0);

	// These die with the main thread and with the process, while another still runs.
	live_shortly();
	std::thread([] {
		for (;;)
			Hoarder h(5);
	}).detach();
	return 0;
}
