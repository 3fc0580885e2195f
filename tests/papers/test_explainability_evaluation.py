"""Evaluation of explanations: literal versions, a model whose best explanation is known, and null data."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from explainability_toys import Linear, handle, tiny_llama

from workbench import load
from workbench.errors import ModelError, UsageError
from workbench.papers.explainability import (
    PROFILES,
    agreement,
    attribute,
    compare,
    erasure,
    faithfulness_table,
    masked_ids,
    neutral_token,
    simulatability,
    simulatability_table,
    sizes,
    weight_randomisation,
)
from workbench.papers.explainability.evaluation import faithfulness, removal, sanity
from workbench.results import Results
from workbench.rows import FILE, OFFERED, Row, read_lines
from workbench.widgets.explain.methods import MethodsCompared

TARGET = " Paris"
PROMPTS = [
    "The cat sat on the old mat near the door today",
    "Seven green boats went down the river at night",
    "My brother likes bread and butter with cold milk",
    "Nobody knew why the lamp was still burning upstairs",
    "Rain fell on the roof while the children slept",
    "A letter came from the city on the first morning",
    "Two horses pulled the cart up the long hill",
    "They painted the kitchen wall blue and the chairs white",
]


@pytest.fixture(scope="module")
def tiny(smollm2):
    return handle(tiny_llama(len(smollm2.tokenizer)), smollm2.tokenizer, "tiny")


@pytest.fixture(scope="module")
def additive(smollm2):
    """log p(target) grows with a sum of one number a token: an additive explanation foresees it without error."""
    module = Linear(len(smollm2.tokenizer))
    with torch.no_grad():
        target = smollm2.tokenizer(TARGET)["input_ids"][0]
        column = module.readout[:, target].clone()
        module.readout.zero_()
        module.readout[:, target] = column
    return handle(module, smollm2.tokenizer, "additive")


def probability(model, ids, target):
    with torch.no_grad():
        return float(model.module(torch.tensor([ids])).logits[0, -1].softmax(-1)[target])


@pytest.mark.parametrize("removal", ["replace", "delete"])
def test_erasure_is_its_definition(tiny, removal):
    found = attribute(tiny, PROMPTS[0], TARGET, method="occlusion")
    ours = erasure(tiny, found, removal=removal, shares=(0.05, 0.2, 0.5))
    n, target = len(found.ids), tiny.tokenizer(TARGET)["input_ids"][0]
    ranked = sorted(range(1, n), key=lambda place: -found.scores[place])
    assert ours.counts == tuple(max(1, round(share * (n - 1))) for share in (0.05, 0.2, 0.5)) and ours.counts[0] == 1
    whole = probability(tiny, found.ids, target)
    assert ours.value == pytest.approx(whole, abs=1e-6)
    for count, without, only in zip(ours.counts, ours.comprehensive, ours.sufficient, strict=True):
        top = set(ranked[:count])
        masks = [[place not in top for place in range(n)], [place in top or place == 0 for place in range(n)]]
        for mask, loss in zip(masks, (without, only), strict=True):
            ids = masked_ids(tiny, PROMPTS[0], mask, removal=removal)
            assert loss == pytest.approx(whole - probability(tiny, ids, target), abs=1e-6)
    assert ours.comprehensiveness == pytest.approx(ours.comprehensive.mean())
    assert ours.sufficiency == pytest.approx(ours.sufficient.mean())


def test_the_first_token_is_protected(tiny):
    """Whatever a method says of it, position 0 is never erased."""
    found = attribute(tiny, PROMPTS[0], TARGET, method="random", keep_first=False)
    loud = replace(found, scores=np.r_[99.0, found.scores[1:]])
    quiet = replace(found, scores=np.r_[-99.0, found.scores[1:]])
    assert 0 in loud.order and loud.order[0] == 0
    assert (erasure(tiny, loud).comprehensive == erasure(tiny, quiet).comprehensive).all()


def test_no_order_beats_the_additive_explanation(additive):
    found = attribute(additive, PROMPTS[1], TARGET, method="occlusion")
    best = erasure(additive, found, quantity="log_probability")
    rng = np.random.default_rng(0)
    for _ in range(10):
        other = erasure(additive, replace(found, scores=rng.normal(size=len(found.ids))), quantity="log_probability")
        assert (other.comprehensive <= best.comprehensive + 1e-6).all()
        assert (other.sufficient >= best.sufficient - 1e-6).all()


def test_an_additive_model_is_foreseen_without_error(additive):
    found = attribute(additive, PROMPTS[1], TARGET, method="occlusion")
    right = simulatability(additive, found, counterfactuals=16, seed=1)
    assert right["accuracy"] == 1.0 and right["pairs"] > 50
    assert simulatability(additive, replace(found, scores=-found.scores), counterfactuals=16, seed=1)["accuracy"] == 0.0
    nothing = replace(found, scores=np.zeros(len(found.ids)))
    assert simulatability(additive, nothing, counterfactuals=16, seed=1)["accuracy"] == 0.5


def test_simulatability_table_against_chance(additive):
    attributions = {
        method: [attribute(additive, prompt, TARGET, method=method, seed=i) for i, prompt in enumerate(PROMPTS)]
        for method in ("occlusion", "random")
    }
    sure, chance = simulatability_table(additive, attributions, counterfactuals=8)
    assert sure.method == "occlusion" and sure.accuracy.value == 1 and sure.verdict == "above chance"
    assert chance.verdict == "not separable from chance" and 0.2 < chance.accuracy.value < 0.8


def test_faithfulness_finds_the_true_explanation_and_no_more(additive):
    items = [(prompt, TARGET) for prompt in PROMPTS]
    found = faithfulness_table(additive, items, ["random", "occlusion", "gradient"], random_draws=3)
    rows = {(row.method, row.removal): row for row in found.rows}
    assert [row.method for row in found.rows] == ["occlusion", "gradient", "random"] * 2  # fixed order
    best = rows["occlusion", "replace"]
    assert best.verdict == "above random" and best.p_value < 0.05 and best.above_random.value > 0 and best.n == 8
    assert best.sufficiency_gain.value > 0
    # the gradient of a linear model is the same at every token: it says nothing, and the table says so
    assert rows["gradient", "replace"].verdict == "not separable from random"
    assert rows["random", "replace"].verdict == "the control" and rows["random", "replace"].above_random is None
    literal = [erasure(additive, one, removal="delete").comprehensiveness for one in found.attributions["occlusion"]]
    np.testing.assert_allclose(found.results.of("occlusion").values("delete.comprehensiveness"), literal, atol=1e-6)
    (pair,) = found.pairs[found.pairs.removal == "replace"].itertuples()
    assert (pair.a, pair.b) == ("occlusion", "gradient") and pair.separable and "> gradient" in best.separable_from
    made = {"occlusion": found.attributions["occlusion"]}
    again = faithfulness_table(additive, items, ["occlusion"], attributions=made, removals=("delete",), random_draws=3)
    assert again.attributions["occlusion"][2] is made["occlusion"][2]
    ours, first = again.rows[0].comprehensiveness, rows["occlusion", "delete"].comprehensiveness
    assert (ours.value, ours.low, ours.high) == pytest.approx((first.value, first.low, first.high), abs=1e-6)
    with pytest.raises(UsageError, match="attributions of occlusion are not of these items"):
        faithfulness_table(additive, items[:3], ["occlusion"], attributions=made)
    frame = found.to_frame()
    assert len(frame) == 6 and "above random" in set(frame.verdict)
    figure = found.figure()
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["Tokens replaced", "Tokens deleted"]
    assert "<script" not in found._repr_html_() and found.table.comprehensiveness[0].n == 8
    assert "Above random (Holm): " in figure.description and figure.description.count("comprehensiveness") == 2


def test_rows_of_a_run_before_are_read_back_whole(tiny, tmp_path, monkeypatch):
    """Nothing is explained, foreseen or shuffled again, and what is read back is what was computed."""
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    items, methods = (
        [(prompt, TARGET) for prompt in PROMPTS[:2]],
        ["occlusion", "occlusion_delete", "lime", "decomposition"],
    )

    def run():
        table = faithfulness_table(tiny, items, methods, samples={"lime": 24}, random_draws=2, seed=3)
        simulated = simulatability_table(tiny, table.attributions, counterfactuals=4)
        return table, simulated, weight_randomisation(tiny, *items[0], ["occlusion", "lime"], steps=2, samples=24)

    first = run()
    (tmp_path / FILE).rename(tmp_path / OFFERED)

    def again(model, prompt, target, *, method, **options):
        assert method == "random", "two forwards for the question itself"
        return attribute(model, prompt, target, method=method, **options)

    monkeypatch.setattr(faithfulness, "attribute", again)
    monkeypatch.setattr(faithfulness, "erase", None)
    monkeypatch.setattr(removal, "_simulate", None)
    monkeypatch.setattr(sanity, "attribute", None)
    second = run()
    assert first[0].results.frame().equals(second[0].results.frame()) and first[1] == second[1]
    assert first[0].table.equals(second[0].table) and first[0].pairs.equals(second[0].pairs)
    assert first[2].table.equals(second[2].table)
    assert all(line["taken"] for line in read_lines(tmp_path / FILE)[0])
    for method, made in first[0].attributions.items():
        for one, read in zip(made, second[0].attributions[method], strict=True):
            ours, theirs = vars(one), vars(read)
            assert (ours.pop("scores") == theirs.pop("scores")).all()
            assert ours.pop("cost").tokens == theirs.pop("cost").tokens and ours == theirs


def test_few_prompts_separate_nothing(additive):
    found = faithfulness_table(additive, [(PROMPTS[0], TARGET)], ["occlusion"], removals=("replace",), random_draws=2)
    assert found.rows[0].verdict == "not separable from random" and found.rows[0].comprehensiveness.low is None
    assert "no Wilcoxon test can fall below 0.05" in " ".join(found.notes)


def test_verdicts_on_made_up_numbers():
    """Equal numbers are not separable, worse ones are below; p values are Holm's over the methods."""
    rng = np.random.default_rng(0)
    chance = rng.normal(0.3, 0.1, 30)
    numbers = {"occlusion": chance + 0.2, "shapley": chance + rng.normal(0, 0.05, 30), "gradient": chance - 0.2}
    rows = [
        Row(name, str(item), measures={"replace.comprehensiveness": value, "replace.sufficiency": value},
            cost={"evaluations": 1, "tokens": 2, "seconds": 3.0})
        for name, values in {**numbers, "random": chance}.items() for item, value in enumerate(values)
    ]  # fmt: skip
    table, _ = faithfulness.tables_of(Results(rows=rows), ["replace"])
    verdicts = dict(zip(table.method, table.verdict))
    assert verdicts == {
        "occlusion": "above random", "shapley": "not separable from random", "gradient": "below random",
        "random": "the control",
    }  # fmt: skip


