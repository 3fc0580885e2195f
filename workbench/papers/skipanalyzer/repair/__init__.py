"""Repair: patches judged by parser, compiler and execution, a patcher by rule, and diffs that `git apply` takes."""

from .diffs import diff
from .rules import rule_patch
from .stages import STAGES, Proposal, Validation, validate
from .tree import Patched, patched

__all__ = ["STAGES", "Patched", "Proposal", "Validation", "diff", "patched", "rule_patch", "validate"]
