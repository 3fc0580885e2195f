"""The explorer of warnings: a warned method, a verdict with its grounds, a patch as a diff, and a person's last word.

No method of its own: verdicts, patches and files are those of workbench.papers.skipanalyzer.
"""

import json
import re

import traitlets

from ..errors import UsageError
from ..papers.skipanalyzer import asking, explore
from ..papers.skipanalyzer.compiler import JavaMissing, ecj, java
from ..papers.skipanalyzer.repair import rule_patch
from ..papers.skipanalyzer.sarif import FALSE, REAL, UNSURE
from .base import Check, Choice, Explorer, front, one_of

ASKED = {"accept": REAL, "reject": FALSE, "person": UNSURE}  # a button -> the verdict that it gives
EXPLAINED = 60  # tokens of a model's explanation
SHOWN = 2000  # characters of an analyser's message or a model's explanation
MOST = 2000  # warnings that the page's menu lists


class WarningExplorer(Explorer):
    """See a warned method, ask whether the warning is real, look at a patch, and decide.

    Parameters
    ----------
    model : Model, optional
        A handle that generates: it is offered as a judge and as a patcher. Without one the rules and the small filter
        judge, and the patcher by rule writes.
    triage : Triage, optional
        From `workbench.papers.skipanalyzer.triage.triage`: its warnings are shown; else the teaching set's.
    warning : str
        The id of the first one shown; by default the first.
    who : str
        Who decides: it is written into the files beside each verdict.
    large : bool
        Large type, for a class (default).

    Attributes
    ----------
    answer : dict
        "rule", "message", "file", "line", "code" ([number, line, warned]), "verdict" ({"kind", "confidence", "by",
        "explanation"}), "patch" ({"by", "text", "lines" ([sign, line]), "says" (what the triage found of it)}).
    checked : dict
        What came of the last patch that was checked: "warning", "patch", "accepted", "says".
    decisions : list
        What persons decided, in order; the last on a warning counts: "item", "verdict", "who", "note", "patch" (the
        whole method, or ""), "by" (who wrote the patch), "truth" (what the teaching set says of the warning).

    Raises
    ------
    UsageError
        An unknown warning, judge or patcher.
    """

    _esm, _css = front("skipanalyzer")
    asks = ("warning", "judge", "context", "explained", "patcher", "edited")
    stem = "warnings"

    warning = traitlets.Unicode("").tag(sync=True)
    judge = traitlets.Unicode("rule").tag(sync=True)
    context = traitlets.Unicode("message").tag(sync=True)
    explained = traitlets.Bool(False).tag(sync=True)  # a model explains first; it tells no confidence then
    patcher = traitlets.Unicode("rule").tag(sync=True)
    edited = traitlets.Unicode("").tag(sync=True)  # a patch that a person typed; empty: the patcher's
    who = traitlets.Unicode("").tag(sync=True)
    warnings = traitlets.List().tag(sync=True)  # [id, kind]
    checked = traitlets.Dict().tag(sync=True)
    decisions = traitlets.List().tag(sync=True)
    missing = traitlets.Unicode("").tag(sync=True)

    def __init__(self, model=None, *, triage=None, warning="", who="", large=True):
        self._triage = triage
        listed, self._log = explore.from_set() if triage is None else explore.from_triage(triage)
        self._items = {item.id: item for item in listed}
        self._judges = {"rule": "a one-line rule", "small filter": "the small filter"}
        self._patchers = {"rule": "rule"}
        if triage is not None:
            self._judges["triage"], self._patchers["triage"] = "the triage", "the triage"
        if model is not None:
            self._judges["model"] = self._patchers["model"] = str(model.name)
        first = "rule" if triage is None else "triage"
        super().__init__(
            model, warning=warning or listed[0].id, judge=first, patcher=first, who=who, large=large,
            missing=_no_java(),
            warnings=[[item.id, asking.KINDS[item.question.finding.rule]] for item in listed[:MOST]],
        )  # fmt: skip
        if self.error:
            self.close()
            raise UsageError(self.error)

    @traitlets.validate("judge")
    def _valid_judge(self, proposal):
        return one_of("judge", proposal["value"], tuple(self._judges))

    @traitlets.validate("patcher")
    def _valid_patcher(self, proposal):
        return one_of("patcher", proposal["value"], tuple(self._patchers))

    @traitlets.validate("context")
    def _valid_context(self, proposal):
        return one_of("context", proposal["value"], asking.CONTEXTS)

    def controls(self):
        controls = [
            Choice("judge", "Judged by", self._judges.items()), Choice("patcher", "Patch by", self._patchers.items())
        ]  # fmt: skip
        shown = [("method", "the method alone"), ("callees", "with what it calls"), ("message", "with the message")]
        if self.model is not None:
            controls += [Choice("context", "The model sees", shown), Check("explained", "It explains first")]
        return controls

    # --- the answer -------------------------------------------------------------------------------------------------

    def _changed(self, change):
        # another warning or another patcher: what was typed belongs to the old one
        answered = self.answer.get("question", {}).get("edited")
        if change is not None and change["name"] in ("warning", "patcher") and self.edited and self.edited == answered:
            self.edited = ""
        super()._changed(change)

    def item(self) -> explore.Item:
        """The warning that is shown.

        Raises
        ------
        UsageError
            There is none of that id.
        """
        if self.warning not in self._items:
            raise UsageError(f"there is no warning {self.warning[:80]!r}: choose one of the {len(self._items)}")
        return self._items[self.warning]

    def compute(self):
        item = self.item()
        question, found = item.question, item.question.finding
        if len(self.edited) > explore.LONGEST:
            raise UsageError(f"the typed patch is longer than {explore.LONGEST:,} characters: mend the file itself")
        verdict, patch, says = self._verdict(item), self.edited or self._patch(item), ""
        if max(len(patch), len(question.method.text)) > explore.LONGEST:
            patch, says = "", f"The method is longer than {explore.LONGEST:,} characters: mend it in its file."
        rows = question.method.text[: explore.LONGEST].replace("\r\n", "\n").split("\n")
        numbers = range(question.method.start, question.method.start + len(rows))
        lines = explore.patch_lines(question.method.text, patch) if patch else []
        return {
            "rule": found.rule,
            "message": found.message[:SHOWN],
            "kind": asking.KINDS[found.rule],
            "file": question.method.file,
            "line": found.line,
            "code": [[n, row, found.line <= n <= max(found.line, found.end_line)] for n, row in zip(numbers, rows)],
            "verdict": verdict,
            "patch": {
                "by": "typed" if self.edited else self._patchers[self.patcher], "text": patch, "lines": lines,
                "says": says or self._triaged(item, patch),
            },
        }  # fmt: skip

    def _verdict(self, item):
        """What the chosen judge says, as the page has it; None where a triage asked nobody."""
        if self.judge == "rule":
            found = explore.by_rule(item.question)
        elif self.judge == "small filter":
            found = self.once(("filter", item.id), lambda: explore.by_filter(item, list(self._items.values())))
        elif self.judge == "triage":
            found = item.row.verdict
        else:
            asked = {"context": self.context, "explanation": EXPLAINED * self.explained}
            key = ("verdict", item.id, self.context, self.explained)
            found = self.once(key, lambda: asking.filter_warnings(self.model, [item.question], **asked)[0])
        if found is None:
            return None
        return {
            "kind": found.kind, "confidence": found.confidence, "by": found.model, "prompt": found.prompt,
            "explanation": found.explanation[:SHOWN],
        }  # fmt: skip

    def _patch(self, item) -> str:
        if self.patcher == "rule":
            return rule_patch(item.question.method, item.question.finding)
        if self.patcher == "triage":
            return item.row.patch
        return self.once(("patch", item.id), lambda: asking.patches(self.model, [item.question])[0])

    def _triaged(self, item, patch) -> str:
        """What the triage found out about this very patch."""
        same = item.row is not None and item.row.patch == patch and item.row.validation is not None
        return (item.row.validation.why if item.row.diff else item.row.as_row()["reason"]) if same else ""

    # --- what a person does -----------------------------------------------------------------------------------------

    def check(self) -> dict:
        """Judge the patch that is shown: parses, compiles, behaves (of the teaching set alone), is minimal."""
        item, patch = self.item(), self.answer["patch"]["text"]
        if not patch:
            raise UsageError("there is no patch to check: choose another patcher, or type one")
        found = self.once(("checked", item.id, patch), lambda: explore.judged(item, patch, self._triage))
        self.checked = {"warning": item.id, "patch": patch, "accepted": found.accepted, "says": found.why}
        return self.checked

    def decide(self, verdict: str, *, who: str = "", note: str = "") -> dict:
        """Record a person's verdict on the warning that is shown.

        Parameters
        ----------
        verdict : str
            "real" takes the patch that is shown, if there is one; "false"; "needs a person".
        who : str
            Who judged; by default ``who`` of the widget.
        note : str
            Why.

        Raises
        ------
        UsageError
            Nobody is named, or the verdict is none of the three.
        """
        one_of("verdict", verdict, (REAL, FALSE, UNSURE))
        who = " ".join((who or self.who).split())[:80]
        if not who:
            raise UsageError("a verdict needs the name of who judged: type yours")
        item, patch = self.item(), self.answer["patch"]
        taken = verdict == REAL and bool(patch["text"])
        made = {
            "item": item.id, "verdict": verdict, "who": who, "note": note.strip()[:SHOWN],
            "patch": patch["text"] if taken else "",
            "by": (who if self.edited else patch["by"]) if taken else "", "truth": item.truth,
        }  # fmt: skip
        self.who = who
        self.decisions = [*(one for one in self.decisions if one["item"] != item.id), made]
        return made

    def perform(self, command):
        """{"kind": "decide", "button": "accept", "reject" or "person", "who", "note"}, or "check"."""
        kind = command.get("kind")
        if kind == "decide":
            verdict = ASKED[one_of("button", command.get("button"), tuple(ASKED))]
            self.decide(verdict, who=str(command.get("who", "")), note=str(command.get("note", "")))
        elif kind == "check":
            self.check()

    def reset(self):
        """Back to how the widget was built; decisions are forgotten."""
        self.decisions, self.checked = [], {}
        super().reset()

    # --- table, picture, files --------------------------------------------------------------------------------------

    def _said(self) -> str:
        told = self.answer.get("verdict")
        if not told:
            return "nobody was asked whether the warning is real"
        sure = f", confidence {told['confidence']:.2f}" if told["confidence"] else ""
        return f"{told['by']} says: {told['kind']}{sure}"

    def caption(self):
        if "code" not in self.answer:
            return "a warning and its verdict"
        return f"{self.warning}: {self.answer['kind']}; {self._said()}"

    def rows(self):
        now = self.answer
        head = [["warning", f"{now['rule']}, line {now['line']}", _line(now["message"])], ["verdict", "", self._said()]]
        if now["verdict"] and now["verdict"]["explanation"]:
            head.append(["", "grounds", _line(now["verdict"]["explanation"])])
        code = [["code", f"{number}{' (warned)' * warned}", _line(text)] for number, text, warned in now["code"]]
        patch = [
            ["patch", {"+": "put in", "-": "taken out"}[s], _line(text)]
            for s, text in now["patch"]["lines"]
            if s != " "
        ]
        return ["what", "where", "text"], head + code + patch

    def draw(self):
        now, finding = self.answer, self.item().question.finding
        lines = now["patch"]["lines"] or [[" ", text] for _, text, _ in now["code"]]
        return explore.picture(self.caption(), finding, self._said(), lines)

    def _exported(self, ending):
        if ending == "sarif":
            log = explore.log_with(self._log, self._items, self.decisions)
            return (json.dumps(log, indent=1, ensure_ascii=False) + "\n").encode(), "application/json", ending
        if ending == "patch":
            return explore.patches_with(self._items, self.decisions, self._triage).encode(), "text/plain", ending
        return super()._exported(ending)


def _line(text: str) -> str:
    """A text on one line, without what moves a cursor."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text.expandtabs(4)).rstrip()


def _no_java() -> str:
    try:
        java(), ecj()
    except JavaMissing as error:
        return f"Patches are neither compiled nor run: {error}."
    return ""
