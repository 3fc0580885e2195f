"""The notebook's page: sizes, scorer report, comparison and attack put together, as tables, sentences and metrics.

Every sentence follows from the numbers of this run; none is written down beforehand.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import UsageError
from ...readers import Prompt
from ...results import Results
from ...stats import Estimate
from . import scorers
from .judges import judge_for, judge_report
from .materials import labelled
from .settings import RainSettings
from .study import BOUNDS, LABELLED, Study, choose_labelled, choose_prompts, compare, title

_HEADINGS = {
    "harmful": "harmful requests: good is a refusal or a warning",
    "lookalike": "harmless look-alikes: good is an answer that does not refuse",
    "review": "review openings: good is praise",
    "": "your prompts",
}


@dataclass
class Page:
    """All that is shown of one objective."""

    objective: str
    scorer: Callable = field(repr=False)
    settings: RainSettings
    asked: list[Prompt] = field(repr=False)
    report: object = field(repr=False)  # ScorerReport, or None where there are no labelled replies
    judge: dict[str, Estimate] = field(repr=False)  # judge_report, or {}
    study: Study = field(repr=False)

    @property
    def title(self) -> str:
        """The objective's name; a template of the user's is "your objective"."""
        return title(self.objective)

    @property
    def slug(self) -> str:
        """The title as part of a file's name."""
        return self.title.replace(" ", "-")

    def heading(self, kind: str) -> str:
        """What a table shows, in a line; who judged is said."""
        judge = self.study.judge or "the scorer itself, which RAIN maximises: no independent judge"
        if kind == "lookalike" and self.objective == "harmlessness":
            judge = "lexicon"  # whether a reply refuses: `compare` asks no second model that
        return f"{self.title}, {_HEADINGS.get(kind, kind)} (judge: {judge})"

    @property
    def judge_warning(self) -> str:
        """One sentence where the judge cannot tell good replies from bad ones, else empty."""
        auc = self.judge.get("auc")
        if auc is None or auc.low is None or auc.low > 0.5:
            return ""
        what = "takes bad replies for good ones" if auc.high < 0.5 else "cannot be told from guessing"
        return f"the judge ({self.study.judge}) {what} on held-out replies (AUC {auc}): its verdicts mean nothing here"

    @property
    def scorer_sentence(self) -> str:
        """Whether the scorer tells good replies from bad ones; empty where there are no labelled replies."""
        if self.report is None:
            return ""
        chance = "is reversed" if self.report.is_reversed else "is better than guessing"
        chance = "cannot be told from guessing" if self.report.at_chance else chance
        return f"the scorer {chance} on held-out replies (AUC {self.report.auc})."

    def verdict(self, model: str) -> str:
        """What the run found on the paper's claim, beside the equal-cost control, on the first kind of prompts."""
        kind, scorer = self.study.kinds()[0], self.scorer_sentence
        said = [f"{model}, {self.heading(kind)}.", self.study.sentence(kind), f"T{scorer[1:]}" if scorer else ""]
        return " ".join(filter(None, said))

    def conclusions(self) -> list[str]:
        """What this run shows, a sentence each."""
        lines = [f"{self.title}: {self.scorer_sentence}"] if self.scorer_sentence else []
        if self.judge_warning:
            lines.append(f"{self.title}: {self.judge_warning}.")
        for kind in self.study.kinds():
            name = _HEADINGS.get(kind, kind).split(":")[0]
            for over in ("best-of-N", "value-zero", "greedy"):
                lines.append(f"{self.title}, {name}: {self.study.sentence(kind, over)}")
        return lines


def objectives(name: str, source: str | None = None) -> list[str]:
    """ "both" is harmlessness and sentiment; anything else is one objective.

    Raises
    ------
    UsageError
        A file of prompts together with "both".
    """
    if name != "both":
        return [name]
    if source is not None:
        raise UsageError(f"prompts={source!r} needs one objective: add -p objective=sentiment, or harmlessness")
    return ["harmlessness", "sentiment"]


def page(
    model, objective: str, size: Mapping, *, form: str = "words", source: str | None = None, judge_model=None,
    encoder=None, seed: int = 0, progress: bool = False,
) -> Page:  # fmt: skip
    """Scorer report, judge report and comparison of one objective at these sizes.

    Parameters
    ----------
    objective, form : str
        As in `scorers.objective`.
    size : mapping
        Of the paper's ``PROFILES``.
    source : str, optional
        A file of prompts; default: the packaged ones.
    progress : bool
        As in `compare`.
    """
    scorer = scorers.objective(model, objective, form=form)
    asked = choose_prompts(objective, size["prompts_used"], source, seed=seed)
    report, judged = None, {}
    if objective in LABELLED:
        report = scorers.scorer_report(model, scorer, choose_labelled(objective, size["labelled_used"]), seed=seed)
        _, judge, threshold = judge_for(objective, judge_model)
        if judge is not None:
            judged = judge_report(judge, labelled(objective, half="heldout"), threshold)
    settings = RainSettings.embedded(budget=size["budget"], max_new_tokens=size["max_new_tokens"])
    options = {"judge_model": judge_model, "encoder": encoder, "seed": seed, "progress": progress}
    study = compare(model, asked, objective=objective, scorer=scorer, settings=settings, **options)
    return Page(objective, scorer, settings, asked, report, judged, study)


def attack(model, page: Page, suffix: str, *, n: int | None = None, **options) -> Study:
    """The page's harmful requests (a user's prompts: any; the first ``n``) once more, ``suffix`` behind each."""
    asked = [prompt for prompt in page.asked if prompt.kind != "lookalike"][:n]
    return compare(
        model, asked, objective=page.objective, scorer=page.scorer, settings=page.settings, suffix=suffix, **options
    )


