"""Traced theorems and premises: from Lean and from Metamath, kept, split."""
