#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The fast paths of malloc and free in the shipped library, read from its disassembly.

A path goes from the function's entry to a `ret` without leaving the function. A slow one leaves it,
by a call or by a tail jump. The fast path is the one that serves an object: of the paths that
never leave, those that store to memory (a pop or a push moves the sheaf's top). If there are
several, the longest of them must be within the limit.

usage: BUILDTYPE, with SLABMALLOC_SO.
"""

import re
import subprocess
import sys
from collections import namedtuple

from tap import Tap, library, skip_all

LIMITS = {
    "malloc": 15,
    "free": 22,
    "slabmalloc_kmalloc_cache": 15,
    "slabmalloc_kmem_cache_alloc": 15,
    "slabmalloc_kfree": 22,
    "slabmalloc_kmem_cache_free": 24,
}
LIMIT_OF_SUM = 36  # malloc and free

Instruction = namedtuple("Instruction", "address text mnemonic operands")


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def disassemble(so, function):
    """The function's instructions by address, in order."""
    for line in output("readelf", "--dyn-syms", "-W", so).splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[3] == "FUNC" and fields[7].split("@")[0] == function:
            start, size = int(fields[1], 16), int(fields[2], 0)
            break
    else:
        sys.exit(f"no function {function} in {so}")
    listing = output(
        "objdump", "-d", "--no-show-raw-insn", f"--start-address={start}",
        f"--stop-address={start + size}", so,
    )  # fmt: skip
    code = {}
    for address, text in re.findall(r"^\s*([0-9a-f]+):\t(.*)$", listing, re.M):
        text = text.split("#")[0].strip()
        words = text.split(None, 1)
        # Prefixes are words of their own in objdump's output, and part of one instruction.
        while words and words[0] in ("bnd", "notrack", "cs", "ds", "data16") and len(words) > 1:
            words = words[1].split(None, 1)
        code[int(address, 16)] = Instruction(
            int(address, 16), text, words[0], words[1] if len(words) > 1 else ""
        )
    return code


def target(instruction):
    found = re.match(r"(?:0x)?([0-9a-f]+)\b", instruction.operands)
    return int(found.group(1), 16) if found else None


def paths(code):
    """All ways from the entry to a ret that stay inside; a way never comes twice by one place."""
    order = sorted(code)
    following = dict(zip(order, order[1:]))
    found = []

    def walk(address, taken):
        while address in code and address not in {i.address for i in taken}:
            instruction = code[address]
            taken = taken + [instruction]
            name = instruction.mnemonic
            if name.startswith("ret"):
                found.append(taken)
                return
            if name.startswith(("call", "syscall", "hlt", "ud2", "int3")):
                return
            if name == "jmp":
                address = target(instruction)
                continue
            if name.startswith("j"):
                walk(target(instruction), taken)
            address = following.get(address)

    walk(order[0], [])
    return found


def stores(instruction):
    """Whether it writes memory: the last operand is the destination in AT&T syntax."""
    if instruction.mnemonic.startswith(("cmp", "test", "nop", "j", "bt", "prefetch", "lea")):
        return instruction.mnemonic.startswith(("bts", "btr", "btc"))
    to_tls = re.search(r"[%$]\w+,.*%fs:\S+$", instruction.operands)
    return instruction.operands.endswith(")") or to_tls


def is_atomic(instruction):
    locked = instruction.text.startswith("lock") or " lock " in instruction.text
    exchange = instruction.mnemonic.startswith("xchg") and "(" in instruction.operands
    return locked or exchange or instruction.mnemonic.endswith("fence")


def show(path):
    return "\n".join(f"{i.address:8x}: {i.text}" for i in path)


def fast_path(tap, so, function):
    """Check one function; return the length of its fast path, or None."""
    code = disassemble(so, function)
    whole = f"disassembly of {function}:\n{show(code[a] for a in sorted(code))}"
    serving = [p for p in paths(code) if any(stores(i) for i in p)]
    if not tap.ok(serving, f"{function} has a path without a call", whole):
        return None
    fast = max(serving, key=len)
    lengths = sorted(len(p) for p in serving)
    print(f"# {function}: paths without a call that serve an object: {lengths} instructions")
    tap.ok(
        not any(is_atomic(i) for p in serving for i in p),
        f"{function}'s fast path has no atomic instruction",
        show(fast),
        whole,
    )
    tap.ok(
        len(fast) <= LIMITS[function],
        f"{function}'s fast path has at most {LIMITS[function]} instructions: {len(fast)}",
        show(fast),
        whole,
    )
    return len(fast)


def main():
    so = library()
    if sys.argv[1] == "debug":
        skip_all("a debug build has assertions on the fast path")
    if sys.argv[2] != "gcc":
        skip_all("the limits are those of gcc's code, which is what is shipped")
    if "X86-64" not in output("readelf", "-hW", so):
        skip_all("the limits are those of x86-64")
    tap = Tap()
    counts = {f: fast_path(tap, so, f) for f in LIMITS}
    if counts["malloc"] and counts["free"]:
        both = counts["malloc"] + counts["free"]
        tap.ok(
            both <= LIMIT_OF_SUM,
            f"malloc and free together have at most {LIMIT_OF_SUM} instructions: {both}",
        )
    tap.done()


if __name__ == "__main__":
    main()
