"""In-context randomness (skeleton)."""

from .curve import next_flip_curve
from .flips import as_digits, parse_flips, random_flips, repeat_concept
from .settings import ALPHABETS, JUDGEMENT, PROFILES, PROMPTS, SETTINGS, RandomnessSettings

__all__ = [
    "ALPHABETS", "JUDGEMENT", "PROFILES", "PROMPTS", "SETTINGS", "RandomnessSettings",
    "as_digits", "next_flip_curve", "parse_flips", "random_flips", "repeat_concept",
]  # fmt: skip
