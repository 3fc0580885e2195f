"""Sweeps: a grid of cells, each run once, also after a crash."""
