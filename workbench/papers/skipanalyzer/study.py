"""What a model adds: warnings filtered, bugs detected, patches executed, beside what does it without a model.

Nothing is chosen on the half that is reported: examples come from the tuning half and other folds, a threshold from the
other folds of what is reported, the prompts' words were written while looking at the tuning half alone. Deviations from
the paper (arXiv 2310.18532v2): a threshold on log-odds in place of the word that comes out, recall aimed at .9 and not
only reported afterwards, patches judged by execution and not by a reader, methods of our own with Eclipse's warnings.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan

from ...bars import tqdm
from ...prompting import Answer, few_shot
from ...results import Results
from ...rows import Row
from . import asking
from .asking import Question, callees
from .compiler import JavaMissing, ecj, java
from .data import Example, teaching_set
from .filters import RULES, Case, folds_of, small_filter
from .repair import rule_patch, validate
from .repair.stages import STAGES, Validation
from .sources import parse_methods

RECALL = 0.9  # of real warnings to keep, on the folds where a threshold is chosen
DEFINITE = ("nullReference", "unclosedCloseable")  # ecj is certain of these, the others are potential
ALL, NOTHING, CERTAIN, LEARNT = "keep all (the analyser)", "keep nothing", "the analyser's certainty", "small filter"
WARNED, EVERY = "the analyser warns", "always yes"
RULE, MODEL = "rule patcher", "model"
FUNNEL = ("generated", *STAGES)
SHOTS = {0: "zero-shot", 1: "one-shot"}


@dataclass(frozen=True)
class Materials:
    """The methods of a study.

    Attributes
    ----------
    tuning : list of Example
        Examples in prompts come from here alone.
    test : list of Example
        What is asked about and reported.
    folds : dict of str to int
        Pair -> its fold, of both halves together.
    """

    tuning: list[Example]
    test: list[Example]
    folds: Mapping[str, int]


def materials(pairs: int = 10) -> Materials:
    """Our own set: all of the tuning half, and the first ``pairs`` pairs of each kind of the test half."""
    rows = teaching_set()
    names = list(dict.fromkeys(row.pair for row in rows))
    folds = dict(zip(names, map(int, folds_of(names))))
    test = [row for row in rows if row.half == "test"]
    used = {
        pair
        for kind in dict.fromkeys(row.kind for row in test)
        for pair in list(dict.fromkeys(row.pair for row in test if row.kind == kind))[:pairs]
    }
    return Materials([row for row in rows if row.half == "tuning"], [row for row in test if row.pair in used], folds)


def question(example: Example, *, warned: bool = True) -> Question:
    """A method of the set, with its warning unless it is asked about without."""
    method = example.parsed()
    around = callees(method, parse_methods(example.source, example.file))
    return Question(method, example.findings()[0] if warned and example.warnings else None, around)


def name_of(shots: int, context: str = "", explained: bool = False) -> str:
    """A model's arm: "model, one-shot, message"."""
    told = [MODEL, SHOTS.get(shots, f"{shots}-shot"), context, "explained" if explained else ""]
    return ", ".join(filter(None, told))


def filtering(model, found: Materials, size: Mapping, *, seed: int = 0, progress: bool = False) -> Results:
    """Every warning of the test half by every filter: measures score, yes, real, unread, failed (see `_row`)."""
    own = [row for row in found.test if row.warnings]
    results = Results("filter", model=model, settings=_settings(found, size, seed))
    words = _small(found, [row for row in [*found.tuning, *found.test] if row.warnings])
    scores = {
        ALL: lambda row: 0.0,
        CERTAIN: lambda row: float(row.warnings[0]["rule"] in DEFINITE),
        **{name: partial(_by_rule, rule) for name, rule in RULES.items() if name != "constant"},
        LEARNT: lambda row: words[row.id],
    }
    for arm, score in scores.items():
        _controls(results, arm, own, score, found, seed)
    runs = [(shots, "message", 0) for shots in size["shots"]]
    runs += [(0, context, 0) for context in size["contexts"]]
    runs += [(0, "message", size["explanation"])] if size["explanation"] else []
    for shots, context, tokens in dict.fromkeys(runs):
        options = {"context": context, "explanation": tokens, "seed": seed}
        _asked(results, name_of(shots, context, bool(tokens)), model, own, found, shots, options, True, progress)
    return results


def detection(model, found: Materials, size: Mapping, *, seed: int = 0, progress: bool = False) -> Results:
    """Every method of the test half, asked about the kind of its pair, without the analyser's warning."""
    results = Results("detection", model=model, settings=_settings(found, size, seed))
    words = _small(found, [*found.tuning, *found.test])
    scores = {
        EVERY: lambda row: 0.0,
        WARNED: lambda row: float(bool(row.warnings)),
        **{name: partial(_by_rule, rule) for name, rule in RULES.items() if name != "constant"},
        LEARNT: lambda row: words[row.id],
    }
    for arm, score in scores.items():
        _controls(results, arm, found.test, score, found, seed)
    for shots in dict.fromkeys(size["shots"]):
        _asked(results, name_of(shots), model, found.test, found, shots, {"seed": seed}, False, progress)
    return results


