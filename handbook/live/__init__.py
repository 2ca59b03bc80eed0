"""Cells that run in the page: the built site and this reader's kernels, one process, one origin."""
