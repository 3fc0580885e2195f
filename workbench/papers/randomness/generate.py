"""Sequences the model writes itself, and the next flip by counting samples where there are no log-probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

from ...errors import UsageError
from ...models.base import require
from ...results import Results
from ...rows import Row
from ...stats import Estimate, proportion_interval
from .baselines import bernoulli, bits, held_out_markov_bits, window_average
from .flips import parse_flips, read_flips, write_flips
from .measures import summary
from .settings import SETTINGS, get_alphabet, prompt_text


def generate_sequences(
    model, *, p_tails: Sequence[float] = SETTINGS.p_tails_grid, n: int = SETTINGS.n_samples,
    max_flips: int = SETTINGS.crop_flips, temperature: float = SETTINGS.temperature, seed: int = 0,
    prompt: str = "paper", alphabet: str = "words", chat: bool | None = None,
) -> Results:  # fmt: skip
    """``n`` sequences for each stated percentage of Tails, sampled freely from the model's own next tokens.

    The prompt gives the opening bracket and a first Heads (card); that flip is not part of the result. A sequence is
    cropped to ``max_flips``, and shorter where the model stopped or strayed. At temperature 0 there is one. ``chat``:
    as in `sample_next_flip`.

    Returns
    -------
    Results
        As `sequence_rows`; the arm is the model's name.

    Raises
    ------
    UsageError
        ``n`` or ``max_flips`` below 1, a percentage outside 0..100.
    ModelError
        The model cannot generate.
    """
    if n < 1 or max_flips < 1:
        raise UsageError(f"n is {n} and max_flips is {max_flips}: give at least 1 of each")
    require(model, "generate", for_="the generation task")
    if temperature == 0:
        n = 1  # the likeliest tokens are the same ones every time: copies are no evidence
    first, stated = write_flips("H", alphabet), list({f"{p:g}": p for p in p_tails}.values())
    prompts = [prompt_text(prompt, alphabet, p) + first for p in stated]

    def make(_missing) -> Iterator[Row]:
        budget = max_flips * _tokens_a_flip(model, alphabet) + 1
        options = {"max_new_tokens": budget, "temperature": temperature, "n": n, "seed": seed, "stop": ("]",)}
        samples = model.generate(prompts, **options, chat=as_chat(model, chat))
        for p, asked, some in zip(stated, prompts, samples):
            texts = [sample.text for sample in some]
            flips, kept = zip(*(read_flips(text, alphabet) for text in texts))
            # a sequence longer than the crop is clean however it went on
            clean = [ok or len(one) >= max_flips for one, ok in zip(flips, kept)]
            yield from sequence_rows(model.name, p, [one[:max_flips] for one in flips], clean, texts, seed, asked)

    results = Results(f"generation, {model.name}", model=model, settings=[prompts, n, max_flips, temperature, chat])
    # a sample depends on its prompt's place among all: all are made if one is missing
    results.compute([(model.name, _item(p, i), seed) for p in stated for i in range(n)], make, together=True)
    return results


def sequence_rows(name, p_tails, flips, clean, texts=None, seed=0, prompt="") -> Iterator[Row]:
    """A row a sequence at one stated % Tails: "kept to flips", `summary`'s measures, the bits each baseline asks.

    Bernoulli and window know the stated p; the Markov chain was fitted to the *other* sequences at the same p. Labels:
    "stated" and "sequence" (H and T); ``clean`` says whether the model wrote nothing but flips up to there.
    """
    costs = {
        "Bernoulli": bits(bernoulli(p_tails / 100), flips),
        "window": bits(window_average(p_tails / 100), flips),
        "Markov (held out)": held_out_markov_bits(flips) if sum(map(bool, flips)) > 1 else [nan] * len(flips),
    }
    for i, (one, kept, *asked) in enumerate(zip(flips, clean, *costs.values())):
        measures = {"kept to flips": kept, **summary(one)} | {f"bits, {source}": b for source, b in zip(costs, asked)}
        labels = {"stated": f"{p_tails:g}", "sequence": one}
        yield Row(name, _item(p_tails, i), seed, "", measures, labels, prompt, texts[i] if texts else "")


def _item(p_tails: float, i: int) -> str:
    return f"{p_tails:g} % Tails, sequence {i + 1}"


def as_chat(model, chat: bool | None = None) -> bool:
    """Whether a text goes to the model as a user's message: as asked for, else only where raw text cannot go."""
    return not getattr(model, "raw_text", True) if chat is None else chat


def _tokens_a_flip(model, alphabet: str) -> int:
    """The most tokens that one flip and its comma take; a guess of 4 where the tokenizer is out of reach."""
    read = getattr(model, "token_ids", None)
    if read is None:
        return 4
    names = get_alphabet(alphabet)
    start = f"[{names.heads},"
    return max(len(read(f"{start} {name},")) for name in (names.heads, names.tails)) - len(read(start))


@dataclass(frozen=True)
class SampledFlip:
    """Counts of a sampled next flip; ``p_tails`` is Tails among Heads and Tails, None when neither came."""

    heads: int
    tails: int
    other: int
    p_tails: Estimate | None

    @property
    def mass(self) -> Estimate:
        """Share of samples that were a flip at all, with its interval."""
        return proportion_interval(self.heads + self.tails, self.heads + self.tails + self.other)


def sample_next_flip(
    model, flips: str | Sequence[str], *, n: int = SETTINGS.samples_without_logprobs, seed: int = 0,
    prompt: str = "paper", alphabet: str = "words", p_tails: float = 50, chat: bool | None = None,
) -> SampledFlip | list[SampledFlip]:  # fmt: skip
    """The next flip for models that only generate: ``n`` samples at temperature 1, counted, with Wilson intervals.

    Parameters
    ----------
    flips : str or list of str
        One context, or several: then a list comes back.
    chat : bool, optional
        True asks a chat model (the text becomes a user's message); default: raw text, unless the model's server takes
        conversations only.

    Notes
    -----
    A sample is Heads when it begins with h, and Tails when it begins with t (0 and 1 in digits), as in the mass that
    `next_flip_curve` sums, so the two agree as n grows.
    """
    if n < 1:
        raise UsageError(f"n={n} samples say nothing: give at least 1 (the paper's reference takes 30)")
    require(model, "generate", for_="the sampled next flip")
    contexts = [parse_flips(flips)] if isinstance(flips, str) else [parse_flips(one) for one in flips]
    start = prompt_text(prompt, alphabet, p_tails)
    letters = get_alphabet(alphabet).letters
    texts = [start + write_flips(context, alphabet) for context in contexts]
    samples = model.generate(texts, max_new_tokens=3, temperature=1.0, n=n, seed=seed, chat=as_chat(model, chat))
    result = []
    for some in samples:
        begun = [sample.text.strip().lower()[:1] for sample in some]
        heads, tails = (begun.count(letter) for letter in letters)
        p = proportion_interval(tails, heads + tails) if heads + tails else None
        result.append(SampledFlip(heads, tails, len(begun) - heads - tails, p))
    return result[0] if isinstance(flips, str) else result
