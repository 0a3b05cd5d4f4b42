#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the shared library shows the loader: its symbols, its needs, its segments and flags.

usage: BUILDTYPE, with SLABMALLOC_SO.
"""

import re
import subprocess
import sys

from tap import Tap, library

C_FUNCTIONS = """
    malloc calloc realloc reallocarray free free_sized free_aligned_sized posix_memalign
    aligned_alloc memalign valloc pvalloc cfree malloc_usable_size malloc_trim mallinfo mallinfo2
    mallopt malloc_stats malloc_info __libc_malloc __libc_free __libc_calloc __libc_realloc
    __libc_memalign __libc_valloc __libc_pvalloc pthread_create pthread_join unshare setns
""".split()

NOTHROW, ALIGN = "RKSt9nothrow_t", "St11align_val_t"
NEW_FORMS = ["", NOTHROW, ALIGN, ALIGN + NOTHROW]
DELETE_FORMS = ["", "{size}", NOTHROW, ALIGN, "{size}" + ALIGN, ALIGN + NOTHROW]

# The C++ runtime is used where a program has one: never needed, so weak.
WEAK_PREFIXES = ("_ZSt", "_ZNSt", "_ZNKSt", "__cxa_", "__gxx_", "_Unwind_", "__gmon_start__")
WEAK_OTHERS = ("_ITM_", "_Jv_", "_Zn", "_Zd", "__asan_init")

# What a malloc may not call: these allocate, or may. (malloc_info gets a FILE, and operator new
# that fails looks for a C++ runtime: so fprintf, fwrite and dlsym are not among them.)
FORBIDDEN = """
    printf snprintf sprintf vsnprintf fopen fdopen fputs puts strdup strerror getline opendir
    backtrace setlocale pthread_create syslog getenv sysconf qsort
""".split()


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def size_letter(so):
    """How C++ mangles size_t: 'm' where it is unsigned long, 'j' where unsigned int."""
    return "j" if "ELF32" in output("readelf", "-hW", so) else "m"


def expected_exports(so):
    m = size_letter(so)
    new = {f"_Zn{kind}{m}{form}" for kind in "wa" for form in NEW_FORMS}
    delete = {f"_Zd{kind}Pv{form.format(size=m)}" for kind in "la" for form in DELETE_FORMS}
    return set(C_FUNCTIONS) | new | delete


def symbols(so, *flags):
    """Rows of nm -D as (type, name), without symbol versions."""
    for line in output("nm", "-D", *flags, so).splitlines():
        *_, kind, name = line.split()
        yield kind, name.split("@")[0]


def check_exports(tap, so):
    exported = {name for kind, name in symbols(so, "--defined-only") if kind != "A"}
    wanted = expected_exports(so)
    missing = sorted(wanted - exported)
    alien = sorted(n for n in exported - wanted if not n.startswith("slabmalloc_"))
    tap.ok(not missing, "every malloc symbol of libc and of C++ is exported", missing)
    tap.ok(not alien, "nothing else is exported but slabmalloc_ names", alien)
    version = {n for n in exported if n.startswith("slabmalloc_")}
    public = {"slabmalloc_version", "slabmalloc_check", "slabmalloc_stats_write"}
    tap.ok(public <= version, "the public header's functions are exported", version)


def check_imports(tap, so):
    rows = list(symbols(so, "--undefined-only"))
    libc = "\n".join(
        output("nm", "-D", "--defined-only", path)
        for path in re.findall(r"=> (\S*/libc\.so\S*)", output("ldd", so))
    )
    known = {line.split()[-1].split("@")[0] for line in libc.splitlines() if line.strip()}
    weak = WEAK_PREFIXES + WEAK_OTHERS
    strangers = [
        (k, n)
        for k, n in rows
        if not (n in known or n == "__tls_get_addr" or (k in "wv" and n.startswith(weak)))
    ]
    tap.ok(known and not strangers, "undefined symbols are libc's, or weak", strangers)
    used = sorted({n for _, n in rows} & set(FORBIDDEN))
    tap.ok(not used, "nothing of libc that may allocate is called", used)
    tap.ok("__tls_get_addr" not in {n for _, n in rows}, "no dynamic TLS")


def check_dynamic(tap, so):
    dynamic = output("readelf", "-dW", so)
    soname = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
    tap.ok(soname == ["libslabmalloc.so.0"], "the soname is libslabmalloc.so.0", soname)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    alien = [n for n in needed if not re.match(r"(libc|libpthread|ld-linux.*)\.so", n)]
    tap.ok(not alien, "it needs libc only: no libstdc++, no libnuma", needed)
    tap.ok("TEXTREL" not in dynamic, "no relocations in the code")
    flags = " ".join(re.findall(r"\(FLAGS(?:_1)?\)(.*)", dynamic))
    tap.ok("NOW" in flags or "BIND_NOW" in flags, "it is bound at load time", dynamic)
    tap.ok("NODELETE" in flags, "dlclose cannot unload it", dynamic)
    tap.ok("STATIC_TLS" in flags, "its TLS is initial-exec", dynamic)


def check_segments(tap, so):
    headers = output("readelf", "-lW", so)
    tls = re.findall(r"^\s+TLS\s+\S+ \S+ \S+ (\S+) (\S+)", headers, re.M)
    sizes = [int(memory, 16) for _, memory in tls]
    promise = "its TLS is two pointers, 16 bytes"
    if sys.argv[1] == "debug":
        tap.skip(promise, "a debug build also keeps the ranks of held locks there")
    else:
        tap.ok(sizes == [16], promise, f"TLS segments: {tls}")
    stack = re.findall(r"GNU_STACK.*\b(R\w*)\s+0x", headers)
    tap.ok(stack == ["RW"], "it asks for no executable stack", headers)
    tap.ok("GNU_RELRO" in headers, "its relocated data are read-only", headers)


def main():
    so = library()
    tap = Tap()
    check_exports(tap, so)
    check_imports(tap, so)
    check_dynamic(tap, so)
    check_segments(tap, so)
    tap.done()


if __name__ == "__main__":
    main()
