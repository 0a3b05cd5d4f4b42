#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes dump-page.h: dump-page.html as strings of C, what stands before its @DATA@ and behind.

usage: dump-page.py PAGE HEADER
"""

import sys


def string(name, text):
    """An array of the text's bytes, a line of C for each of its lines; indentation is left out."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    body = '\\n"\n\t"'.join(line.lstrip("\t") for line in text.split("\n"))
    return f'static const char {name}[] =\n\t"{body}";\n'


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        before, behind = f.read().split("@DATA@")
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write("/* made by src/stat/dump-page.py */\n")
        f.write(string("page_before", before) + string("page_behind", behind))


if __name__ == "__main__":
    main()
