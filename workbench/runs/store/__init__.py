"""Runs on the disk: their records, their metrics, what is masked, how two compare."""