def test_items_and_mistakes(additive):
    row = SimpleNamespace(prompt=PROMPTS[0], answer=TARGET)
    assert faithfulness_table(additive, [row], ["random"], random_draws=1, removals=("replace",)).rows[0].n == 1
    for items, options, sentence in (
        ([PROMPTS[0]], {}, "an item is a (prompt, target) pair"),
        ([], {}, "no prompt to measure"),
        ([row], {"methods": ["magic"]}, "method 'magic' is unknown"),
        ([row], {"random_draws": 0}, "random_draws=0"),
        ([row], {"least_probability": 1.1}, "1 were left out"),
        ([row], {"shares": (0,), "methods": ["random"]}, "give numbers above 0"),
    ):
        with pytest.raises(UsageError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
            faithfulness_table(additive, items, **options)
    with pytest.raises(UsageError, match="at least two of the first two"):
        simulatability(additive, attribute(additive, "The cat", TARGET, method="random"))


def test_agreement_of_equal_and_opposite_explanations(tiny):
    found = [attribute(tiny, prompt, TARGET, method="occlusion") for prompt in PROMPTS[:3]]
    opposite = [replace(one, method="lime", scores=-one.scores) for one in found]
    flat = [replace(one, method="random", scores=np.zeros(len(one.ids))) for one in found]
    same = agreement({"occlusion": found, "shapley": found, "lime": opposite, "random": flat})
    assert same.rank[0, 1] == pytest.approx(1) and same.rank[0, 2] == pytest.approx(-1) and np.isnan(same.rank[0, 3])
    assert same.overlap[0, 1] == 1 and same.overlap[0, 2] == 0 and 0 < same.chance < 0.4 and same.n == 3
    assert same.to_frame("overlap").columns[0] == "Occlusion"
    rows = {(row.a, row.b): row for row in same.pairs.itertuples()}
    assert rows["occlusion", "shapley"].rank.value == pytest.approx(1) and rows["occlusion", "random"].rank is None
    assert rows["occlusion", "lime"].overlap.value == 0 and rows["occlusion", "lime"].verdict.startswith(
        "not separable"
    )
    many = agreement({"occlusion": found * 3, "shapley": found * 3})
    assert many.pairs.verdict[0] == "above chance" and many.pairs.overlap[0].n == 9
    with pytest.raises(UsageError, match="at least two methods"):
        agreement({"occlusion": found})


def test_randomisation_restores_every_bit(smollm2):
    model = handle(tiny_llama(len(smollm2.tokenizer), layers=4), smollm2.tokenizer, "tiny")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    found = weight_randomisation(model, PROMPTS[0], TARGET, ["occlusion", "decomposition", "random"], steps=2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())
    assert list(found.table.blocks) == [2, 2, 2, 4, 4, 4] and found.depth == 4
    blind = found.table.method == "random"
    assert list(found.table[blind]["rank"]) == pytest.approx([1, 1])  # scores that ignore the model are found out
    assert (found.table[~blind]["rank"] < 0.99).all()
    again = weight_randomisation(model, PROMPTS[0], TARGET, ["occlusion"], steps=2)
    assert list(again.table["rank"]) == list(found.table[found.table.method == "occlusion"]["rank"])
    assert len(found.to_frame()) == 6 and found.tokens == len(model.tokenizer(PROMPTS[0])["input_ids"]) - 1
    assert found.chance == pytest.approx(1.96 / (found.tokens - 1) ** 0.5)


def test_randomisation_restores_after_an_error(smollm2, monkeypatch):
    model = handle(tiny_llama(len(smollm2.tokenizer)), smollm2.tokenizer, "tiny")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}

    def interrupted(*arguments, **options):
        assert not torch.equal(
            model.module.model.layers[1].mlp.up_proj.weight, before["model.layers.1.mlp.up_proj.weight"]
        )
        raise KeyboardInterrupt

    monkeypatch.setattr(sanity, "attribute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        weight_randomisation(model, PROMPTS[0], TARGET, ["occlusion"], steps=2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())
    with pytest.raises(UsageError, match="steps=0"):
        weight_randomisation(model, PROMPTS[0], TARGET, steps=0)


def test_shuffling_keeps_the_entries():
    layer = torch.nn.Linear(5, 7)
    wanted = layer.weight.detach().clone()
    sanity.shuffle(layer, torch.Generator().manual_seed(0))
    assert not torch.equal(layer.weight, wanted)
    assert torch.equal(layer.weight.flatten().sort().values, wanted.flatten().sort().values)


def test_profiles_fill_every_size():
    assert set(PROFILES) == {"smoke", "quick", "standard", "paper"}
    assert PROFILES["quick"]["faithfulness_prompts"] == 10 and PROFILES["standard"]["faithfulness_prompts"] >= 30
    assert sizes("smoke")["shapley"] == PROFILES["smoke"]["permutations"]
    with pytest.raises(UsageError, match="profile 'tiny' is unknown"):
        sizes("tiny")


@pytest.mark.slow
def test_randomisation_of_a_four_bit_model_restores_every_bit():
    from workbench import load

    model = load("smollm2", bits=4)
    attribute(model, "The capital of France is", TARGET, method="random")  # bitsandbytes repacks at the first inference
    before = [parameter.data.clone() for parameter in model.module.parameters()]
    found = weight_randomisation(model, "The capital of France is", TARGET, ["gradient_x_input"], steps=1)
    assert all(torch.equal(p.data, copy) for p, copy in zip(model.module.parameters(), before, strict=True))
    assert np.isfinite(found.table["rank"][0]) and found.table.blocks[0] == 30


@pytest.mark.slow
def test_faithfulness_of_the_embedded_model(smollm2):
    """Removing what occlusion names costs more than removing at random, on the embedded model, both removals."""
    items = [
        ("The capital of France is", " Paris"), ("Water is made of hydrogen and", " oxygen"),
        ("The opposite of hot is", " cold"), ("Monday, Tuesday, Wednesday, Thursday,", " Friday"),
        ("The sun rises in the east and sets in the", " west"), ("One, two, three, four, five, six,", " seven"),
        ("She opened the umbrella because it had started to", " rain"),
        ("The largest planet in our solar system is", " Jupiter"),
    ]  # fmt: skip
    found = faithfulness_table(smollm2, items, ["occlusion"])
    assert {row.verdict for row in found.rows if row.method == "occlusion"} == {"above random"}
    assert agreement({**compare_all(smollm2, items[:2])}).rank.shape == (2, 2)


def compare_all(model, items):
    found = [compare(model, *item, ["occlusion", "gradient_x_input"]) for item in items]
    return {method: [one[method] for one in found] for method in found[0]}


def test_the_neutral_token_is_a_word_of_the_model(smollm2):
    assert smollm2.tokenizer.decode([neutral_token(smollm2)]) == " _"


def test_a_method_that_is_refused_for_a_model_is_left_out_and_said(zoo, capsys):
    """BLOOM has no relevance rules: tables and the widget go on with the other methods; alone it is an error."""
    model = load(zoo("bloom"))
    items = [("a cat sat on t", "x"), ("the dog ran to a", "b")]
    sentence = "for which no relevance rule is written"
    table = faithfulness_table(model, items, ["decomposition", "occlusion"])
    assert set(table.table.method) == {"occlusion", "random"} == set(table.attributions)
    assert any("Relevance propagation is left out" in note and sentence in note for note in table.notes)
    alone = faithfulness_table(model, items, ["occlusion"])
    assert [row.comprehensiveness for row in table.rows] == [row.comprehensiveness for row in alone.rows]

    capsys.readouterr()
    assert list(compare(model, *items[0], ["occlusion", "decomposition"])) == ["occlusion"]
    assert sentence in capsys.readouterr().err
    assert set(weight_randomisation(model, *items[0], ["occlusion", "decomposition"], steps=1).table.method) == {
        "occlusion"
    }
    widget = MethodsCompared(model, *items[0], methods=("occlusion", "decomposition"))
    assert list(widget.answer["methods"]) == ["occlusion"] and sentence in widget.answer["refused"][0]
    assert sentence in widget.caption()
    for ask in (faithfulness_table, lambda *given: compare(model, *items[0], given[2])):
        with pytest.raises(ModelError, match=sentence):
            ask(model, items, ["decomposition"])
    with pytest.raises(UsageError, match=sentence):
        MethodsCompared(model, *items[0], methods=("decomposition",))
