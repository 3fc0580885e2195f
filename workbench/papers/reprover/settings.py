"""Sizes of a run by profile."""

from ...errors import UsageError

PROFILES: dict[str, dict] = {
    "smoke": {"n_val": 20, "n_test": 60, "n_queries": 40, "n_prove": 4, "calls": 12},
    "quick": {"n_val": 40, "n_test": 80, "n_queries": 0, "n_prove": 60, "calls": 40},
    "standard": {"n_val": 40, "n_test": 80, "n_queries": 0, "n_prove": 80, "calls": 300},
    "paper": {"n_val": 40, "n_test": 80, "n_queries": 0, "n_prove": 80, "calls": 2000},
}
# of a Metamath database: proofs asked in each split, and how many premises the sentence encoder reads at most
for _profile, (_asked, _read) in {
    "smoke": (40, 0), "quick": (500, 2000), "standard": (1000, 2000), "paper": (0, 100_000),
}.items():  # fmt: skip
    PROFILES[_profile] |= {"n_metamath": _asked, "n_embed": _read}
ZERO = ("n_val", "n_queries", "n_metamath", "n_embed")  # these may be 0


def fill(profile: str, **given) -> dict:
    """The profile's sizes, with every value that is not None put in its place (0 queries or proofs: all)."""
    if profile not in PROFILES:
        raise UsageError(f"profile {profile!r} is unknown; choose {', '.join(PROFILES)}")
    sizes = {**PROFILES[profile], **{name: value for name, value in given.items() if value is not None}}
    for name, value in sizes.items():
        if value < (0 if name in ZERO else 1):
            raise UsageError(f"{name}={value} is too small; give a positive number")
    return sizes
