# SPDX-License-Identifier: MIT
"""Real programs as benches.

Each runs in an empty directory of its own, under launch.c, which says what the whole process tree
cost and how large its largest process became. What a program prints must be what it printed in
the first run, which is glibc's where glibc is measured.
"""

import contextlib
import dataclasses
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from . import build, process, traces

SCRIPTS = build.ROOT / "tests" / "programs" / "workloads"
POSTGRES = (sorted(glob.glob("/usr/lib/postgresql/*/bin")) or ["/usr/lib/postgresql/bin"])[-1]

CHURN = {
    "perl": """my (%h, $n); for my $r (1 .. 4) { for my $i (1 .. $ARGV[0]) {
        my $k = "key " . ($i * 7919 % 100003); push @{$h{$k}}, "value $i"; $n += length $k;
        delete $h{"key $i"} if $i % 3 == 0; } } print scalar(keys %h), " $n\n";""",
    "lua": """local t, n = {}, 0
        for r = 1, 4 do for i = 1, tonumber(arg[1]) do
            local k = "key " .. (i * 7919 % 100003); t[k] = {k, i, {r}}; n = n + #k
            if i % 3 == 0 then t["key " .. i] = nil end
        end end print(n)""",
    "node": """let m = new Map(), n = 0; for (let i = 0; i < +process.argv[1]; i++) {
        let b = Buffer.from(JSON.stringify({i, text: "value " + i}).repeat(20));
        m.set(i % 5000, b); n += b.length; } console.log(m.size, n);""",
}

PAGE = """%!PS
/Times-Roman findfont 9 scalefont setfont
1 1 {pages} {{ /p exch def 0 1 60 {{ /l exch def 30 l 12 mul 40 add moveto
  0 1 9 {{ l mul p add 20 string cvs show ( text ) show }} for }} for showpage }} for
"""


def text_lines(count):
    x = 7
    for _ in range(count):
        x = x * 16807 % 2147483647
        word = chr(97 + x % 26) + chr(97 + x % 7)
        yield f"{x % 1000000} {word} the quick brown {x % 997} jumps\n"


def c_functions(count):
    """One function after another, each with a switch and a loop."""
    yield "int external(int, const char *);\n"
    for i in range(count):
        cases = "".join(f"case {j}: s += n * {i * 7 + j}; break;\n" for j in range(7))
        yield (f"int f{i}(int n) {{ int s = n;\n"
               f"for (int i = 0; i < n; i++) switch ((s ^ i) & 7) {{\n"
               f"{cases}default: s = external(s, \"text {i}\"); }}\nreturn s; }}\n")


def cc_templates(count):
    """A map of vectors for each of so many types."""
    yield "#include <map>\n" + "#include <algorithm>\n#include <vector>\n" * (count > 0)
    for i in range(count):
        yield (f"struct t{i} {{ int v[{i + 1}]; bool operator<(const t{i} &o) const"
               f" {{ return v[0] < o.v[0]; }} }};\n"
               f"int f{i}(std::map<t{i}, std::vector<t{i}>> &m, t{i} k)\n"
               f"{{ m[k].push_back(k); std::sort(m[k].begin(), m[k].end()); return m.size(); }}\n")


def write(folder, name, lines):
    with open(folder / name, "w", encoding="ascii") as file:
        file.writelines(lines)


