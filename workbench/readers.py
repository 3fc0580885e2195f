"""Data sets that people already have, read row by row: Anthropic HH, AdvBench, TruthfulQA, reviews, one's own prompts.

A source is a path (file, folder or zip) or ``hub:OWNER/NAME/FILE@REVISION``. The prefix is asked for on purpose: a path
with a typing error must never become a download. Nothing is unpacked to disk and nothing read here is executed. A bad
row is one sentence: the file, the line, what is wrong, what to do.
"""

import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import tables
from .errors import DataError
from .files import TYPED_IN, user_path
from .tables import bad, csv_columns, json_lines, read_rows, read_text, suffix

HUB = "hub:"
_TURN = re.compile(r"\n\n(Human|Assistant):[ \t]?")
_LABELS = {"pos": 1, "positive": 1, "1": 1, "+1": 1, "neg": -1, "negative": -1, "0": -1, "-1": -1}


@dataclass(frozen=True)
class Prompt:
    """One thing to ask: ``id`` is unique within its source; ``kind`` and ``target`` are "" where it has none."""

    id: str
    prompt: str
    kind: str = ""
    target: str = ""  # AdvBench: the beginning of the reply that an attack wants


@dataclass(frozen=True)
class Pair:
    """A dialogue up to its last reply, and the reply people preferred beside the one they did not."""

    id: str
    messages: tuple[dict, ...]  # {"role": "user" | "assistant", "content"}; the last one is the user's
    chosen: str
    rejected: str

    @property
    def prompt(self) -> str:
        """What the user said last."""
        return self.messages[-1]["content"]


@dataclass(frozen=True)
class Question:
    """A question with its true and its false answers (TruthfulQA)."""

    id: str
    prompt: str
    best: str
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]
    category: str = ""


@dataclass(frozen=True)
class Review:
    """A text and whether it praises (1) or blames (-1)."""

    id: str
    text: str
    label: int


# The columns of other people's files; `line` is where a row begins.


@dataclass(frozen=True)
class _Asked:
    id: str
    prompt: str
    kind: str = ""


@dataclass(frozen=True)
class _Goal:
    line: int
    goal: str
    target: str


@dataclass(frozen=True)
class _Compared:
    line: int
    chosen: str
    rejected: str


@dataclass(frozen=True)
class _Truth:
    line: int
    question: str
    best: str
    correct: str
    incorrect: str
    category: str = ""


@dataclass(frozen=True)
class _Rated:
    line: int
    text: str
    label: str


# --- the public readers ---------------------------------------------------------------------------------------------


def read_prompts(source: str | os.PathLike) -> list[Prompt]:
    """Prompts out of any file that holds some.

    .txt (one a line, empty lines left out, the id is the line's number), .jsonl ({"id", "prompt"} and perhaps "kind"),
    and, told by their columns, Anthropic HH (what the user said last), AdvBench and TruthfulQA.

    Returns
    -------
    list of Prompt
        In the file's order.

    Raises
    ------
    DataError
        No such file, an unknown kind of file, or a bad row.
    """
    path = locate(source)
    kind = suffix(path)
    if kind == ".txt":
        numbered = [(n, line.strip()) for n, line in enumerate(re.split(r"\r\n|\r|\n", read_text(path)), 1)]
        return _filled([Prompt(str(n), line) for n, line in numbered if line], path)
    if kind == ".csv":
        columns = csv_columns(path)
        if "goal" in columns:
            return read_advbench(path)
        if "Question" in columns:
            return [Prompt(q.id, q.prompt, q.category) for q in read_truthfulqa(path)]
        raise DataError(f"{path}, line 1: none of the columns {', '.join(columns)} is goal (AdvBench) or Question "
                        "(TruthfulQA): rename one, or write the prompts into a .txt file, one a line")  # fmt: skip
    if kind in (".jsonl", ".jsonl.gz"):
        if "chosen" in next(json_lines(path), (0, {}))[1]:
            return [Prompt(pair.id, pair.prompt) for pair in read_hh(path)]
        return [Prompt(row.id, row.prompt, row.kind) for row in read_rows(path, _Asked, foreign=True)]
    raise DataError(f"{path} is no file of prompts: give .txt (one a line), .jsonl ({{id, prompt}}), .jsonl.gz or .csv")


