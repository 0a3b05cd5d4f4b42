# SPDX-License-Identifier: MIT
"""The subject under the library, and its dumps."""
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "api"))
import tap  # noqa: E402 pylint: disable=wrong-import-position

TREE = Path(__file__).resolve().parent.parent.parent
SUBJECT = os.environ["SLABMALLOC_SUBJECT"]
FORMATS = ["slabinfo", "json", "prometheus", "html"]


def schema():
    return json.loads((TREE / "preload/stats.schema.json").read_text(encoding="utf-8"))


def run(*arguments, **options):
    """A finished run of the subject."""
    return tap.run([SUBJECT, *map(str, arguments)], preload=[tap.library()], **options)


def dumps(*arguments, **options):
    """The lines of JSON that the subject wrote, and the other lines."""
    result = run(*arguments, **options)
    lines = result.stdout.splitlines()
    return (
        [json.loads(line) for line in lines if line.startswith("{")],
        [line for line in lines if not line.startswith("{")],
        result,
    )


def environment(**variables):
    env = tap.environment()
    return env | {"LD_PRELOAD": tap.library()} | variables