@dataclasses.dataclass
class Program:
    """A command that ends by itself; its words may name {size}. prepare makes its input."""

    name: str
    what: str
    probe: str
    package: str
    words: tuple
    sizes: tuple  # measured, smoke
    prepare: object = None
    timeout: int = 300
    glibc: str = "-"  # what is preloaded for glibc: a program may link another malloc

    def launch(self, lab, allocator, folder, words):
        return [str(w) for w in (lab.programs / "launch", folder / "results",
                                 allocator.path or self.glibc,
                                 *words)]

    def environment(self, allocator, folder):
        env = allocator.environment()
        env.pop("LD_PRELOAD", None)  # launch sets it, for the program alone
        return env | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC",
                      "HOME": str(folder), "TMPDIR": str(folder), "PYTHONMALLOC": "malloc",
                      "PYTHONHASHSEED": "0", "PERL_HASH_SEED": "42", "PERL_PERTURB_KEYS": "0"}

    def work(self, lab, allocator, folder, size):
        """Returns what was printed, and the seconds if they are not those of the whole process."""
        words = [str(w).replace("{size}", str(size)) for w in self.words]
        done = subprocess.run(self.launch(lab, allocator, folder, words), cwd=folder, check=False,
                              env=self.environment(allocator, folder), timeout=self.timeout,
                              stdin=subprocess.DEVNULL, capture_output=True)
        check(done.returncode, done.stderr)
        return done.stdout, {}

    def once(self, lab, allocator, expected):
        size = self.sizes[lab.smoke]
        with tempfile.TemporaryDirectory(prefix="lab-") as parent:
            folder = pathlib.Path(parent)
            if self.prepare:
                self.prepare(folder, size)
            try:
                output, values = self.work(lab, allocator, folder, size)
            except subprocess.TimeoutExpired as late:
                raise process.Failed(f"not done in {self.timeout} s") from late
            except OSError as error:
                raise process.Failed(str(error)) from error
            text = (folder / "results").read_text(encoding="ascii")
        if expected.setdefault("output", output) != output:
            raise process.Failed("its output differs from that of the first run")
        return process.result_lines(text) | values

    def measure(self, lab):
        if not shutil.which(self.probe):
            lab.results.fail(self.name, "(all)", f"not installed (package {self.package})")
            return
        expected = {}
        lab.interleave(self.name, lambda allocator: lab.results.add(
            self.name, allocator.name, self.once(lab, allocator, expected)))


def check(status, errors):
    text = errors.decode(errors="replace")
    if "cannot be preloaded" in text:
        raise process.Failed("the library cannot be preloaded")
    if status:
        raise process.Failed(f"exit {status}: {process.last_line(text)}")


@dataclasses.dataclass
class Server(Program):
    """A server under the allocator; its clients are not. Wall time is the clients'."""

    clients: tuple = ()  # commands, {size} in them
    ready: str = "socket"  # exists when the server answers ...
    says: str = ""  # ... and this is in its log

    def work(self, lab, allocator, folder, size):
        log = folder / "log"
        with open(log, "wb") as out, subprocess.Popen(
                self.launch(lab, allocator, folder, self.words), cwd=folder, stdout=out,
                stderr=out, env=self.environment(allocator, folder)) as launch:
            try:
                self.wait(launch, folder, log)
                env = self.environment(allocator, folder)
                start = time.monotonic()
                for client in self.clients:
                    done = subprocess.run([str(w).replace("{size}", str(size))
                                           .replace("{folder}", str(folder))
                                           for w in client], cwd=folder,
                                          env=env, check=False, timeout=self.timeout,
                                          stdin=subprocess.DEVNULL, capture_output=True)
                    check(done.returncode, done.stderr)
                seconds = time.monotonic() - start
                stop(launch, signal.SIGINT)
                launch.wait(timeout=30)
            finally:
                stop(launch, signal.SIGKILL)
        check(launch.returncode, log.read_bytes())
        return b"", {"seconds": seconds}  # clients print speeds; their exit status is the check

    def wait(self, launch, folder, log):
        for _ in range(1000):
            if list(folder.glob(self.ready)) and self.says in log.read_text(errors="replace"):
                return
            if launch.poll() is not None:
                check(launch.returncode or 1, log.read_bytes())
            time.sleep(0.02)
        raise process.Failed("the server does not answer")


def stop(launch, number):
    """The server is launch's only child."""
    if launch.poll() is None:
        children = pathlib.Path(f"/proc/{launch.pid}/task/{launch.pid}/children")
        with contextlib.suppress(OSError):
            for pid in children.read_text(encoding="ascii").split():
                os.kill(int(pid), number)


def redis(name, what, count, *args):
    """Debian's redis links jemalloc; libc preloaded comes before it."""
    return Server(
        name, what, "redis-server", "redis-server",
        ("redis-server", "--port", "0", "--unixsocket", "socket", "--save", ""), (count, 200),
        glibc="libc.so.6",
        clients=(("redis-benchmark", "-s", "socket", "-q", "-n", "{size}", "-P", "16", "-r",
                  "100000", *args),))