def read_hh(source: str | os.PathLike) -> list[Pair]:
    """Anthropic HH (.jsonl or .jsonl.gz with "chosen" and "rejected" dialogues), split before the last common reply.

    Raises
    ------
    DataError
        A row whose two texts are no dialogues or share no question.
    """
    path = locate(source)
    found = []
    for row in read_rows(path, _Compared, foreign=True):
        chosen, rejected = row.chosen, row.rejected
        same = next((i for i, (a, b) in enumerate(zip(chosen, rejected)) if a != b), min(len(chosen), len(rejected)))
        end = chosen.rfind("\n\nAssistant:", 0, same)
        if end < 0:
            wrong = "chosen and rejected share no '\\n\\nHuman: …\\n\\nAssistant:'"
            raise bad(path, row.line, wrong, "is this an HH file?")
        messages = _messages(chosen[:end], path, row.line)
        replies = [text[end:].removeprefix("\n\nAssistant:").strip() for text in (chosen, rejected)]
        found.append(Pair(str(row.line), messages, *replies))
    return found


def read_advbench(source: str | os.PathLike) -> list[Prompt]:
    """AdvBench's harmful_behaviors.csv: columns goal and target."""
    rows = read_rows(locate(source), _Goal, foreign=True)
    return [Prompt(str(row.line), row.goal, "harmful", row.target) for row in rows]


def read_truthfulqa(source: str | os.PathLike) -> list[Question]:
    """TruthfulQA.csv: Question, Best Answer, and the lists Correct Answers and Incorrect Answers, parted by ``;``."""
    columns = {"question": "Question", "best": "Best Answer", "correct": "Correct Answers",
               "incorrect": "Incorrect Answers", "category": "Category"}  # fmt: skip
    found = []
    for row in read_rows(locate(source), _Truth, aliases=columns, foreign=True):
        lists = [
            tuple(part.strip() for part in text.split(";") if part.strip()) for text in (row.correct, row.incorrect)
        ]
        found.append(Question(str(row.line), row.question, row.best, *lists, row.category))
    return found


def read_reviews(source: str | os.PathLike) -> list[Review]:
    """Reviews: a folder or zip whose text files lie below ``pos`` and ``neg``, or a csv with a text and a label column.

    Text files that are not UTF-8 are read as Latin-1 (older collections are); files below other folders ("unsup",
    a README) are left out. csv: text in "text", "review" or "sentence", label in "label" or "sentiment" as pos/neg,
    positive/negative, 1/0 or 1/-1.

    Raises
    ------
    DataError
        No review found, a bad row, or a broken zip.
    """
    path = locate(source, folder=True)
    if path.is_dir() or suffix(path) == ".zip":
        found = []
        for name, data in _files(path):
            folders = [part.lower() for part in Path(name).parts[:-1]]
            labels = [_LABELS[part] for part in folders if part in ("pos", "positive", "neg", "negative")]
            if labels and name.lower().endswith(".txt"):
                found.append(Review(name, _decode(data).strip(), labels[-1]))
        return _filled(found, path, "put the reviews as .txt files below folders called pos and neg")
    if suffix(path) != ".csv":
        raise DataError(f"{path} is no collection of reviews: give a folder, a .zip or a .csv")
    columns = csv_columns(path)
    text = next((name for name in ("text", "review", "sentence") if name in columns), None)
    label = next((name for name in ("label", "sentiment") if name in columns), None)
    if text is None or label is None:
        missing = "text, review or sentence" if text is None else "label or sentiment"
        raise bad(path, 1, f"no column is called {missing} (there are {', '.join(columns)})", "rename one")
    found = []
    for row in read_rows(path, _Rated, aliases={"text": text, "label": label}, foreign=True):
        value = _LABELS.get(row.label.strip().lower())
        if value is None:
            raise bad(path, row.line, f"{label} is {row.label!r}", "write positive or negative")
        found.append(Review(str(row.line), row.text, value))
    return found


