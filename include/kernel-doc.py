#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes manual pages of the comments in the headers, as the kernel's scripts/kernel-doc does.

usage: kernel-doc.py --list HEADER…            the pages' names
       kernel-doc.py DIRECTORY HEADER…         the pages, one for each function

A comment that begins "/**" and names a function is a page: its first line, its arguments (@name:),
its paragraphs, and what follows "Return:" and "Context:". The declaration is what stands behind it.
"""
import pathlib
import re
import sys

COMMENT = re.compile(r"^/\*\*\n(.*?)\*/\n(.*?)(?=^/\*|\Z)", re.S | re.M)
TITLE = re.compile(r"(\w+)(?:\(\))? - (.*)")
NOISE = re.compile(r"\s*(?:__asm__\(\"\w*\"\)|__attribute__\(\(.*?\)\))|^static inline ", re.S)
SECTION = re.compile(r"(Return|Context): ?(.*)", re.S)
OWN = re.compile(r"@(\w+|\.\.\.)")


class Function:
    def __init__(self, header, comment, code):
        text = [line.removeprefix(" *").removeprefix(" ") for line in comment.split("\n")]
        body = "\n".join(text).strip()
        title, _, rest = body.partition("\n")
        self.header = header
        self.name, self.what = TITLE.match(title).groups()
        self.synopsis = synopsis(self.name, code)
        self.arguments, self.paragraphs, self.sections = [], [], {}
        for paragraph in re.split(r"\n\s*\n|\n(?=@|Return:|Context:)", rest):
            self.add(paragraph.strip("\n"))

    def add(self, paragraph):
        argument = re.match(r"@(\w+|\.\.\.): ?(.*)", paragraph, re.S)
        section = SECTION.match(paragraph)
        if argument:
            self.arguments.append(argument.groups())
        elif section:
            self.sections[section[1]] = section[2]
        elif paragraph.strip():
            self.paragraphs.append(paragraph)


def synopsis(name, code):
    """The declaration of a function, or the first line of a macro."""
    macro = re.search(rf"^#define ({name}\([^)]*\))", code, re.M)
    if macro:
        return macro[1]
    found = re.search(rf"^[^#\n][^;{{}}]*?\b{name}\([^;{{]*?\)(?=[^;{{)]*[;{{])", code, re.S | re.M)
    return re.sub(r"\s+", " ", NOISE.sub("", found[0])).strip() if found else f"{name}()"


def functions(header):
    name = f"slabmalloc/{pathlib.Path(header).name}"
    for comment, code in COMMENT.findall(pathlib.Path(header).read_text(encoding="utf-8")):
        first = comment.split("\n")[0]
        if TITLE.match(first.strip(" *")) and not re.match(r" \* (struct|enum) ", first):
            yield Function(name, comment, code)


def escape(text):
    text = OWN.sub(r"\1", text).replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.split("\n"))


def block(text):
    """A paragraph; what is indented in it stands as it is."""
    lines = text.split("\n")
    if all(line.startswith(("\t", "  ")) for line in lines):
        return [".Bd -literal -offset indent", *(escape(line.strip("\n")) for line in lines), ".Ed"]
    return [".Pp", *(escape(line.strip()) for line in lines)]


def page(f, others):
    out = [f'.\\" Made from {f.header}.', ".Dd $Mdocdate$", f".Dt {f.name.upper()} 3", ".Os",
           ".Sh NAME", f".Nm {f.name}", f".Nd {escape(f.what)}", ".Sh SYNOPSIS",
           f".In {f.header}", ".Bd -literal", escape(f.synopsis), ".Ed", ".Sh DESCRIPTION"]
    if f.arguments:
        out.append(".Bl -tag -width Ds")
        for name, text in f.arguments:
            out += [f".It Fa {name}", *(escape(line.strip()) for line in text.split("\n"))]
        out.append(".El")
    for paragraph in f.paragraphs:
        out += block(paragraph)
    for section, title in (("Return", "RETURN VALUES"), ("Context", "CONTEXT")):
        if section in f.sections:
            text = f.sections[section]
            out += [f".Sh {title}", *(escape(line.strip()) for line in text.split("\n"))]
    out += [".Sh SEE ALSO", *(f".Xr {name} 3 ," for name in sorted(others) if name != f.name),
            ".Xr libslabmalloc 7"]
    return "\n".join(out) + "\n"


def main():
    target, *headers = sys.argv[1:]
    found = [(header, list(functions(header))) for header in headers]
    for _, of_header in found:
        for f in of_header:
            if target == "--list":
                print(f"{f.name}.3")
            else:
                path = pathlib.Path(target) / f"{f.name}.3"
                names = [other.name for other in of_header]
                path.write_text(page(f, names), encoding="utf-8")


if __name__ == "__main__":
    main()
