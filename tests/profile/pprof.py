# SPDX-License-Identifier: MIT
"""Reads profile.proto (github.com/google/pprof), as much as the library writes of it."""

from collections import namedtuple

Profile = namedtuple("Profile", "types samples mappings locations period default comments")
Mapping = namedtuple("Mapping", "start limit offset name build_id")


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a message; a value is an int or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
            if len(value) != length:
                raise ValueError("cut short")
        else:
            raise ValueError(f"kind {key & 7}")
        yield key >> 3, value


def packed(data):
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def read(data):
    """A Profile: samples are (addresses, {type: value}); locations {id: (mapping's number, address)}."""
    strings, types, samples, mappings, locations, single = [], [], [], {}, {}, {}
    comments = []
    for number, value in fields(data):
        if number == 1:
            types.append(dict(fields(value)))
        elif number == 2:
            parts = dict(fields(value))
            samples.append((packed(parts.get(1, b"")), packed(parts[2])))
        elif number == 3:
            parts = dict(fields(value))
            mappings[parts[1]] = parts
        elif number == 4:
            parts = dict(fields(value))
            locations[parts[1]] = (parts.get(2, 0), parts[3])
        elif number == 6:
            strings.append(value.decode())
        elif number == 13:
            comments.append(value)
        else:
            single[number] = value
    names = [strings[t[1]] for t in types]
    return Profile(
        [(strings[t[1]], strings[t[2]]) for t in types],
        [([locations[i][1] for i in ids], dict(zip(names, values))) for ids, values in samples],
        {i: Mapping(m[2], m[3], m.get(4, 0), strings[m.get(5, 0)], strings[m.get(6, 0)])
         for i, m in mappings.items()},
        locations, single.get(12), strings[single.get(14, 0)], [strings[c] for c in comments])
