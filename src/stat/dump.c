// SPDX-License-Identifier: MIT
#include "os/topology.h"
#include "stat/stat.h"

static void slabinfo(struct seq_file *m)
{
	stat_slabinfo(m);
	seq_putc(m, '\n');
	stat_buddyinfo(m);
	seq_putc(m, '\n');
	stat_zoneinfo(m);
	seq_putc(m, '\n');
	stat_totals(m);
	if (numa_many()) {
		seq_putc(m, '\n');
		stat_numa(m);
	}
}

bool stat_write(int fd, enum stats_format format)
{
	struct seq_file m;

	seq_open(&m, fd);
	switch (format) {
	case STATS_JSON:
		stat_json(&m);
		break;
	case STATS_PROMETHEUS:
		stat_prometheus(&m);
		break;
	case STATS_HTML:
		stat_html(&m);
		break;
	default:
		slabinfo(&m);
	}
	seq_flush(&m);
	return !m.failed;
}
