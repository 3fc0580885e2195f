"""Explanation by example: edits that flip an answer, rows that taught it, a shortcut found and mended."""
