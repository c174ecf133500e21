"""Runs, checkpoints and authors' files held beside each other: rows, columns, a page."""
