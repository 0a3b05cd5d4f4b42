# SPDX-License-Identifier: MIT
"""Samples: what was measured, by row, allocator and metric."""

import math
import statistics


class Results:
    def __init__(self):
        self.samples = {}  # row -> allocator -> metric -> [value]
        self.failures = {}  # row -> allocator -> reason

    def add(self, row, allocator, values):
        metrics = self.samples.setdefault(row, {}).setdefault(allocator, {})
        for name, value in values.items():
            metrics.setdefault(name, []).append(value)

    def fail(self, row, allocator, reason):
        self.failures.setdefault(row, {})[allocator] = reason

    def failed(self, row, allocator):
        return self.failures.get(row, {}).get(allocator)

    def rows(self):
        return list(dict.fromkeys([*self.samples, *self.failures]))

    def metrics(self, row):
        """The metrics that any allocator has in this row, in the order of their first sample."""
        return list(dict.fromkeys(m for a in self.samples.get(row, {}).values() for m in a))

    def values(self, row, allocator, metric):
        if self.failed(row, allocator):
            return []
        return self.samples.get(row, {}).get(allocator, {}).get(metric, [])

    def median(self, row, allocator, metric):
        values = self.values(row, allocator, metric)
        return statistics.median(values) if values else None

    def minimum(self, row, allocator, metric):
        return min(self.values(row, allocator, metric), default=None)

    def ratio(self, row, allocator, metric, figure, base="glibc"):
        """One figure, such as Results.median, over that of the base; None where one is missing."""
        ours, theirs = figure(self, row, allocator, metric), figure(self, row, base, metric)
        return ours / theirs if ours and theirs else None


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None
