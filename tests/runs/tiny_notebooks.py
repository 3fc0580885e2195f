"""Tiny notebooks for the runner's tests, written as nbformat JSON: no torch, a second or two each."""

import json
from pathlib import Path

PARAMETERS = """profile: str = "quick"         # smoke, quick, standard or paper
model: str = "smollm2"         # which model
bits: int | None = None        # 4 or 8
base_url: str | None = None    # the server
seed: int = 0                  # every random choice follows from it
concept: str = "01"            # the repeated word
sizes: list[int] = [1, 2]      # how many"""


def write_notebook(
    path: Path,
    *cells: str,
    parameters: str | None = PARAMETERS,
    title: str = "# A tiny notebook",
    kernel: str = "python3",
) -> Path:
    """A notebook with a title, a parameters cell (None: none) and code cells; a cell beginning with ## is markdown."""
    made = [_markdown(title)]
    if parameters is not None:
        made.append(_code(parameters, tags=["parameters"]))
    made += [_markdown(cell) if cell.startswith("## ") else _code(cell) for cell in cells]
    for number, cell in enumerate(made):
        cell["id"] = f"cell-{number}"
    notebook = {
        "cells": made,
        "metadata": {
            "kernelspec": {"name": kernel, "display_name": kernel, "language": "python"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook), "utf-8")
    return path


def _markdown(source: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str, tags: list[str] = ()) -> dict:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }
