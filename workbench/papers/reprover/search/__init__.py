"""Best-first proof search, the front door to it, and the comparison of provers at equal Lean calls."""
