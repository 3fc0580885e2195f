"""Reports: a page a run, one page over all of them, grids as tables and small multiples."""
