"""Every size of a paper once: its four profiles, the least value that makes sense, and what else can be checked early.

A paper's ``settings.py`` declares ``PROFILES = Profiles({...}, n_flips=Size(24, 60, 140, 140, least=4), …)``. The
notebook fills what was left at None from it; the command line checks what was given against it before a kernel starts,
so that a slip costs a sentence and no minutes. No torch: a paper's settings are read where nothing heavy is.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError
from .files import user_path

LARGEST = 10**9  # of a size that has no bound of its own: what follows from more is no experiment but a slip
MOST_SEED = 2**32 - 1  # numpy's own bound, the narrowest of those whom a seed is handed to
NAMES = ("smoke", "quick", "standard", "paper")  # the sizes every paper's notebook offers


@dataclass(frozen=True)
class Size:
    """One size: its value in each profile, and what a value must be.

    A list is checked item by item, and must have one unless ``zero``.

    Parameters
    ----------
    smoke, quick, standard, paper
        Its value: a number or a list. What type they have is what a given value must have (a float may be whole).
    least, most
        Of a number.
    zero
        Whether 0 is allowed although it is below ``least``, or for a list to be empty: it leaves something out.
    whole
        Whether a number must be a whole one; None: where those of the profiles are.
    choices
        Of a text, instead of numbers; ``pattern``, a regular expression, where they cannot be listed.
    item
        What one item of a list is called in sentences.
    short
        What too low a number is called in sentences.
    help
        A few words for people, where the notebook's own line does not say it.
    follows
        (another size, a function): where that one is given and this one is not, the function's value of it.
    within
        Another size, which this one may not exceed: a profile's value is cut to it, though not below ``least``.
    """

    smoke: Any
    quick: Any
    standard: Any
    paper: Any
    _: KW_ONLY
    least: float = 1
    most: float | None = None
    zero: bool = False
    whole: bool | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    item: str = ""
    short: str = "too small"
    help: str = ""
    follows: tuple[str, Callable[[Any], Any]] | None = None
    within: str = ""

    @property
    def bounds(self) -> str:
        """What a value must be, in a few words for a table."""
        if self.choices or self.pattern:
            return ""
        text = f"{self.least:g}" + (f" to {self.most:g}" if self.most is not None else "")
        return f"0, or {text}" if self.zero else text

    def check(self, name: str, value: Any) -> None:
        """A value that makes no sense raises UsageError."""
        if isinstance(self.smoke, list):
            if not isinstance(value, list):
                raise UsageError(f"{name}={value!r} is no list: give one such as {self.quick}")
            if not value and not self.zero:
                some = f"choose from {', '.join(self.choices)}" if self.choices else f"give at least one: {self.quick}"
                raise UsageError(f"{name} is empty: {some}")
        for one in value if isinstance(value, list) else [value]:
            self._one(name, value, one)

    def _one(self, name: str, value: Any, one: Any) -> None:
        what = _cut(f"{self.item} {one!r}" if self.item else f"{name}={value}")
        if self.choices:
            if one not in self.choices:
                raise UsageError(f"{what} is unknown: choose from {', '.join(self.choices)}{_near(one, self.choices)}")
            return
        if self.pattern:
            if not isinstance(one, str) or not re.fullmatch(self.pattern, one):
                raise UsageError(f"{what} makes no sense: give {self.help or f'something like {self.quick}'}")
            return
        example = next(iter(self.quick or self.standard)) if isinstance(self.quick, list) else self.quick
        whole = isinstance(example, int) if self.whole is None else self.whole
        kind = int if whole else (int, float)
        if isinstance(one, bool) or not isinstance(one, kind) or one - one != 0:
            raise UsageError(f"{what} is no {'whole ' if whole else ''}number: give one such as {example}")
        zero = self.zero and not isinstance(self.quick, list)
        if one < self.least and not (zero and one == 0):
            nothing = ", or 0 to leave it out" if zero else ""
            raise UsageError(f"{what} is {self.short}: give at least {self.least:g}{nothing}")
        most = LARGEST if self.most is None else self.most
        if one > most:
            raise UsageError(f"{what} is too large: give at most {most:g}")


@dataclass(frozen=True)
class Choice:
    """A parameter that is one of a few words."""

    words: tuple[str, ...]

    def check(self, name: str, value: Any, folders: list[Path]) -> None:
        """Another word raises UsageError."""
        if value not in self.words:
            raise UsageError(
                f"{_cut(f'{name}={value!r}')} is unknown: choose from {', '.join(self.words)}{_near(value, self.words)}"
            )


@dataclass(frozen=True)
class Text:
    """A parameter that is a text of a certain form, a regular expression; ``says`` what to give instead."""

    pattern: str
    says: str

    def check(self, name: str, value: Any, folders: list[Path]) -> None:
        """A text of another form raises UsageError."""
        if isinstance(value, str) and not re.fullmatch(self.pattern, value):
            raise UsageError(f"{name}={value[:60]!r} makes no sense: give {self.says}")


@dataclass(frozen=True)
class Name:
    """A parameter that names a model, an encoder or a revision: some letters in one line."""

    def check(self, name: str, value: Any, folders: list[Path]) -> None:
        """An empty text, or one that no name can be, raises UsageError."""
        if isinstance(value, str) and (not value.strip() or re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", value)):
            raise UsageError(f"{_cut(f'{name}={value!r}')} is no name: give one in one line, such as smollm2")


@dataclass(frozen=True)
class File:
    """A parameter that names a user's file (or ``folder``); ``words`` stand for something of ours instead.

    ``hub``: what is no path by its look may be a name on the hub, which nobody can check here.
    """

    words: tuple[str, ...] = ()
    folder: bool = False
    hub: bool = False

    def check(self, name: str, value: Any, folders: list[Path]) -> None:
        """A path where nothing is, or something of the other kind, raises UsageError."""
        if not isinstance(value, str) or value in self.words or (self.hub and not looks_like_a_path(value)):
            return
        check_path(name, value, folders, folder=self.folder if not self.hub else None)


def looks_like_a_path(text: str) -> bool:
    """Whether a model's or an encoder's name can only be a place on this machine."""
    return text.startswith(("/", "./", "../", "~")) or text.lower().endswith(".gguf")


def check_path(name: str, value: str, folders: list[Path], folder: bool | None = False) -> None:
    """UsageError if a parameter names no file (or folder; None: either) that is there and has something in it."""
    if re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        raise UsageError(f"{_cut(f'{name}={value!r}')} cannot be read (a line end or a NUL in it); check the path")
    what = "folder" if folder else "file" if folder is False else "file or folder"
    path = user_path(value)
    places = [path] if path.is_absolute() else [path, *(place / path for place in folders)]
    try:
        found = next((place for place in places if place.exists()), None)
        if found is None:
            raise UsageError(
                f"{_cut(f'{name}={value!r}')}: there is no {what} at {_cut(str(places[0].absolute()))}; check the path"
            )
        if folder is not None and folder != found.is_dir():
            raise UsageError(f"{name}={value!r} is a {'file' if folder else 'folder'}, and a {what} is needed")
        if not found.is_dir():
            with open(found, "rb") as file:
                if not file.read(1):
                    raise UsageError(f"{name}={value!r}: the file is empty; give one with something in it")
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}={value!r} cannot be read ({getattr(error, 'strerror', None) or error})") from None


class Sizes(dict):
    """The sizes of one run by name, as items and as attributes."""

    def __getattr__(self, name: str):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no size {name!r}: there are {', '.join(self)}") from None


class Profiles(Mapping):
    """A paper's sizes; as a mapping, profile -> {name: value}.

    Parameters
    ----------
    checks
        Other parameters of the notebook that can be checked early: name -> `Choice`, `Text` or `File`.
    sizes
        Name -> `Size`.
    """

    def __init__(self, checks: Mapping[str, Choice | Text | File] | None = None, /, **sizes: Size):
        self.checks = dict(checks or {})
        self.sizes = sizes

    def __getitem__(self, profile: str) -> dict[str, Any]:
        if profile not in NAMES:
            raise KeyError(profile)
        values = {name: getattr(size, profile) for name, size in self.sizes.items()}
        return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def fill(self, profile: str, **given: Any) -> Sizes:
        """The profile's sizes, each replaced by the given one that is not None: a notebook's parameters win.

        Raises
        ------
        UsageError
            An unknown profile or size, or a value that makes no sense.
        """
        if profile not in NAMES:
            raise UsageError(f"profile {profile!r} is unknown: choose one of {', '.join(NAMES)}")
        for name in given:
            if name not in self.sizes:
                raise UsageError(f"size {name!r} is unknown: there are {', '.join(self.sizes)}")
        chosen = {name: value for name, value in given.items() if value is not None}
        self.check({"profile": profile} | chosen)
        found = Sizes(self[profile] | chosen)
        for name, size in self.sizes.items():
            if name not in chosen:
                if size.follows and size.follows[0] in chosen:
                    found[name] = size.follows[1](chosen[size.follows[0]])
                if size.within:
                    found[name] = max(size.least, min(found[name], found[size.within]))
        return found

    def check(self, given: Mapping[str, Any], folders: list[Path] | None = None) -> None:
        """Look at the values that are given (not None); names that are not declared here are left alone.

        ``folders``: where a relative path is looked for beside the folder where the command was typed.

        Raises
        ------
        UsageError
            A value that makes no sense, or a path where nothing is.
        """
        for name, value in given.items():
            if value is None:
                continue
            if name in self.sizes:
                size = self.sizes[name]
                size.check(name, value)
                profile = given.get("profile", "quick")
                if size.within and profile in self:
                    most = given.get(size.within) or self[profile][size.within]
                    if value > max(size.least, most):
                        wrong = f"{name}={value} is more than {size.within}={most}"
                        raise UsageError(f"{wrong}: give at most {most}, or more {size.within}")
            elif name in self.checks:
                self.checks[name].check(name, value, folders or [])


def of_paper(name: str) -> Profiles | None:
    """The `Profiles` of a paper that is there; None where it is still to come or has none."""
    from importlib import import_module
    from importlib.util import find_spec

    if not name.isidentifier() or find_spec(f"workbench.papers.{name}") is None:
        return None
    if find_spec(f"workbench.papers.{name}.settings") is None:
        return None
    found = getattr(import_module(f"workbench.papers.{name}.settings"), "PROFILES", None)
    return found if isinstance(found, Profiles) else None


def _cut(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"


def _near(value: Any, words: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(value), words, n=1)
    return f"; did you mean {near[0]}?" if near else ""
