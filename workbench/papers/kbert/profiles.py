"""Sizes of the study: how much of it fits into 40 seconds, 3 minutes, half an hour, or a GPU's afternoon."""

from ...errors import UsageError

TASKS = ("typing", "typing_two", "teaching", "own")

# learning_rate, epochs and batch_size are not the paper's (2e-5, 5, 32): with 200 sentences those would be 35 steps.
# rates: what each arm chooses its learning rate from, on held-out training entities; none: learning_rate for all arms.
PROFILES = {
    "smoke": {
        "tasks": ["typing"], "n_seeds": 1, "n_train": 12, "n_test": 12, "epochs": 1, "learning_rate": 4e-4, "rates": [],
        "batch_size": 12, "top_layers": 1, "noise_seeds": 0,
    },
    "quick": {
        "tasks": ["typing", "teaching"], "n_seeds": 1, "n_train": 96, "n_test": 96, "epochs": 5,
        "learning_rate": 4e-4, "rates": [], "batch_size": 16, "top_layers": -1, "noise_seeds": 0,
    },
    "standard": {
        "tasks": ["typing", "typing_two", "teaching"], "n_seeds": 3, "n_train": 198, "n_test": 180, "epochs": 8,
        "learning_rate": 4e-4, "rates": [1e-4, 4e-4], "batch_size": 16, "top_layers": -1, "noise_seeds": 1,
    },
    "paper": {
        "tasks": ["typing", "typing_two", "teaching"], "n_seeds": 10, "n_train": 1200, "n_test": 600, "epochs": 8,
        "learning_rate": 4e-4, "rates": [5e-5, 1e-4, 2e-4, 4e-4], "batch_size": 16, "top_layers": -1, "noise_seeds": 10,
    },
}  # fmt: skip


def fill(profile: str, **given) -> dict:
    """The profile's sizes, each replaced by the ``given`` one that is not None: a notebook's parameters win.

    ``top_layers`` is the number of the encoder's layers that are trained; -1 trains everything. A given
    ``learning_rate`` goes for every arm: then none is chosen, unless ``rates`` are given too.

    Raises
    ------
    UsageError
        An unknown profile, size or task, or a size that is too small.
    """
    if profile not in PROFILES:
        raise UsageError(f"profile {profile!r} is unknown: choose one of {', '.join(PROFILES)}")
    unknown = set(given) - set(PROFILES[profile])
    if unknown:
        raise UsageError(f"size {sorted(unknown)[0]!r} is unknown: there are {', '.join(PROFILES[profile])}")
    sizes = dict(PROFILES[profile]) | {name: value for name, value in given.items() if value is not None}
    for task in sizes["tasks"]:
        if task not in TASKS:
            raise UsageError(f"task {task!r} is unknown: choose from {', '.join(TASKS)}")
    if given.get("learning_rate") is not None and given.get("rates") is None:
        sizes["rates"] = []  # one rate is asked for
    if not all(0 <= rate < float("inf") for rate in (*sizes["rates"], sizes["learning_rate"])):
        raise UsageError(f"rates={sizes['rates']}, learning_rate={sizes['learning_rate']}: give rates of 0 or more")
    for name, least in (("n_seeds", 1), ("n_train", 12), ("n_test", 12), ("epochs", 1), ("batch_size", 1)):
        if sizes[name] < least:
            raise UsageError(f"{name}={sizes[name]} is too small: give at least {least}")
    if not sizes["tasks"]:
        raise UsageError(f"tasks is empty: choose from {', '.join(TASKS)}")
    return sizes
