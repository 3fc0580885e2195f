"""A run's surroundings: code revision, package versions, hardware. Without torch: nvidia-smi names the GPUs."""

import functools
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ... import __version__
from ...files import ROOT
from .processes import this_process


def git_revision(folder: Path = ROOT) -> dict[str, Any] | None:
    """{"revision", "dirty"} of the checkout, or None without git or a repository."""
    if shutil.which("git") is None:
        return None
    # safe.directory: another user may own the checkout (a container's mount), and git only reads it here
    command = ["git", "-c", f"safe.directory={folder}", "-C", str(folder)]
    try:
        head = subprocess.run([*command, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=20)
        if head.returncode:
            return None
        changed = subprocess.run(
            [*command, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"revision": head.stdout.strip(), "dirty": bool(changed.stdout.strip()) if not changed.returncode else None}


def requirements() -> list[tuple[str, str]]:
    """The (name, version range) pairs the package declares, without its extras and this platform's exclusions."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("workbench") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    parsed = [Requirement(line) for line in lines]
    wanted = [item for item in parsed if item.marker is None or item.marker.evaluate({"extra": ""})]
    return [(item.name, str(item.specifier)) for item in wanted]


def versions() -> dict[str, str]:
    """The installed version of every package that the workbench depends on, as far as it is installed."""
    found = {}
    for name, _ in requirements():
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def surroundings() -> dict[str, Any]:
    """The fields of a record about code, versions and machine; a sweep asks once for all its runs."""
    return {
        "git": git_revision(),
        "workbench": __version__,
        "python": platform.python_version(),
        "versions": versions(),
        "hardware": hardware(),
        "process": this_process(),
    }


@functools.cache
def hardware() -> dict[str, Any]:
    """CPU model, usable cores, memory in bytes, system, and the GPUs (name, memory, driver) nvidia-smi lists."""
    import psutil

    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_bytes": memory_limit(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "host": platform.node(),
        "gpus": gpus(),
        "swap_bytes": psutil.swap_memory().total,
    }


def cpu_model() -> str:
    """The processor's name."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_limit() -> int:
    """Bytes of memory this process may use: the machine's, or its control group's where that is less."""
    import psutil

    total = psutil.virtual_memory().total
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(path).read_text()))
        except (OSError, ValueError):  # no control group, or "max"
            continue
    return total


@functools.cache
def gpus() -> list[dict[str, str]]:
    """The NVIDIA GPUs of this machine, by nvidia-smi; empty without one."""
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=15,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if answer.returncode:
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.stdout.splitlines() if line.strip()]
    return [dict(zip(("name", "memory", "driver"), row)) for row in rows]
