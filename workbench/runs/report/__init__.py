"""Reports: a page for each run, one page over all runs, and grids as tables and small multiples."""