def sweep(model, page: Page, budgets: Sequence[int], *, n: int | None = None, **options) -> list[dict]:
    """The comparison at several budgets on the page's first ``n`` prompts of its first kind.

    Returns
    -------
    list of dict
        {"method", "budget", "tokens" (a prompt), "rate", "judged", "scored" (means, Estimates)}, for
        `figures.draw_sweep`.
    """
    points = []
    kind = page.study.kinds()[0]
    asked = [prompt for prompt in page.asked if prompt.kind == kind][:n]
    for budget in budgets:
        study = page.study
        if budget != page.settings.budget or asked != page.asked:
            settings = page.settings.with_(budget=budget)
            study = compare(model, asked, objective=page.objective, scorer=page.scorer, settings=settings, **options)
        results = study.of(kind)
        rates, judged, scored = (results.table(measure) for measure in ("good", "judged", "scored"))
        points += [
            {"method": method, "budget": budget, "tokens": results.of(method).rows[0].cost["tokens"], "rate": rate,
             "judged": judged[method], "scored": scored[method]}
            for method, rate in rates.items()
            if method in ("value-zero", "best-of-N", "RAIN") or budget == budgets[0]
        ]  # fmt: skip
    return points


# --- tables ---------------------------------------------------------------------------------------------------------


def scorer_table(pages: Iterable[Page]):
    """Scorer and judge of every objective on the held-out replies: what was measured, with interval."""
    named, rows = {"right": "share right", "auc": "AUC", "undecided": "share undecided"}, []
    for one in pages:
        told = [("scorer", row) for row in (one.report.table() if one.report is not None else ())]
        told += [(one.study.judge, {"measure": named[name], **e.as_dict()}) for name, e in one.judge.items()]
        for who, row in told:
            ends = "" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"
            rows.append({"objective": one.title, "who": who, "measure": row["measure"], "value": row["value"],
                         "95 % interval": ends, "n": row["n"]})  # fmt: skip
    return _table(rows)


def attack_table(plain: Study, attacked: Study):
    """Share of refusals without and with the suffix, a row a method."""
    same = {row.item for row in attacked.results.rows}
    before = Results(rows=[row for row in plain.results.rows if row.item in same]).table("good")
    return _table([
        {"method": method, "share good without the suffix": str(before[method]), "share good with it": str(rate),
         "prompts": rate.n}
        for method, rate in attacked.of().table("good").items()
    ])  # fmt: skip


def sweep_rows(points: Sequence[Mapping]) -> list[dict]:
    """The sweep as records: share good with its interval, the judge's and the scorer's mean values, tokens a prompt."""
    return [
        {
            "method": point["method"], "budget": point["budget"], "tokens a prompt": point["tokens"],
            "share good": point["rate"].value, "low": point["rate"].low, "high": point["rate"].high,
            "prompts": point["rate"].n, "judge's mean": point["judged"].value, "scorer's mean": point["scored"].value,
        }
        for point in points
    ]  # fmt: skip


def replies_table(study: Study, kind: str | None = None, methods: Sequence[str] = ("greedy", "best-of-N", "RAIN")):
    """Every prompt with the replies of these methods, each with the judge's value; pandas escapes them for the page."""
    import pandas as pd

    results = study.of(kind)
    columns = {"prompt": [row.prompt for row in results.of("RAIN").rows]}
    for method in methods:
        rows = results.of(method).rows
        columns[method] = [f"{row.reply.strip()} [{row.measures['judged']:+.2f}]" for row in rows]
    return pd.DataFrame(columns).set_index("prompt")


def _table(rows: list[dict]):
    import pandas as pd

    frame = pd.DataFrame(rows)
    return frame.set_index(frame.columns[0]) if rows else frame


def metrics(pages: Iterable[Page], attacked: Study | None = None, points: Sequence[Mapping] = ()) -> tuple[dict, dict]:
    """Metrics and tables for `workbench.record`."""
    found: dict = {}
    tables: dict = {}
    for one in pages:
        if one.report is not None:
            found[f"{one.slug}: scorer AUC, held out"] = one.report.auc
        if "auc" in one.judge:
            found[f"{one.slug}: judge AUC, held out"] = one.judge["auc"]
        for kind in one.study.kinds():
            name = f"{one.slug}, {kind}" if kind else one.slug
            results = one.study.of(kind)
            for method, rate in results.table("good").items():
                if method in ("greedy", "best-of-N", "RAIN"):  # all of them are in the tables
                    found[f"{name}: good, {method}"] = rate
            for what, measure in (("share good", "good"), ("judge's value", "judged")):
                added = results.added("RAIN", "best-of-N", measure, BOUNDS[measure])
                found[f"{name}: RAIN less best-of-N, {what}"] = added
            tables[f"{one.slug} {kind}".strip()] = one.study.table(kind)
        for row in one.study.costs:
            if row["method"] in ("best-of-N", "RAIN"):
                found[f"{one.slug}: tokens a prompt, {row['method']}"] = row["tokens"]
        tables[f"{one.slug} cost"] = one.study.costs
        tables[f"{one.slug} replies"] = one.study.rows
    if attacked is not None:
        for method, rate in attacked.of().table("good").items():
            found[f"attack: good, {method}"] = rate
        tables["attack replies"] = attacked.rows
    if points:
        tables["sweep"] = sweep_rows(points)
    return found, tables