def database(folder, _size):
    """A cluster, made under glibc; postgres refuses to run as root."""
    user = as_postgres() if os.geteuid() == 0 else ()
    if user:
        shutil.chown(folder, "postgres")
    subprocess.run([*user, f"{POSTGRES}/initdb", "-D", folder / "data", "-U", "lab", "-A", "trust",
                    "--locale=C", "--no-sync"], check=True, capture_output=True, cwd=folder)


def as_postgres():
    return ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")


def pgbench(*args):
    return (f"{POSTGRES}/pgbench", "-h", "{folder}", "-U", "lab", *args, "postgres")


SQL = traces.SQL.replace("{rows}", "{size}")

BENCHES = [
    redis("redis-set", "redis-benchmark, pipelined SET of 200 bytes", 150000,
          "-d", "200", "-t", "set"),
    redis("redis-get", "the same, SET and GET", 80000, "-d", "200", "-t", "set,get"),
    redis("redis-list", "the same, LPUSH and LRANGE of 100", 8000,
          "-d", "20", "-t", "lpush,lrange_100"),
    Program("sqlite", "an index and a join in memory", "sqlite3", "sqlite3",
            ("sqlite3", ":memory:", SQL), (300000, 100)),
    Program("python", "JSON, dictionaries and lists, PYTHONMALLOC=malloc", "/usr/bin/python3",
            "python3", ("/usr/bin/python3", "-c", traces.JSON, "{size}"), (100000, 100)),
    Program("perl", "a hash of arrays of strings", "perl", "perl",
            ("perl", "-e", CHURN["perl"], "{size}"),
            (300000, 100)),
    Program("lua", "tables and strings", "lua5.4", "lua5.4", ("lua5.4", "churn.lua", "{size}"),
            (300000, 100), lambda folder, _: write(folder, "churn.lua", CHURN["lua"])),
    Program("node", "JSON in buffers", "node", "nodejs",
            ("node", "-e", CHURN["node"], "{size}"),
            (200000, 100)),
    Program("gcc", "gcc -O2 of many functions", "gcc", "gcc",
            ("gcc", "-O2", "-S", "-o", "-", "in.c"), (500, 3),
            lambda folder, size: write(folder, "in.c", c_functions(size))),
    Program("g++", "g++ -O2 of templates", "g++", "g++",
            ("g++", "-O1", "-S", "-o", "-", "in.cc"), (12, 0),
            lambda folder, size: write(folder, "in.cc", cc_templates(size))),
    Program("ghostscript", "pages of text as a raster", "gs", "ghostscript",
            ("gs", "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-sDEVICE=pgmraw", "-r72",
             "-sOutputFile=/dev/null", "in.ps"), (60, 1),
            lambda folder, size: write(folder, "in.ps", PAGE.format(pages=size))),
    Program("sort", "sort --parallel=2 of lines", "sort", "coreutils",
            ("sort", "--parallel=2", "-S", "256M", "-k2,2", "-k1,1n", "in"), (600000, 100),
            lambda folder, size: write(folder, "in", text_lines(size))),
    Program("xz", "xz -T2", "xz", "xz-utils",
            ("xz", "-T2", "-2", "--block-size=2MiB", "-c", "in"), (600000, 100),
            lambda folder, size: write(folder, "in", text_lines(size))),
    Server("postgres", "pgbench, two clients", f"{POSTGRES}/pgbench", "postgresql",
           (*(as_postgres() if os.geteuid() == 0 else ()), f"{POSTGRES}/postgres", "-D", "data",
            "-k", "..", "-c", "listen_addresses=", "-c", "fsync=off"), (2000, 10), database,
           says="ready to accept connections",
           clients=(pgbench("-i", "-q"), pgbench("-n", "-t", "{size}", "-c", "2")),
           ready=".s.PGSQL.5432"),
    Server("memcached", "items of many sizes", "memcached", "memcached",
           ("memcached", "-u", "root" if os.geteuid() == 0 else "nobody", "-s", "socket",
            "-m", "256", "-t", "2"), (0, 0),
           clients=(("/usr/bin/python3", SCRIPTS / "memcached_client.py", "socket"),)),
    Program("java", "javac: its compilers' and classes' native memory", "javac",
            "default-jdk-headless",
            ("javac", "-J-Xmx256m", "-d", ".", SCRIPTS / "Threads.java"), (0, 0)),
]
