"""Sweeps and ablations: rows, each in a folder of its own, and the table of them all."""