def sample(rows: Sequence, n: int, seed: int = 0) -> list:
    """``n`` of the rows in their own order, drawn without replacement from numpy's generator of that seed."""
    import numpy as np

    if n >= len(rows):
        return list(rows)
    return [rows[i] for i in sorted(np.random.default_rng(seed).choice(len(rows), size=n, replace=False))]


def locate(source: str | os.PathLike, *, folder: bool = False) -> Path:
    """The local path of ``source``; only ``hub:OWNER/NAME/FILE@REVISION`` is fetched (Hugging Face data set).

    Raises
    ------
    DataError
        The path does not exist, is a folder where a file is asked for, or the hub does not give the file.
    """
    if str(source).startswith(HUB):
        return _fetch(str(source))
    path = user_path(source)
    if not path.exists():
        advice = f"give the whole path of a file you have, or {HUB}OWNER/NAME/FILE"
        raise DataError(f"{source} does not exist (looked in {os.environ.get(TYPED_IN, Path.cwd())}): {advice}")
    if path.is_dir() and not folder:
        raise DataError(f"{source} is a folder: give one of the files in it")
    return path


# --- underneath -----------------------------------------------------------------------------------------------------


def _fetch(source: str) -> Path:
    name, _, revision = source.removeprefix(HUB).partition("@")
    parts = name.split("/", 2)
    if len(parts) < 3 or not all(parts):
        raise DataError(f"{source!r} does not name a file: write {HUB}OWNER/NAME/FILE, or that and @REVISION")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download("/".join(parts[:2]), parts[2], repo_type="dataset", revision=revision or None))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"the hub did not give {source!r} ({said}): check the name at huggingface.co, "
            "or download the file and give its path"
        ) from error


def _filled(rows: list, path, advice: str = "check that this is the file you meant") -> list:
    if not rows:
        raise DataError(f"{path} holds no rows: {advice}")
    return rows


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every text file in a folder or zip, sorted by name."""
    total = 0
    if path.is_dir():
        for member in sorted(p for p in path.rglob("*.txt") if p.is_file()):
            total += member.stat().st_size
            if total > tables.LARGEST:
                raise DataError(f"{path} holds more than {tables.LARGEST >> 30} GiB of text: give a part of it")
            yield member.relative_to(path).as_posix(), member.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for member in sorted(archive.infolist(), key=lambda info: info.filename):
                if member.is_dir() or not member.filename.lower().endswith(".txt"):
                    continue
                total += member.file_size  # zipfile stops with an error when the content is longer than this says
                if total > tables.LARGEST:
                    raise DataError(f"{path} unpacks to more than {tables.LARGEST >> 30} GiB: give a part of it")
                yield member.filename, archive.read(member)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:  # last two: encrypted, odd codec
        raise DataError(f"{path} cannot be read as a zip ({error}): download it again, or unpack it") from error


def _messages(text: str, path, line: int) -> tuple[dict, ...]:
    pieces = _TURN.split(text)  # ["", "Human", "…", "Assistant", "…", …]
    if pieces[0].strip() or len(pieces) < 3:
        raise bad(path, line, "the dialogue does not begin with '\\n\\nHuman: '", "this is not an HH dialogue")
    roles = {"Human": "user", "Assistant": "assistant"}
    messages: list[dict] = []
    for who, said in zip(pieces[1::2], pieces[2::2]):
        if messages and messages[-1]["role"] == roles[who]:  # one person speaking twice: chat templates want turns
            messages[-1]["content"] += "\n\n" + said.strip()
        else:
            messages.append({"role": roles[who], "content": said.strip()})
    if messages[-1]["role"] != "user":
        raise bad(path, line, "the assistant speaks last before the reply", "two replies follow each other")
    return tuple(messages)
