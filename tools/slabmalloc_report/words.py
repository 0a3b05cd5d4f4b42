# SPDX-License-Identifier: MIT
"""Numbers as people read them."""


def human(count):
    """Bytes."""
    sign, count = ("−", -count) if count < 0 else ("", count)
    if count < 1024:
        return f"{sign}{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        count /= 1024
        if count < 1023.95 or unit == "TiB":
            return f"{sign}{count:.{1 if count < 99.95 else 0}f} {unit}"
    return None


def grouped(count):
    return f"{count:,}".replace(",", " ")


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def nice_step(most, parts):
    """1, 2 or 5 times a power of ten, so that about so many of it make the most."""
    step = 1e-9
    while most / step > parts:
        for factor in (1, 2, 5):
            if most / (step * factor) <= parts:
                return step * factor
        step *= 10
    return step


def byte_step(most, parts):
    """A power of two."""
    step = 1
    while most / step > parts:
        step *= 2
    return step