def repairing(model, found: Materials, size: Mapping, *, seed: int = 0, progress: bool = False) -> Results:
    """The warned methods with a bug, patched by rule and by the model: a measure for each stage of `FUNNEL`.

    A stage that could not be judged, for want of Java, is NaN. "returns null" is whether a patch answers a null input
    with null, which passes and hands the problem on.
    """
    kinds = [[row for row in found.test if row.buggy and row.warnings and row.kind == kind]
             for kind in dict.fromkeys(row.kind for row in found.test)]  # fmt: skip
    turns = [row for turn in range(max(map(len, kinds))) for own in kinds for row in own[turn : turn + 1]]
    chosen = turns[: size["patched"]]
    settings = [*_settings(found, size, seed), size["patch_tokens"], java_here()]
    results = Results("repair", model=model, settings=settings)

    def rows(arm: str, _missing) -> Iterable[Row]:
        asked = [question(row) for row in chosen]
        if arm == RULE:
            made = [rule_patch(row.parsed(), row.findings()[0]) for row in chosen]
        else:
            made = asking.patches(model, asked, max_new_tokens=size["patch_tokens"], seed=seed)
        judged = iter(validate([row.proposal(patch) for row, patch in zip(chosen, made) if patch]))
        for row, patch in zip(chosen, made):
            told = next(judged) if patch else Validation("", False, "Nothing was generated.")
            measures = reached(told, bool(patch))
            yield Row(arm, row.id, seed, row.pair, measures, {"kind": row.kind, "why": told.why}, row.method, patch)

    for arm in tqdm((RULE, MODEL), desc="patches", unit="patcher", disable=not progress):
        results.compute([(arm, row.id, seed) for row in chosen], partial(rows, arm), together=True)
    return results


def reached(told: Validation, generated: bool) -> dict[str, float]:
    """How far a patch came: a measure for each stage, each counts those before it; NaN where it was not judged."""
    last = STAGES.index(told.stage) if told.stage else -1
    measures: dict[str, float] = {"generated": generated}
    measures |= {stage: nan if stage in told.skipped else place <= last for place, stage in enumerate(STAGES)}
    ran = "behaves" not in told.skipped
    return measures | {"returns null": told.returns_null if ran else nan}


def java_here() -> str:
    """Why patches are not compiled and run here; empty if they are."""
    try:
        java(), ecj()
    except JavaMissing as error:
        return str(error)
    return ""


# --- rows -----------------------------------------------------------------------------------------------------------


def _settings(found: Materials, size: Mapping, seed: int) -> list:
    return [asking.VERSION, [row.id for row in found.test], size["explanation"], seed]


def _by_rule(rule, row: Example) -> float:
    return rule(row.method)


def _small(found: Materials, rows: Sequence[Example]) -> dict[str, float]:
    """The small filter's score of each method, by a filter that never saw its pair."""
    import numpy as np

    cases = [Case(row.id, row.pair, row.method, row.buggy) for row in rows]
    return dict(zip([row.id for row in rows], small_filter(cases, np.array([found.folds[row.pair] for row in rows]))))


def _labels(row: Example, found: Materials, context: str = "") -> dict[str, str]:
    return {"kind": row.kind, "fold": str(found.folds[row.pair]), "context": context}


def _controls(results: Results, arm: str, own: Sequence[Example], score, found: Materials, seed: int) -> None:
    def rows(missing) -> Iterable[Row]:
        for row in own:
            value = float(score(row))
            measures = {"real": row.buggy, "score": value, "yes": value > 0 or arm in (ALL, EVERY),
                        "unread": False, "failed": False}  # fmt: skip
            yield Row(arm, row.id, seed, row.pair, measures, _labels(row, found), row.method)

    results.compute([(arm, row.id, seed) for row in own], rows, together=True)


def examples_for(found: Materials, kind: str, fold: int, shots: int, seed: int, *, warned: bool) -> list[Example]:
    """The examples of a prompt: of the tuning half, of the same kind, of other folds; ``shots`` of each truth."""
    pool = [row for row in found.tuning if row.kind == kind and (row.warnings or not warned)]
    folds, labels = [found.folds[row.pair] for row in pool], [row.buggy for row in pool]
    return few_shot(pool, shots, fold, seed, folds=folds, labels=labels)


def _asked(results, arm, model, own, found, shots, options, warned: bool, progress: bool) -> None:
    """The model's rows: a kind and a fold at a time, which share their examples and a forward."""
    seed = options["seed"]

    def rows(part: Sequence[Example], _missing) -> Iterable[Row]:
        kind, fold = part[0].kind, found.folds[part[0].pair]
        chosen = examples_for(found, kind, fold, shots, seed, warned=warned)
        examples = [(question(row, warned=warned), row.buggy) for row in chosen]
        more = options | ({} if warned else {"kind": kind})
        asked = [question(row, warned=warned) for row in part]
        for row, answer in zip(part, asking.ask(model, asked, examples=examples, **more), strict=True):
            yield _row(arm, row, answer, _labels(row, found, options.get("context", "")), seed)

    places = sorted({(row.kind, found.folds[row.pair]) for row in own})
    for place in tqdm(places, desc=f"{results.name}, {arm}", unit="fold", disable=not progress):
        part = [row for row in own if (row.kind, found.folds[row.pair]) == place]
        results.compute([(arm, row.id, seed) for row in part], partial(rows, part), together=True)


def _row(arm: str, row: Example, answer: Answer, labels: dict, seed: int) -> Row:
    """score: log-odds of yes, NaN without; yes: as answered; unread and failed: counted, and never taken for a no."""
    said = answer.values.get("Answer")
    measures = {
        "real": row.buggy, "score": nan if answer.odds is None else answer.odds, "yes": said == asking.YES,
        "unread": said is None and not answer.failed, "failed": answer.failed,
    }  # fmt: skip
    told = " ".join(filter(None, [answer.values.get("Explanation"), f"[{said or answer.problem}]"]))
    return Row(arm, row.id, seed, row.pair, measures, labels, answer.prompt, told)
