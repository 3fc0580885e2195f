"""The notebook's page: filter, detection and repair as tables, sentences and metrics.

Every sentence follows from the numbers of the run; none is written down beforehand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import isfinite

from ...data import quoted
from ...results import Results, metric_key
from ...stats import Estimate
from . import asking, rates, study
from .study import ALL, EVERY, FUNNEL, LEARNT, MODEL, NOTHING, RECALL, WARNED, Materials

UNDEFINED = "undefined (nothing is kept)"
NULLS = "returns null"


@dataclass
class Page:
    """All that is shown of a run.

    Attributes
    ----------
    model : str
        Its name: every number says which model.
    found : Materials
    filter, detection, repair : Results
    java : str
        Why patches were not compiled and run; empty if they were.
    """

    model: str
    found: Materials = field(repr=False)
    filter: Results = field(repr=False)
    detection: Results = field(repr=False)
    repair: Results = field(repr=False)
    java: str = ""

    @cached_property
    def aurocs(self) -> dict[str, Estimate | None]:
        """Filter: arm -> AUROC (None without log-probabilities)."""
        return rates.auroc_table(self.filter)

    @cached_property
    def detected(self) -> dict[str, Estimate | None]:
        """Detection: arm -> AUROC."""
        return rates.auroc_table(self.detection)

    @cached_property
    def kept(self) -> dict[str, dict]:
        """Filter: arm -> what is kept (precision, recall, accuracy, gain, kept), thresholds from other folds."""
        made = {}
        for arm in [*self.filter.arms, NOTHING]:
            rows = self.filter.of(ALL if arm == NOTHING else arm).rows
            keep = [False] * len(rows) if arm == NOTHING else rates.keeps(rows, RECALL)
            made[arm] = {**rates.shares(rows, keep), "gain": rates.gained(rows, keep), "kept": sum(keep)}
        return made

    @cached_property
    def calls(self) -> dict[str, dict]:
        """Detection: arm -> accuracy, precision, recall (threshold of other folds) and F1."""
        made = {}
        for arm in self.detection.arms:
            rows = self.detection.of(arm).rows
            yes = rates.says_yes(rows, arm in (EVERY, WARNED))
            made[arm] = {**rates.shares(rows, yes), "F1": rates.f1(rows, yes)}
        return made

    @property
    def arms(self) -> list[str]:
        """The model's runs of the filter."""
        return [arm for arm in self.filter.arms if arm.startswith(MODEL)]

    def labels(self, arms: Iterable[str]) -> dict[str, str]:
        """Arm -> its name on the page, with the model's own name."""
        return {arm: arm.replace(MODEL, self.model, 1) if arm.startswith(MODEL) else arm for arm in arms}

    def named(self, table: Mapping[str, Estimate | None]) -> dict[str, Estimate | None]:
        """A table by arm as one by the arms' names on the page."""
        return {name: table[arm] for arm, name in self.labels(table).items()}

    @cached_property
    def judge(self):
        """What judges a user's warnings: (model, questions) -> verdicts, zero-shot; the threshold is this run's."""
        rows = self.filter.of(study.name_of(0, "message")).rows
        known = [row for row in rows if isfinite(row.measures["score"])]
        scores, real = ([row.measures[name] for row in known] for name in ("score", "real"))
        # `keeps` takes scores at the threshold, a verdict those above it
        cut = rates.cut_for_recall(scores, real, RECALL) - 1e-9 if known else 0.0
        return partial(asking.filter_warnings, threshold=cut)

    def trust(self) -> str:
        """What is known of `judge` before it judges a user's warnings."""
        arm = study.name_of(0, "message")
        own = self.aurocs.get(arm)
        if arm not in self.filter.arms:
            known = "this run did not ask it in this form, so its threshold is plain yes or no: nothing is known of it"
        elif own is None:
            known = "it tells no log-probabilities, so its threshold is its own word"
        else:
            known = f"on our own set it tells real warnings from false ones {_against(own)} (AUROC {own})"
        return f"**The judge** is {self.model}, zero-shot, with the analyser's message; {known}."

    # --- tables -------------------------------------------------------------------------------------------------------

    def filter_table(self) -> list[dict]:
        """A row a filter: AUROC; kept, precision, gain, recall at a threshold of other folds; answers; failures."""
        names, found = self.labels(self.kept), []
        for arm, told in self.kept.items():
            rows = self.filter.of(ALL if arm == NOTHING else arm).rows
            asked = arm.startswith(MODEL)
            found.append({
                "filter": names[arm], "AUROC": self.aurocs.get(arm), "kept": f"{told['kept']} of {len(rows)}",
                "precision of the kept": told["precision"] or UNDEFINED, "over keeping all": told["gain"],
                "recall": told["recall"], **_answered(rows if asked else []),
            })  # fmt: skip
        return found

    def detection_table(self) -> list[dict]:
        """A row a detector: AUROC, accuracy, precision, recall, F1; the share of yes as answered; failures."""
        names, found = self.labels(self.calls), []
        for arm, told in self.calls.items():
            asked = arm.startswith(MODEL)
            found.append({
                "detector": names[arm], "AUROC": self.detected[arm], "accuracy": told["accuracy"],
                "precision": told["precision"] or "undefined (no yes)", "recall": told["recall"], "F1": told["F1"],
                **_answered(self.detection.of(arm).rows if asked else []),
            })  # fmt: skip
        return found

    @property
    def contexts(self) -> dict[str, Estimate | None]:
        """The zero-shot runs by what they were shown: context -> AUROC."""
        return {
            self.filter.of(arm).rows[0].labels["context"]: self.aurocs[arm]
            for arm in self.arms
            if arm == study.name_of(0, self.filter.of(arm).rows[0].labels["context"])
        }

    def funnel(self) -> dict[str, dict[str, Estimate]]:
        """Patcher -> stage -> share of the methods whose patch came so far; a stage that nothing judged is left out."""
        found: dict[str, dict[str, Estimate]] = {}
        for arm, name in self.labels(self.repair.arms).items():
            own = self.repair.of(arm)
            told = {stage: own.table(stage)[arm] for stage in (*FUNNEL, NULLS)}
            found[name] = {stage: value for stage, value in told.items() if value is not None}
        return found

    def funnel_table(self) -> list[dict]:
        """A row a stage, a column a patcher."""
        funnel = self.funnel()
        stages = [stage for stage in (*FUNNEL, NULLS) if any(stage in told for told in funnel.values())]
        named = {NULLS: "returns null instead"}
        return [
            {"stage": named.get(stage, stage), **{name: told.get(stage, "not judged") for name, told in funnel.items()}}
            for stage in stages
        ]

    def patches_table(self) -> list[dict]:
        """What became of every patch, and the patch."""
        names = self.labels(self.repair.arms)
        return [
            {"method": row.item, "patcher": names[row.arm], "what became of it": row.labels["why"], "patch": row.reply}
            for row in self.repair.rows
        ]

    # --- sentences ----------------------------------------------------------------------------------------------------

    def best(self) -> str:
        """The filter's run that the paper has: the model with the analyser's message, the first of them."""
        return self.arms[0]

    def verdict(self) -> str:
        """What the model adds over the analyser, the rules and the constant answer."""
        arm, n = self.best(), len(self.filter.of(ALL).rows)
        said = [
            f"**{self.model}**, {n} warnings, {len(self.detection.of(EVERY).rows)} methods (95 % intervals over pairs)."
        ]
        own = self.aurocs[arm]
        if own is None:
            said.append(
                f"{self.model} tells no log-probabilities (or every call failed): its answers are counted, and there "
                "is no AUROC by odds."
            )
        else:
            said.append(f"Filter: it tells real warnings from false ones {_against(own)} (AUROC {own}).")
            for other in (LEARNT, self._best_rule()):
                added = rates.auroc_table(self.filter, other)[arm]
                said.append(f"Over {other} it adds {added} AUROC: {_adds(added)}.")
        kept = self.kept[arm]
        if kept["precision"] is None:
            said.append("It keeps no warning: the precision of nothing is undefined.")
        else:
            said.append(
                f"Of the {kept['kept']} warnings that it keeps {kept['precision']} are real; all {n} have "
                f"{self.kept[ALL]['precision']}. The gain over the analyser is {kept['gain']} at recall "
                f"{kept['recall']}: {_adds(kept['gain'])}."
            )
        share = _answered(self.filter.of(arm).rows)["answered yes"]
        said.append(f"It answers yes to {share} of the warnings.")
        if (first := self.detected[study.name_of(self._shots()[0])]) is not None:
            said.append(f"Detection: {_against(first)} (AUROC {first}).")
        return " ".join([*said, self._repaired()])

    def _repaired(self) -> str:
        if not self.repair.rows:
            return "No patch was asked for."
        funnel, parts = self.funnel(), []
        for name, told in funnel.items():
            last = "behaves" if "behaves" in told else "parses"
            parts.append(f"{name} {_count(told[last])} (parse: {_count(told['parses'])})")
        what = "pass their method's check" if not self.java else "parse, and none was compiled or run"
        return f"Patches that {what}: {'; '.join(parts)}."

    def _shots(self) -> list[int]:
        return [shots for shots in range(5) if study.name_of(shots) in self.detected]

    def _best_rule(self) -> str:
        """The rule or control with the highest AUROC on these rows: the hardest one to beat."""
        rules = [arm for arm in self.filter.arms if not arm.startswith(MODEL) and arm not in (ALL, LEARNT)]
        return max(rules, key=lambda arm: self.aurocs[arm].value if self.aurocs[arm] else 0)

    def conclusions(self) -> list[str]:
        """A sentence for each further run of the model, and for what could not be asked."""
        lines = []
        for arm, name in self.labels(self.arms[1:]).items():
            own = self.aurocs[arm]
            lines.append(
                f"Filter, {name}: {'no log-probabilities' if own is None else f'{_against(own)} (AUROC {own})'}."
            )
        if len(self.contexts) > 1:
            lines.append(f"What the question shows: {_contexts(self.contexts)}.")
        for arm in self.arms:
            lost = sum(row.measures["failed"] or row.measures["unread"] for row in self.filter.of(arm).rows)
            if lost:
                lines.append(
                    f"{lost} warnings need a person, because {self.labels([arm])[arm]} gave no answer to them."
                )
        if self.java:
            lines.append(f"Patches were neither compiled nor run: {self.java}.")
        return lines

    # --- the record ---------------------------------------------------------------------------------------------------

    def tables(self) -> dict[str, list[dict]]:
        """The tables for `workbench.record`, as texts."""
        made = {"filter": self.filter_table(), "detection": self.detection_table(), "repair": self.funnel_table(),
                "patches": self.patches_table()}  # fmt: skip
        return {
            name: [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
            for name, rows in made.items()
        }

    def metrics(self) -> dict[str, Estimate]:
        """For `workbench.record`; what is undefined has no number. Stages of one patch alone are no measurement."""
        made: dict[str, Estimate | None] = {}
        for arm in self.kept:
            made[f"filter.auroc.{_key(arm)}"] = self.aurocs.get(arm)
            made |= {f"filter.{name}.{_key(arm)}": self.kept[arm][name] for name in ("precision", "recall", "gain")}
        for arm, told in self.calls.items():
            made[f"detect.auroc.{_key(arm)}"] = self.detected[arm]
            made |= {f"detect.{name.lower()}.{_key(arm)}": told[name] for name in ("accuracy", "F1")}
        for task, results in (("filter", self.filter), ("detect", self.detection)):
            for arm in (arm for arm in results.arms if arm.startswith(MODEL)):
                made[f"{task}.yes.{_key(arm)}"] = results.of(arm).table("yes", bounds=rates.SHARE, pooled=True)[arm]
                base = rates.auroc_table(results, LEARNT)[arm]
                made[f"{task}.auroc_over_small_filter.{_key(arm)}"] = base
        for arm in self.repair.arms:
            told = {stage: self.repair.of(arm).table(stage)[arm] for stage in (*FUNNEL, NULLS)}
            made |= {f"repair.{metric_key(stage)}.{_key(arm)}": value
                     for stage, value in told.items() if value is not None and value.n > 1}  # fmt: skip
        return {name: value for name, value in made.items() if value is not None}


def page(model, size: Mapping, *, seed: int = 0, progress: bool = False) -> Page:
    """Filter, detection and repair at these sizes (of the paper's ``PROFILES``)."""
    found = study.materials(size["pairs"])
    options = {"seed": seed, "progress": progress}
    repaired = study.repairing(model, found, size, **options)
    return Page(
        str(model.name), found, study.filtering(model, found, size, **options),
        study.detection(model, found, size, **options), repaired, study.java_here(),
    )  # fmt: skip


def _key(arm: str) -> str:
    return metric_key(arm.split(" (")[0])


def _answered(rows) -> dict:
    """The share of yes as answered, and how many answers were unreadable or failed; blank where nobody was asked."""
    if not rows:
        return {"answered yes": None, "unreadable": None, "failed": None}
    results = Results(rows=rows)
    return {
        "answered yes": results.table("yes", bounds=rates.SHARE, pooled=True)[rows[0].arm],
        "unreadable": int(sum(row.measures["unread"] for row in rows)),
        "failed": int(sum(row.measures["failed"] for row in rows)),
    }


def _against(auroc: Estimate) -> str:
    if auroc.low > 0.5:
        return "better than chance"
    return "worse than chance, its answers are reversed" if auroc.high < 0.5 else "no better than chance"


def _adds(added: Estimate) -> str:
    return added.says("it adds something", "it takes something away")


def _count(share: Estimate) -> str:
    return f"{round(share.value * share.n)} of {share.n}, {Estimate(share.value, share.low, share.high)}"


def _contexts(found: Mapping[str, Estimate | None]) -> str:
    names = {"method": "the method alone", "callees": "with what it calls", "message": "with the analyser's message"}
    return "; ".join(f"{names[one]} {value if value is not None else 'without odds'}" for one, value in found.items())


def beside_the_quotes() -> list[str]:
    """What has to be said beside the paper's tables."""
    told = {key: one.value for key, one in quoted("skipanalyzer").items()}
    lines = []
    for kind, key in (("null dereference", "nd"), ("resource leak", "rl")):
        precision = told[f"infer_precision_{kind.replace(' ', '_')}"]
        constant = 200 * precision / (100 + precision)
        quotes = [value for name, value in told.items() if name.startswith(f"detect_{key}_") and name.endswith("_f1")]
        below = sum(value < constant for value in quotes)
        lines.append(
            f"A detector that always answers “bug” has F1 {constant:.1f} on the paper's {kind} data "
            f"({precision} % of Infer's warnings are real): above {below} of its {len(quotes)} rows."
        )
    gain = told["filter_nd_gpt_4_few_shot_precision"] - told["infer_precision_null_dereference_subset"]
    return [
        *lines,
        "Gains are percentage points. Infer's recall is 100 % by construction: its own warnings are the data.",
        f"The text credits the gain of {gain:.2f} points to zero-shot prompts, Table III to few-shot ones.",
    ]
