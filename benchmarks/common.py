"""What the benchmarks share: their options, CPU seconds, and the last line for machines.

Imported first by each of them: it also makes ``python benchmarks/NAME.py`` find the package of this checkout.
"""

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def options(doc: str, quick: str = "smaller sizes, under a minute") -> argparse.ArgumentParser:
    """A parser with ``--json`` and ``--quick``; ``doc`` is the script's own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def cpu_seconds(work) -> tuple[float, object]:
    """CPU seconds of ``work()`` in all threads of this process, and its result."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def device_name() -> str:
    """The GPU's name, or how many threads of the CPU torch uses."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    count = torch.get_num_threads()
    return f"cpu, {count} thread{'s' if count > 1 else ''}"


def print_json(name: str, ratios: dict[str, float], device: str, packages: tuple[str, ...]) -> None:
    """The last line: the ratios to four places, where they were measured, with which versions."""
    found = {"python": sys.version.split()[0]} | {package: version(package) for package in packages}
    rounded = {key: round(ratio, 4) for key, ratio in ratios.items()}
    print(json.dumps({"name": name, "ratios": rounded, "device": device, "versions": found}))
