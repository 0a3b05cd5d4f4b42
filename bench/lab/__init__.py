# SPDX-License-Identifier: MIT
"""The bench lab's runner: what scripts/compare and scripts/count-instructions share.

    allocators   whom is measured: glibc, Debian's peers, slabmalloc, any library beside them
    process      one measured process: its environment, its result lines, its failure
    catalogue    what is run: the workloads, and the three that are read in another way
    traces       what the traces are recorded from
    group        a memory cgroup for processes
    pressure     who gives memory back when others need it
    programs     real programs, their inputs and servers
    timeline     resident memory over time, in a run of its own
    pictures     samples as pictures and as a page
    results      the samples, by row, allocator and metric
    report       samples as tables and as JSON
    callgrind    callgrind's output as a call graph

Runs are interleaved: every allocator once, then every allocator again, so that slow moments of
the machine fall on all of them. Medians are shown, and minima beside them, since on a virtual
machine noise only ever adds.
"""
