"""Repair: patches judged by parser, compiler and execution, a patcher by rule, and diffs that `git apply` takes."""

from .diffs import diff
from .rules import rule_patch
from .stages import STAGES, Proposal, Validation, validate

__all__ = ["STAGES", "Proposal", "Validation", "diff", "rule_patch", "validate"]
