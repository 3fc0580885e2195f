"""Runs on disk: records, metrics, masked secrets, comparisons."""
