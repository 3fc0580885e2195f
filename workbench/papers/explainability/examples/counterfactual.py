"""Explanations by example: which small change of the prompt flips the answer, and which one should not but does.

A counterfactual is the prompt with as few words exchanged as possible such that the model prefers the foil. Candidates
for a word are what the model itself would write there (its likeliest words given the text before; a word may be a piece
of one), or a list of yours. An adversarial substitution is meant to keep the meaning: its candidates are a hand-written
list of near-synonyms. Both search the same way: every single exchange first, then exchanges on top of the most
promising ones (a beam), all texts of a round scored together with their common beginnings computed once.

The margin is log p(answer) - log p(foil) after the prompt; a flip is a change of its sign.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import UsageError
from ....models import require
from ....models.prefix.packed import packed_next
from ....stats import Estimate, mean_interval
from ..data import substitutions as known_substitutions
from ..tokens import answer_tokens, prompt_ids

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
DOUBT = (
    "The candidates are a hand-written list of near-synonyms: nothing here checks that the sentence still means the "
    "same, so a reader must judge every edit."
)
BEAM = 4  # texts of a round that the next round changes further


@dataclass(frozen=True)
class Edit:
    """One changed prompt beside the prompt as it was.

    Attributes
    ----------
    prompt, edited : str
    changes : tuple of (word number, before, after)
        Words exchanged; an empty text is a word that was put in or left out.
    p_answer, p_foil, margin : float
        After the edited prompt: probabilities of the two first tokens, and log p(answer) - log p(foil).
    before_answer, before_foil, before_margin : float
        After the prompt as it was.
    """

    prompt: str
    edited: str
    changes: tuple[tuple[int, str, str], ...]
    p_answer: float
    p_foil: float
    margin: float
    before_answer: float
    before_foil: float
    before_margin: float

    @property
    def flipped(self) -> bool:
        """Whether the preference between answer and foil is the other way round."""
        return (self.margin > 0) != (self.before_margin > 0)


@dataclass(frozen=True)
class Counterfactuals:
    """What a search found.

    Attributes
    ----------
    edits : tuple of Edit
        Flips only, fewest words changed first, then furthest over.
    nearest : Edit or None
        The edit that moved the margin furthest towards a flip; None when nothing could be tried.
    margin : float
        Of the prompt as it was.
    tried : int
        Edited prompts scored.
    seconds : float
    random : Estimate or None
        Of near-synonyms: the margin after as many random exchanges.
    doubt : str
        Of near-synonyms: what a reader must judge.
    """

    prompt: str
    answer: str
    foil: str
    margin: float
    edits: tuple[Edit, ...]
    nearest: Edit | None
    tried: int
    seconds: float
    random: Estimate | None = None
    doubt: str = ""

    def frame(self):
        """The edits as a table."""
        import pandas as pd

        rows = [(edit.edited, len(edit.changes), edit.margin, edit.flipped)
                for edit in (self.edits or ((self.nearest,) if self.nearest else ()))]  # fmt: skip
        return pd.DataFrame(rows, columns=["edited prompt", "words changed", "margin (nats)", "flipped"])


def compare_edit(model, prompt: str, edited: str, answer: str, foil: str) -> Edit:
    """Answer and foil after a prompt and after a changed version of it.

    Raises
    ------
    UsageError
        An empty text, or answer and foil with the same first token.
    """
    require(model, "logprobs", for_="comparing prompts")
    scores = _scores(model, [prompt, edited], answer_tokens(model, answer, foil))
    return _edit(prompt, edited, scores[0], scores[1])


def counterfactuals(
    model,
    prompt: str,
    answer: str,
    foil: str,
    *,
    candidates: Mapping[str, Sequence[str]] | None = None,
    max_edits: int = 2,
    keep: int = 5,
    per_word: int = 16,
) -> Counterfactuals:
    """The smallest substitutions after which the model prefers the foil (or the answer, if it did not at first).

    Parameters
    ----------
    model : Model
        A local model.
    prompt, answer, foil : str
    candidates : mapping, optional
        Word (any case) -> words to put in its place. Default: for every word what the model would write there,
        ``per_word`` of them; the answer and the foil themselves are never put in.
    max_edits : int
        The most words exchanged.
    keep : int
        Flips to return.

    Raises
    ------
    UsageError
        An empty prompt, max_edits or keep below 1, or answer and foil with the same first token.
    """
    start = time.perf_counter()
    tokens = _asked(model, prompt, answer, foil, max_edits, keep)
    options = _from_mapping(prompt, candidates) if candidates is not None else _own_words(
        model, prompt, per_word, {answer.strip().lower(), foil.strip().lower()}
    )  # fmt: skip
    found = _search(model, prompt, tokens, options, max_edits, keep)
    return Counterfactuals(prompt, answer, foil, *found, time.perf_counter() - start)


def adversarial(
    model,
    prompt: str,
    answer: str,
    foil: str,
    *,
    substitutions: Mapping[str, Sequence[str]] | None = None,
    max_edits: int = 3,
    keep: int = 5,
    n_random: int = 10,
    seed: int = 0,
) -> Counterfactuals:
    """Near-synonyms that turn the preference between answer and foil, beside as many random ones.

    Parameters
    ----------
    substitutions : mapping, optional
        Word -> near-synonyms. Default: the list in data/explainability.
    n_random : int
        Random sets of as many exchanges as the nearest edit has; their margins are the control.

    Raises
    ------
    UsageError
        As `counterfactuals`; also when no word of the prompt has a substitution.
    """
    start = time.perf_counter()
    tokens = _asked(model, prompt, answer, foil, max_edits, keep)
    options = _from_mapping(prompt, known_substitutions() if substitutions is None else substitutions)
    if not any(options.values()):
        raise UsageError(
            f"no word of {prompt!r} is in the list of substitutions: give substitutions={{word: [others]}}"
        )
    margin, flips, nearest, tried = _search(model, prompt, tokens, options, max_edits, keep)
    if nearest is None:
        raise UsageError(f"every substitution leaves {prompt!r} as it is: give other words than those it has")
    rng = np.random.default_rng(seed)
    places = [place for place, words in options.items() if words]
    texts = []
    for _ in range(n_random):
        some = rng.choice(len(places), size=min(len(places), len(nearest.changes)), replace=False)
        texts.append(_replace(prompt, {places[i]: str(rng.choice(options[places[i]])) for i in some}))
    control = mean_interval([s[0] - s[1] for s in _scores(model, texts, tokens)], unit="nats") if texts else None
    seconds = time.perf_counter() - start
    tried += len(texts)
    return Counterfactuals(prompt, answer, foil, margin, flips, nearest, tried, seconds, control, DOUBT)


def _asked(model, prompt, answer: str, foil: str, max_edits: int, keep: int) -> tuple[int, int]:
    """First tokens of answer and foil, the question checked: a text with words to exchange."""
    if max_edits < 1 or keep < 1:
        raise UsageError(f"max_edits={max_edits} and keep={keep}: give at least 1 of each")
    require(model, "logprobs", for_="exchanging words")
    if not isinstance(prompt, str):
        raise UsageError(f"the prompt is {str(prompt)[:60]}, which is no text: give a text to change words in")
    prompt_ids(model, prompt)
    return answer_tokens(model, answer, foil)


def _scores(model, texts: Sequence[str], tokens: tuple[int, int]) -> np.ndarray:
    """Natural log-probabilities (N, 2) of answer and foil after each text."""
    ids = [prompt_ids(model, text) for text in texts]
    return packed_next(model, ids, lambda rows: rows[:, list(tokens)]).double().numpy()


def _edit(prompt, edited, before, after) -> Edit:
    return Edit(
        prompt, edited, _changes(prompt, edited), float(np.exp(after[0])), float(np.exp(after[1])),
        float(after[0] - after[1]), float(np.exp(before[0])), float(np.exp(before[1])), float(before[0] - before[1]),
    )  # fmt: skip


def _changes(prompt: str, edited: str) -> tuple[tuple[int, str, str], ...]:
    from difflib import SequenceMatcher

    old, new = prompt.split(), edited.split()
    found = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            for i in range(max(b - a, d - c)):
                found.append((a + i, old[a + i] if a + i < b else "", new[c + i] if c + i < d else ""))
    return tuple(found)


def _search(model, prompt, tokens, options: dict[int, list[str]], max_edits: int, keep: int):
    """A beam over the number of exchanges: the margin before, the flips to keep (fewest changes, then furthest over),
    the edit that went furthest, and how many were tried.
    """
    before = _scores(model, [prompt], tokens)[0]
    sign = 1 if before[0] > before[1] else -1
    found: dict[str, np.ndarray] = {}
    beam: list[dict[int, str]] = [{}]
    for _ in range(max_edits):
        fresh = {}
        for base in beam:
            for place, words in options.items():
                if place not in base:
                    for word in words:
                        text = _replace(prompt, {**base, place: word})
                        if text not in found and text != prompt:
                            fresh[text] = {**base, place: word}
        if not fresh:
            break
        texts = sorted(fresh)  # neighbours share their beginnings
        for text, scores in zip(texts, _scores(model, texts, tokens), strict=True):
            found[text] = scores
        margins = {text: sign * (found[text][0] - found[text][1]) for text in texts}
        if min(margins.values()) < 0:
            break  # flips with this many words: more words are not asked for
        beam = [fresh[text] for text in sorted(texts, key=margins.get)[:BEAM]]
    edits = [_edit(prompt, text, before, scores) for text, scores in found.items()]
    flips = sorted((e for e in edits if e.flipped), key=lambda e: (len(e.changes), sign * e.margin))
    nearest = min(edits, key=lambda e: sign * e.margin, default=None)
    return float(before[0] - before[1]), tuple(flips[:keep]), nearest, len(edits)


def _from_mapping(prompt: str, mapping: Mapping[str, Sequence[str]]) -> dict[int, list[str]]:
    """Word number -> candidates, from a mapping of words in any case."""
    lower = {word.lower(): [words] if isinstance(words, str) else list(words) for word, words in mapping.items()}
    return {i: lower.get(match.group().lower(), []) for i, match in enumerate(WORD.finditer(prompt))}


def _own_words(model, prompt: str, count: int, never: set[str]) -> dict[int, list[str]]:
    """Word number -> the whole words that the model finds likeliest there, given the text before."""
    matches = list(WORD.finditer(prompt))
    before = [prompt[: match.start()].rstrip(" ") for match in matches]
    places = [i for i, text in enumerate(before) if text]  # the first word has nothing before it: it is left as it is
    if not places:
        return {}
    wide = packed_next(
        model, [prompt_ids(model, before[i]) for i in places], lambda rows: rows.topk(8 * count, dim=-1).indices.float()
    ).long()
    options = {}
    for i, row in zip(places, wide.tolist(), strict=True):
        spaced = prompt[: matches[i].start()].endswith(" ")
        words = []
        for token in row:
            text = model.tokenizer.decode([token])
            word, old = text.strip(), matches[i].group()
            # one or two letters are mostly the beginning of a longer word
            whole = WORD.fullmatch(word) and len(word) >= min(3, len(old))
            if whole and text.startswith(" ") == spaced and word.lower() not in never | {old.lower()}:
                words.append(word)
        options[i] = list(dict.fromkeys(words))[:count]
    return options


def _replace(prompt: str, chosen: Mapping[int, str]) -> str:
    """The prompt with words exchanged by number; a capital stays a capital."""
    matches = list(WORD.finditer(prompt))
    for place in sorted(chosen, reverse=True):
        old, new = matches[place], chosen[place]
        if old.group()[0].isupper():
            new = new[0].upper() + new[1:]
        prompt = prompt[: old.start()] + new + prompt[old.end() :]
    return prompt
