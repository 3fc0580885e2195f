"""Sweeps: a grid of cells, each run once, whatever dies meanwhile."""
