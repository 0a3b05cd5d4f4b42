# SPDX-License-Identifier: MIT
"""What slabmalloc-report is made of: readers, a model, and a page."""
