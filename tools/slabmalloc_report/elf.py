# SPDX-License-Identifier: MIT
"""Names of functions in ELF files of 64 bits and this machine's byte order, by their symbols."""

import bisect
import mmap
import struct

PT_LOAD, PT_NOTE, SHT_SYMTAB, SHT_DYNSYM, STT_FUNC, STT_GNU_IFUNC = 1, 4, 2, 11, 2, 10


class Symbols:
    """A file that is no longer there, or another one by now, has no names."""

    def __init__(self, path, build_id=""):
        self.loads, self.starts, self.functions = [], [], []
        try:
            with open(path, "rb") as file, \
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                self.read(data, build_id)
        except (OSError, ValueError, struct.error, IndexError):
            self.starts, self.functions = [], []

    def read(self, data, build_id):
        if data[:5] != b"\x7fELF\x02":
            return
        program, section = struct.unpack_from("=QQ", data, 32)
        sizes = struct.unpack_from("=HHHH", data, 54)
        if build_id and self.segments(data, program, sizes[0], sizes[1]) != build_id:
            return
        if not build_id:
            self.segments(data, program, sizes[0], sizes[1])
        headers = [struct.unpack_from("=IIQQQQII", data, section + i * sizes[2])
                   for i in range(sizes[3])]
        found = {}
        for header in headers:
            if header[1] in (SHT_SYMTAB, SHT_DYNSYM):
                self.table(data, header, headers[header[6]], found)
        for start in sorted(found):
            self.starts.append(start)
            self.functions.append(found[start])

    def segments(self, data, at, size, number):
        """Fills in what is loaded; the build id, or ""."""
        build_id = ""
        for i in range(number):
            kind, _, offset, address, _, length = struct.unpack_from("=IIQQQQ", data, at + i * size)
            if kind == PT_LOAD:
                self.loads.append((offset, offset + length, address))
            elif kind == PT_NOTE:
                build_id = note(data, offset, offset + length) or build_id
        return build_id

    @staticmethod
    def table(data, header, strings, found):
        """{address: (end, name)}, a name without a version."""
        for at in range(header[4], header[4] + header[5], 24):
            name, info, _, section, value, size = struct.unpack_from("=IBBHQQ", data, at)
            if info & 15 in (STT_FUNC, STT_GNU_IFUNC) and section and value not in found:
                begin = strings[4] + name
                text = data[begin:data.find(b"\0", begin)].decode(errors="replace")
                found[value] = (value + size, text.partition("@")[0])

    def find(self, offset):
        """The function at an offset of the file, or None."""
        for start, end, address in self.loads:
            if start <= offset < end:
                value = offset - start + address
                i = bisect.bisect_right(self.starts, value) - 1
                if i >= 0 and value < max(self.functions[i][0], self.starts[i] + 1):
                    return self.functions[i][1]
        return None


def note(data, at, end):
    """The build id among notes, in hexadecimal."""
    while at + 12 <= end:
        name, size, kind = struct.unpack_from("=III", data, at)
        begin = at + 12 + (name + 3) // 4 * 4
        if kind == 3 and data[at + 12:at + 16] == b"GNU\0":
            return data[begin:begin + size].hex()
        at = begin + (size + 3) // 4 * 4
    return None
