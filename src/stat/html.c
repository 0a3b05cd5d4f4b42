// SPDX-License-Identifier: MIT
/*
 * html.c - the dump as a page that needs nothing else: dump-page.html around the JSON.
 */
#include "dump-page.h"
#include "stat/stat.h"

void stat_html(struct seq_file *m)
{
	seq_puts(m, page_before);
	stat_json(m);
	seq_puts(m, page_behind);
}
