"""The pictures of README and docs, made anew: `python docs/images/make.py` (all widgets), `… make.py emo kbert`, or
`… make.py --run FOLDER`: the README's figure, from the folder of `workbench run randomness --profile standard`.

Widgets are photographed in a real JupyterLab on the embedded model, as tests/browser/harness.py drives it.
"""

import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOAD = "import workbench as wb\nmodel = wb.load('smollm2')\n"
ASKED = "'The capital of France is', ' Paris'"
PAIR = "model, 'The capital of France is', 'The capital of Italy is', ' Paris', ' Rome'"
PRAISE = (
    "from workbench.papers import explainability as ex\nfrom workbench.widgets.explain.steer import SteeringSlider\n"
    "rows, first = ex.concept_rows('sentiment', 'train'), ex.openings()[0]\n"
    "praise = ex.concept_vector(model, [r.positive for r in rows], [r.negative for r in rows], name='praise')\n"
    "SteeringSlider(model, {'praise': praise}, ex.random_concept(praise), first.text, first.positive, first.negative, "
    "strength=1.0)"
)
CELLS = {  # picture -> the cell whose widget is on it
    "explain-heat": f"{LOAD}wb.explain(model, {ASKED})",
    "explain-methods": f"{LOAD}from workbench.widgets.explain.methods import MethodsCompared\n"
    "MethodsCompared(model, 'In Brazil most people speak', ' Portuguese', "
    "methods=['occlusion', 'shapley', 'gradient_x_input', 'attention'])",
    "explain-attention": f"{LOAD}from workbench.widgets.explain.attention import AttentionHeads\n"
    "AttentionHeads(model, 'The capital of France is Paris and the capital of Italy is', layer=11, head=9, sink=False)",
    "explain-layers": f"{LOAD}from workbench.widgets.explain.layers import LayerSlider\n"
    f"LayerSlider({PAIR}, show='patching')",
    "explain-edit": f"{LOAD}from workbench.widgets.explain.edit import CounterfactualEditor\n"
    f"editor = CounterfactualEditor(model, {ASKED}, ' Rome', edited='The capital of Italy is')\n"
    "editor.suggest()\neditor",
    "explain-steer": LOAD + PRAISE,
    "explain-map": "from workbench.widgets.explain.map import TaxonomyMap\nTaxonomyMap()",
    "randomness-widget": f"{LOAD}from workbench.widgets.randomness import RandomnessExplorer\n"
    "RandomnessExplorer(model, flips='HT' * 12)",
    "emo-widget": f"{LOAD}from workbench.papers import emo\nfrom workbench.widgets.emo import EMOExplorer\n"
    "EMOExplorer(model, contexts=emo.CONTEXTS[3:])",
    "kbert-widget": "from workbench.papers.kbert import KBert, tasks\n"
    "from workbench.widgets.kbert import KBertExplorer\n"
    "model = KBert('minilm', labels=['medicine', 'illness'], graph=tasks.teaching_graph())\n"
    "KBertExplorer(model, text='He asked about heparin.')",
    "reprover-widget": "from workbench.widgets.reprover import ProofExplorer\n"
    "proof = ProofExplorer('Nat.zero_add')\nproof.run('induction n with | zero => ?_ | succ n ih => ?_')\n"
    "proof.run('rw [foo]')\nproof",
    "skipanalyzer-widget": "from workbench.widgets.skipanalyzer import WarningExplorer\n"
    "explorer = WarningExplorer(warning='r01a')\nexplorer.judge = 'small filter'\nexplorer",
}


def photograph(names: list[str]) -> None:
    """Write NAME.png for each name of `CELLS`, one notebook and one kernel after another."""
    sys.path.insert(0, str(ROOT / "tests" / "browser"))
    from harness import CHROMIUM_FLAGS, Lab, Page, find_chromium
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        lab = Lab(Path(folder))
        try:
            for name in names:
                page = Page(browser, lab, lab.write(f"{name}.ipynb", [CELLS[name]]), width=1360, height=1400)
                page.run_all(timeout=600)
                root = page.widget()
                large = root.get_by_role("button", name="Large type", exact=True)
                if large.get_attribute("aria-pressed") == "true":  # for the back row of a class, not for a page of docs
                    large.click()
                if name == "explain-heat":  # the alternative text in docs says that a token is masked
                    root.locator('[data-index="3"]').click()
                page.settled()
                root.screenshot(path=HERE / f"{name}.png")
                page.command("notebook:shutdown-kernel")
                page.close()
                print(f"{name}.png")
        finally:
            lab.stop()
            browser.close()


def main(words: list[str]) -> None:
    if words[:1] == ["--run"] and len(words) == 2:
        shutil.copyfile(Path(words[1]) / "figures" / "concepts.png", HERE / "randomness-result.png")
        return
    unknown = [word for word in words if not any(word in name for name in CELLS)]
    if unknown:
        sys.exit(f"there is no picture {unknown[0]!r}: name a part of {', '.join(CELLS)}")
    photograph([name for name in CELLS if not words or any(word in name for word in words)])


if __name__ == "__main__":
    main(sys.argv[1:])
