"""Does the model know when it does not know? Entropy, agreement over samples, what it says of itself; hallucination.

Each question is answered greedily and by samples. Confidence is read four ways: the mean log-probability of the greedy
answer's tokens, minus the entropy of the first token, the share of samples that agree with the greedy answer, and two
verbalised ones: p(" Yes") against " No" when asked whether its answer is right, and a number out of ten that it writes
itself (many small models write none: the share that could be read is reported). Against the known answers each has an
AUROC (.5: says nothing) and, where it is a probability, its calibration.

`self_consistency` (after SelfCheckGPT, Manakul et al. 2023) asks whether disagreement between samples flags answers
that are made up: wrong ones, and all answers to questions that have none.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import UsageError
from ....judging import rating
from ....models import require
from ....models.prefix.packed import packed_next
from ....results import Results
from ....rows import Row
from ....stats import Estimate, auroc, proportion_interval
from ..data import QuestionRow, question_rows
from ..tokens import answer_tokens, prompt_ids

FRAME = (
    "Question: How many hands does a clock have?\nAnswer: Two.\n\nQuestion: Where do fish live?\nAnswer: In water.\n\n"
)
MEASURES = ("likelihood", "entropy", "agreement", "verbalised_yes", "verbalised_number")
_NUMBERS = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
_SMALL = {"the", "a", "an", "is", "are", "of", "in", "it", "its", "was", "to", "on", "by", "and", "they"}


@dataclass(frozen=True)
class Uncertainty:
    """Confidence against correctness.

    Attributes
    ----------
    answered : Results
        As `ask` makes them, of questions with a known answer.
    accuracy : Estimate
    auroc : dict
        Measure -> Estimate: how often a right answer has more confidence than a wrong one; None where one of the two is
        missing or a measure gave fewer than two values on either side.
    calibration : dict
        "agreement", "verbalised_yes" -> list of (mean confidence, share right, n) by thirds of confidence.
    calibration_error : dict
        The same measures -> mean |confidence - share right| over those bins, weighted by n.
    readable : Estimate
        Share of questions for which a number could be read.
    """

    answered: Results
    accuracy: Estimate
    auroc: dict
    calibration: dict
    calibration_error: dict
    readable: Estimate

    def frame(self):
        """One row a question."""
        return self.answered.frame().rename(columns={"reply": "answer"})[["question", "answer", "right", *MEASURES]]


def ask(
    model,
    questions: Sequence[QuestionRow] | None = None,
    *,
    n: int = 8,
    temperature: float = 1.0,
    max_new_tokens: int = 10,
    seed: int = 0,
) -> Results:
    """Answer every question greedily and ``n`` times by sampling, and read all confidences.

    Returns
    -------
    Results
        A row a question, the greedy answer as its reply. Measures: "right", the confidences (`MEASURES`; nan where the
        model gave none), "words" of the answer. Labels: "kind" and "question", and "samples", one a line.

    Raises
    ------
    UsageError
        No questions, fewer than two samples, a temperature that is not positive.
    """
    require(model, "generate", for_="uncertainty")
    require(model, "logprobs", for_="uncertainty")
    questions = question_rows() if questions is None else list(questions)
    if not questions or n < 2 or not temperature > 0:
        raise UsageError(
            f"{len(questions)} questions, n={n}, temperature={temperature}: give a question, 2 samples, above 0"
        )
    results = Results(
        "answers", model=model, settings=[[vars(row) for row in questions], n, temperature, max_new_tokens]
    )

    def answers(_missing) -> Iterator[Row]:
        prompts = [f"{FRAME}Question: {row.question}\nAnswer:" for row in questions]
        options = {"max_new_tokens": max_new_tokens, "stop": ["\n"]}
        greedy = [found[0] for found in model.generate(prompts, **options)]
        drawn = model.generate(prompts, n=n, temperature=temperature, seed=seed, **options)
        entropy = packed_next(
            model, [prompt_ids(model, text) for text in prompts], lambda r: -(r.exp() * r).sum(-1, keepdim=True)
        )[:, 0].tolist()
        checks = [f"{prompt} {found.text.strip()}\n\nQuestion: Is this answer right?\nAnswer:"
                  for prompt, found in zip(prompts, greedy, strict=True)]  # fmt: skip
        tokens = answer_tokens(model, " Yes", " No")
        said = packed_next(model, [prompt_ids(model, text) for text in checks], lambda rows: rows[:, list(tokens)])
        yes = (said[:, 0] - said[:, 1]).sigmoid().tolist()
        asked = [f"{text} From 0 (a guess) to 10 (certain), I am sure of it by" for text in checks]
        sure = rating(model, asked, _tenths, max_new_tokens=4)
        for i, row in enumerate(questions):
            answer, samples = greedy[i].text.strip(), [found.text.strip() for found in drawn[i]]
            measures = {
                "right": is_right(row, answer), "likelihood": greedy[i].logprob / max(1, len(greedy[i].tokens)),
                "entropy": -entropy[i], "agreement": float(np.mean([_same(answer, sample) for sample in samples])),
                "verbalised_yes": yes[i], "verbalised_number": sure[i], "words": len(answer.split()),
            }  # fmt: skip
            labels = {"kind": row.kind, "question": row.question, "samples": "\n".join(samples)}
            yield Row("the model", row.id, seed, "", measures, labels, prompts[i], answer)

    # one batch: what an answer is may hang on the rows beside it, by rounding
    results.compute([("the model", row.id, seed) for row in questions], answers, together=True)
    return results


def uncertainty_of(model, questions: Sequence[QuestionRow] | None = None, *, answered=None, **options) -> Uncertainty:
    """Every confidence against correctness, on questions with known answers (default: data/explainability's).

    Parameters
    ----------
    answered : Results, optional
        What `ask` gave before; otherwise it is called with ``options``. Questions without an answer are left out.

    Raises
    ------
    UsageError
        No question with a known answer.
    """
    if answered is None:
        answered = ask(model, question_rows("known") if questions is None else questions, **options)
    answered = answered.of(kind="known")
    if not len(answered):
        raise UsageError("none of the questions has a known answer: give some of kind 'known'")
    right, values = np.array(answered.values("right")), {name: np.array(answered.values(name)) for name in MEASURES}
    calibration = {name: _bins(right, values[name]) for name in ("agreement", "verbalised_yes")}
    errors = {
        name: float(sum(n * abs(p - share) for p, share, n in bins) / len(right)) for name, bins in calibration.items()
    }
    readable = ~np.isnan(values["verbalised_number"])
    return Uncertainty(
        answered, answered.table("right")["the model"], {name: _area(some, right) for name, some in values.items()},
        calibration, errors, proportion_interval(int(readable.sum()), len(right)),
    )  # fmt: skip


def self_consistency(
    model, questions: Sequence[QuestionRow] | None = None, *, answered=None, **options
) -> dict[str, Estimate | None]:
    """Do samples disagree more where the answer is made up? Options as `ask`; ``answered`` as `uncertainty_of`.

    Returns
    -------
    dict
        "flagged": AUROC of disagreement, made-up answers (wrong, or to questions without an answer) against right ones;
        "unknowable": the same for questions without an answer against known questions, right or wrong; "length", the
        control: the AUROC of the answer's length in words for the first. None where one of the two is missing.
    """
    answered = ask(model, questions, **options) if answered is None else answered
    if not len(answered):
        raise UsageError("self-consistency needs answers, but got none: give what ask() gave for at least one question")
    disagree = 1 - np.array(answered.values("agreement"))
    made_up = ~np.array(answered.values("right"))
    unknown = np.array([row.labels["kind"] != "known" for row in answered.rows])
    return {
        "flagged": _area(disagree, made_up), "unknowable": _area(disagree, unknown),
        "length": _area(np.array(answered.values("words"), dtype=float), made_up),
    }  # fmt: skip


def _area(values: np.ndarray, positive: np.ndarray) -> Estimate | None:
    """AUROC over the values that are there; None with fewer than two on either side."""
    sides = [values[side & ~np.isnan(values)] for side in (positive, ~positive)]
    return auroc(*sides) if min(map(len, sides)) >= 2 else None


def _tenths(text: str) -> float | None:
    number = re.search(r"\b(10|\d)\b", text)
    return int(number.group()) / 10 if number else None


def is_right(row: QuestionRow, answer: str) -> bool:
    """Whether one of the accepted texts is in the answer, at the beginning of a word and in any case.

    A number must be the whole word: 6 is not 60, and six is not sixteen.
    """
    ends = [r"\b" if text.isdigit() or text.lower() in _NUMBERS else "" for text in row.answers]
    return any(re.search(rf"\b{re.escape(text.lower())}{end}", answer.lower()) for text, end in zip(row.answers, ends))


def _same(a: str, b: str) -> bool:
    """Whether two answers share most of the words that matter (the smaller set of words decides)."""
    first, second = (set(re.findall(r"\w+", text.lower())) - _SMALL for text in (a, b))
    if not first or not second:
        return first == second
    return len(first & second) / min(len(first), len(second)) >= 0.5


def _bins(right: np.ndarray, values: np.ndarray) -> list[tuple[float, float, int]]:
    """(mean confidence, share right, n) by thirds of the confidence."""
    order = np.array_split(np.argsort(values, kind="stable"), min(3, len(values)))
    return [(float(values[some].mean()), float(right[some].mean()), len(some)) for some in order]
