# SPDX-License-Identifier: MIT
"""The one error that is told in a line."""


class Problem(Exception):
    """A file that cannot be read as what it is."""
