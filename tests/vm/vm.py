#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A virtual machine for tests: QEMU without KVM, a kernel of Debian's, everything in an initramfs.

    vm.py [--node CPUS:MIB]… [--append WORDS] [--file PATH]… COMMAND

    vm.py --node 2:256 --node 2:256 'numactl --hardware'     two nodes
    vm.py --node 2:256 --node 0:256 …                        a node without processors
    vm.py --node 1:256 --node 1:0 …                          a node without memory
    vm.py --append psi=0 …                                   words for the kernel's command line

It boots, its sh runs the command, and it ends, in some seconds. Files that are named lie in
/payload, the command's directory, with the shared libraries that they need. The guest has busybox,
and a cgroup v2 hierarchy with the memory controller (groups=none among its kernel's words: none).
It is some ten times slower than the machine it runs on: it shows what happens, not how fast.

The exit status is the command's; 77: no virtual machine can be had here, and stdout says why.
scripts/setup gets QEMU, busybox and the kernel.
"""

import argparse
import collections
import glob
import os
import pathlib
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FETCHED = HERE.parents[1] / "build/kernel"
# Words for QEMU and for the kernel. The first serial port has the kernel's messages; the second,
# which init knows as `said`, what the guest says. Kernels: where scripts/setup leaves one, and where
# an installed one lies. Root: where another machine's libraries are here.
Guest = collections.namedtuple("Guest", "qemu words serial boot kernels busybox root")
X86_64 = Guest(
    "qemu-system-x86_64", ("-machine", "q35,accel=tcg", "-cpu", "max"), ("-serial", "file:{said}"),
    "console=ttyS0 said=ttyS1 no_timer_check",
    (str(FETCHED / "boot/vmlinuz-*"), "/boot/vmlinuz-*cloud-amd64"), "busybox", None)
# Its pointers are signed by QEMU's own function: the architecture's takes most of the time. Its clock
# counts instructions: no test of it runs out of time because this machine is busy.
ARM64_16K = Guest(
    "qemu-system-aarch64", ("-machine", "virt,accel=tcg", "-cpu", "max,pauth-impdef=on",
                            "-icount", "shift=1,sleep=off", "-rtc", "clock=vm"),
    ("-chardev", "file,id=said,path={said}", "-device", "pci-serial,chardev=said"),
    "console=ttyAMA0 said=ttyS0", (str(FETCHED / "arm64-16k/vmlinuz-*"),),
    str(FETCHED / "arm64-16k/busybox"), "/usr/aarch64-linux-gnu")
BOOT = "quiet panic=-1 mitigations=off nowatchdog nokaslr rcupdate.rcu_cpu_stall_suppress=1"
STATUS = re.compile(r"vm: status (\d+), processors (\d+)\s*\Z")


class Missing(Exception):
    """Why there can be no virtual machine here."""


class Hung(Exception):
    """A guest that lacks a processor or did not say how its command ended; the text: its kernel's
    last words."""


def kernel(guest=X86_64):
    if guest is X86_64 and platform.machine() != "x86_64":
        raise Missing(f"the guests are x86-64, this machine is {platform.machine()}")
    for program in (guest.qemu, guest.busybox):
        if not shutil.which(program):
            raise Missing(f"no {os.path.basename(program)} (scripts/setup tests)")
    own = os.environ.get("SLABMALLOC_VM_KERNEL") if guest is X86_64 else None
    found = [own] if own else [p for pattern in guest.kernels for p in sorted(glob.glob(pattern))]
    found = [p for p in found if os.access(p, os.R_OK)]
    if not found:
        raise Missing("no kernel for a guest (scripts/setup tests)")
    return found[0]


def foreign_libraries(path, root):
    """What another machine's program needs: name in the guest -> path here."""
    said = subprocess.run(["readelf", "-d", path], capture_output=True, text=True,
                          check=False).stdout
    found = {}
    for name in re.findall(r"\(NEEDED\).*\[(.*)\]", said):
        library = f"{root}/lib/{name}"
        if os.path.exists(library):
            found |= {f"lib/{name}": library, **foreign_libraries(library, root)}
    return found


def libraries(path, root):
    """The shared libraries of a program, and the loader, as above; none for a script."""
    with open(path, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return {}
    if root:
        return foreign_libraries(path, root)
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    return {p.lstrip("/"): p for p in re.findall(r"(/\S+) \(0x", said)}


def cpio_entry(number, name, mode, data=b""):
    """An entry of the "newc" format that the kernel unpacks at boot."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def initramfs(command, files, guest=X86_64):
    """The guest's files, the directories above them; `files` are names in /payload, and paths."""
    busybox = shutil.which(guest.busybox)
    content = {
        "init": (HERE / "init").read_bytes(),
        "command": command.encode(),
        "bin/busybox": pathlib.Path(busybox).read_bytes(),
        "etc/passwd": b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    }
    for path in (busybox, *files.values()):
        for name, library in libraries(path, guest.root).items():
            content[name] = pathlib.Path(library).read_bytes()
    for name, path in files.items():
        content[f"payload/{name}"] = pathlib.Path(path).read_bytes()
    folders = {"dev", "proc", "sys", "tmp", "payload"}
    for name in content:
        folders.update(str(p) for p in pathlib.PurePath(name).parents if str(p) != ".")
    entries = [cpio_entry(i, name, stat.S_IFDIR | 0o755)
               for i, name in enumerate(sorted(folders, key=lambda f: f.count("/")), 1)]
    entries += [cpio_entry(i, name, stat.S_IFREG | 0o755, data)
                for i, (name, data) in enumerate(content.items(), len(entries) + 1)]
    return b"".join(entries) + cpio_entry(0, "TRAILER!!!", 0)


def machine(nodes, distances):
    """QEMU's words for nodes of (processors, MiB); distances: (from, to) -> how far, 10: none."""
    words, cpu = [], 0
    for i, (cpus, mib) in enumerate(nodes):
        node = f"node,nodeid={i}"
        if mib:
            words += ["-object", f"memory-backend-ram,id=m{i},size={mib}M"]
            node += f",memdev=m{i}"
        if cpus:
            node += f",cpus={cpu}-{cpu + cpus - 1}"
        words += ["-numa", node]
        cpu += cpus
    for (source, to), far in (distances or {}).items():
        words += ["-numa", f"dist,src={source},dst={to},val={far}"]
    size = sum(mib for _, mib in nodes)
    return ["-smp", str(cpu), "-m", f"{size}M", *(words if len(nodes) > 1 else [])]


def boot(guest, image, nodes, append, timeout, distances):
    with tempfile.TemporaryDirectory() as folder:
        initrd, said, log = (pathlib.Path(folder) / n for n in ("initrd", "said", "log"))
        initrd.write_bytes(image)
        command = [guest.qemu, *guest.words, *machine(nodes, distances),
                   "-nodefaults", "-display", "none", "-no-reboot",
                   "-serial", f"file:{log}", *(w.format(said=said) for w in guest.serial),
                   "-kernel", kernel(guest), "-initrd", str(initrd),
                   "-append", f"{guest.boot} {BOOT} {append}"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=timeout, text=True, check=False)
            why = done.stderr
        except subprocess.TimeoutExpired:
            why = f"not done in {timeout} s"
        text, messages = (p.read_text(errors="replace").replace("\r", "") if p.exists() else ""
                          for p in (said, log))
    status = STATUS.search(text)
    # A processor that does not answer in time is left out by the kernel: its host was busy.
    if not status or int(status[2]) != sum(cpus for cpus, _ in nodes):
        raise Hung(f"{why}\n{messages[-2000:]}\n{text[-2000:]}")
    return int(status[1]), text[:status.start()]


def run(command, files, nodes=((2, 512),), append="", timeout=60, distances=None, guest=X86_64):
    """(exit status, output) of a command in a guest. A boot that hangs is tried a second time."""
    image = initramfs(command, files, guest)
    try:
        return boot(guest, image, nodes, append, timeout, distances)
    except Hung:
        return boot(guest, image, nodes, append, timeout, distances)


def node(text):
    cpus, mib = text.split(":")
    return int(cpus), int(mib)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", type=node, action="append", metavar="CPUS:MIB")
    parser.add_argument("--append", default="", metavar="WORDS")
    parser.add_argument("--file", action="append", default=[], metavar="PATH")
    parser.add_argument("--timeout", type=int, default=60, metavar="SECONDS")
    parser.add_argument("command")
    args = parser.parse_args()
    try:
        files = {os.path.basename(path): path for path in args.file}
        status, text = run(args.command, files, args.node or ((2, 512),), args.append,
                           args.timeout)
    except Missing as why:
        print(f"SKIP: {why}")
        return 77
    except Hung as why:
        sys.exit(f"vm: the guest hung: {why}")
    print(text, end="")
    return status


if __name__ == "__main__":
    sys.exit(main())
