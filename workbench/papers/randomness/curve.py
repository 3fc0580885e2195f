"""The next flip as the model sees it, after every prefix of a sequence, from one forward."""

from functools import lru_cache
from itertools import takewhile

import numpy as np

from ...errors import UsageError
from ...models.base import require_masses
from ...models.forward import check_length
from .flips import parse_flips, write_flips
from .settings import get_alphabet, prompt_text


def next_flip_curve(
    model, flips: str, *, prompt: str = "paper", alphabet: str = "words", p_tails: float = 50,
    packed: bool | None = None, chat: bool | None = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """P(the next flip is Tails) after every prefix of ``flips``, from ONE forward.

    The mass of all tokens that begin with h or t (0 or 1 in digits; after stripping, whatever the case), renormalised.

    Parameters
    ----------
    model : Model
        A handle with `next_masses`: local weights, or llama.cpp.
    flips : str
        n flips, in any form `parse_flips` reads; may be empty.
    prompt : str
        A name of PROMPTS, or a text of one's own with {source} in it (`settings.prompt_text`).
    alphabet : str
        "words", "digits", or two symbols of one's own, such as "Kopf,Zahl".
    p_tails : float
        The % Tails that the prompt states, if it states one.
    packed : bool, optional
        As in `models.packed.packed_next`; matters only where a tokenizer merges across a cut.
    chat : bool
        True asks a chat model: each prefix, prompt and flips, is one message of the user, and the flip that would begin
        the answer is weighed (`sample_next_flip` with the same ``chat`` counts it).

    Returns
    -------
    p_tails : (n + 1,) float64
        p_tails[k] follows the first k flips.
    mass : (n + 1,) float64
        The probability of both letters together before renormalising: near 1 where the model keeps to the task.

    Raises
    ------
    UsageError
        Not flips, an unknown prompt or alphabet, more flips than the model can read.
    ModelError
        The model gives no log-probabilities (use `sample_next_flip`), or has no chat template to fill.
    """
    flips = parse_flips(flips)
    contexts = prefix_texts(flips, prompt=prompt, alphabet=alphabet, p_tails=p_tails)
    return normalise(flip_masses(model, contexts, alphabet=alphabet, packed=packed, chat=chat))  # of (n + 1, 2)


def normalise(log_mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(…, 2) log masses of the first and the second letter -> (share of the second, mass of both)."""
    mass = np.exp(log_mass)
    both = mass.sum(-1)
    return 1 / (1 + np.exp(log_mass[..., 0] - log_mass[..., 1])), both


def prefix_texts(flips: str, *, prompt: str, alphabet: str, p_tails: float) -> list[str]:
    """The prompt with the first 0, 1, … n flips, cut after the comma: ' Tails' may be two tokens."""
    start, written = prompt_text(prompt, alphabet, p_tails), write_flips(flips, alphabet)
    ends = [0, *(place + 1 for place, letter in enumerate(written) if letter == ",")]
    return [start + written[:end] for end in ends]


def flip_masses(
    model, contexts: list[str], *, alphabet: str, packed: bool | None = None, chat: bool | None = False
) -> np.ndarray:
    """Natural-log masses (N, 2) of Heads and Tails as the next flip after each context (``chat``: as its answer)."""
    require_masses(model, for_="the next-flip curve")
    names = get_alphabet(alphabet)
    spaces = [" " if context.endswith(",") and not chat else "" for context in contexts]
    answers = [(space + names.heads, space + names.tails) for space in spaces]
    return letter_masses(model, contexts, answers, packed=packed, chat=chat)


def letter_masses(
    model,
    contexts: list[str],
    answers: list[tuple[str, str]],
    *,
    packed: bool | None = None,
    chat: bool | None = False,
) -> np.ndarray:
    """Natural-log masses (N, 2) of the tokens that begin like the two answers after each context.

    The letters that the two begin with are the same for all contexts.
    """
    require_masses(model, for_="the masses of two answers")
    # the prefixes of a text far too long would take long to encode: look at the longest first
    check_length(model, len(model.prompt_ids(max(contexts, key=len), chat)))
    bridges: dict[tuple[str, str], list[int]] = {}
    for context, pair in zip(contexts, answers):
        if pair not in bridges:
            bridges[pair] = _bridge(model, context, pair, chat)
    letters = tuple(answer.strip().lower()[0] for answer in answers[0])
    walked = sorted({token for bridge in bridges.values() for token in bridge})
    sets = [*_beginning_with(model.vocabulary, letters), *([token] for token in walked)]
    asked = [
        [*ids, *bridges[pair][:step]]
        for ids, pair in zip([model.prompt_ids(context, chat) for context in contexts], answers)
        for step in range(len(bridges[pair]) + 1)
    ]
    options = {} if packed is None else {"packed": packed}
    rows = iter(np.array(model.next_masses(asked, sets, **options)))  # (R, 2 + bridge tokens)
    result = np.zeros((len(contexts), 2))
    for masses, pair in zip(result, answers):
        for token in bridges[pair]:  # P(bridge) multiplies the mass, so that it stays the unnormalised one
            masses += next(rows)[2 + walked.index(token)]
        masses += next(rows)[:2]
    return result


def _bridge(model, context: str, answers: tuple[str, str], chat: bool | None) -> list[int]:
    """The tokens that both answers begin with, whichever comes: a lone space before a digit, for instance.

    The letters are told apart only after them. Nothing where the tokenizer merges context and answer.
    """
    if chat:  # behind the template an answer begins by itself
        alone, first, second = [], *(model.token_ids(answer, start=False) for answer in answers)
    else:
        alone, first, second = (model.token_ids(context + answer) for answer in ("", *answers))
    common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second))]
    return common[len(alone) :] if first[: len(alone)] == alone else []


@lru_cache(maxsize=4)
def _beginning_with(vocabulary: tuple[str, ...], letters: tuple[str, str]) -> list[list[int]]:
    """For each letter the ids of all tokens that begin with it, after stripping, whatever the case."""
    texts = [text.strip().lower() for text in vocabulary]
    found = [[i for i, text in enumerate(texts) if text.startswith(letter)] for letter in letters]
    if not all(found):
        raise UsageError(
            f"this model's tokenizer has no token beginning with {letters[not found[1]]!r}: use another alphabet"
        )
    return found
