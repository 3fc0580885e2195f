"""The exact oracle, the experiment on it, fine-tuning on prose, and the data that is shipped."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workbench.errors import DataError, UsageError
from workbench.papers import emo
from workbench.papers.emo import experiment, grammar, prose
from workbench.results import Results
from workbench.rows import Row

DATA = Path(__file__).resolve().parents[2] / "data" / "emo"


def test_the_automaton_is_a_distribution():
    probability, following = grammar.automaton()
    assert probability.shape == (182, 418)
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-12)
    assert ((probability > 0) == (following >= 0)).all()


def token_name(token):
    """A readable name: "noun0.t3.7" is the seventh singular noun of topic 3."""
    fixed = ("<start>", "<end>", "a", "each", "this", "some", "many", "these", "very", "quite")
    if token < 10:
        return fixed[token]
    topic, place = divmod(int(token) - 10, sum(grammar.SIZES.values()))
    for name, size in grammar.SIZES.items():
        if place < size:
            return f"{name}.t{topic}.{place}"
        place -= size
    raise KeyError(token)


def literal_probability(names):
    """P of a sentence by the grammar's rules read aloud, knowing nothing of the automaton."""
    zipf = lambda rank, n: (1 / (rank + 1)) / sum(1 / k for k in range(1, n + 1))  # noqa: E731
    tokens = iter([*names, "<end>"])
    determiners = {"a": (0, 0), "each": (0, 1), "this": (0, 2), "some": (1, 0), "many": (1, 1), "these": (1, 2)}
    total, topic = 1.0, None

    def content(word, kinds):
        nonlocal total, topic
        kind, t, rank = word.split(".")
        if kind not in kinds or (topic is not None and t != topic):
            total = 0.0
            return kind
        total *= kinds[kind] * (1 / 8 if topic is None else 1) * zipf(int(rank), grammar.SIZES[kind])
        topic = t
        return kind

    def noun_phrase():
        nonlocal total
        number, rank = determiners[next(tokens)]
        total *= 0.5 * zipf(rank, 3)
        word = next(tokens)
        if word in ("very", "quite"):
            total *= 0.1 * zipf(("very", "quite").index(word), 2)
            content(next(tokens), {"adjective": 1.0})
            content(next(tokens), {f"noun{number}": 1.0})
        elif content(word, {"adjective": 0.4, f"noun{number}": 0.5}) == "adjective":
            content(next(tokens), {f"noun{number}": 1.0})
        return number

    number = noun_phrase()
    content(next(tokens), {f"verb{number}": 1.0})
    noun_phrase()
    word = next(tokens)
    if word == "<end>":
        return total * 0.6
    content(word, {"adverb": 0.4})
    return total


def test_the_oracle_agrees_with_the_rules_read_aloud():
    drawn = grammar.sentences(200, seed=4)
    exact = grammar.log_probability(drawn)
    assert np.isfinite(exact).all()
    for row, value in zip(drawn, exact):
        names = [token_name(t) for t in row[1:] if t != grammar.END]
        assert np.exp(value) == pytest.approx(literal_probability(names), rel=1e-9)
    loose = grammar.sentences(200, seed=4, coherence=0.5)
    for row, value in zip(loose, grammar.log_probability(loose)):
        names = [token_name(t) for t in row[1:] if t != grammar.END]
        assert np.exp(value) == pytest.approx(literal_probability(names), rel=1e-9)


def test_samples_follow_the_oracle():
    """The entropy by the samples' own log P equals the entropy by the automaton's rows; smoothing keeps all finite."""
    drawn = grammar.sentences(4000, seed=1)
    probability, _ = grammar.automaton()
    each = -(probability * np.log(np.where(probability > 0, probability, 1))).sum(1)
    state, ended = grammar.states(drawn)[:, :-1], np.cumsum(drawn[:, :-1] == grammar.END, axis=1) > 0
    entropy = np.where(ended, 0, each[state]).sum(1).mean()
    spread = grammar.log_probability(drawn).std() / 4000**0.5
    assert abs(-grammar.log_probability(drawn).mean() - entropy) < 5 * spread
    loose = grammar.sentences(300, seed=2, coherence=0.3)
    assert np.isinf(grammar.log_probability(loose)).mean() > 0.8
    assert np.isfinite(grammar.log_probability(loose, smoothing=1e-4)).all()
    assert len({tuple(r) for r in drawn.tolist()}) > 3000


def test_the_measures_are_exact_for_a_model_that_is_the_oracle():
    held_out = grammar.sentences(300, seed=5)
    p = torch.tensor(grammar.automaton()[0], dtype=torch.float32)[grammar.states(held_out)]
    logits = torch.log(p + 1e-30)
    values = experiment.measure(logits, held_out, grammar.sentences(500, seed=6), 1.0)
    assert values["validity"] == 1
    assert values["forward_ce"] == pytest.approx(values["entropy"], abs=1e-4)  # CE = entropy when q = P
    assert values["oracle_nll"] == pytest.approx(values["reverse_ce"], abs=2e-3)
    assert values["oracle_nll"] == pytest.approx(values["forward_ce"], abs=0.1)
    sharper = experiment.measure(logits, held_out, held_out, 0.7)
    assert sharper["forward_ce"] > values["forward_ce"] and sharper["entropy"] < values["entropy"]


def test_ppmi_knows_the_topics_and_leaves_the_absent_at_zero():
    vectors = experiment.ppmi_embedding(grammar.sentences(4000, seed=0))
    unit = torch.nn.functional.normalize(vectors, dim=1)
    same, other = grammar.words("noun0", 0)[:4], grammar.words("noun0", 1)[:4]
    assert (unit[same] @ unit[same].T).mean() > (unit[same] @ unit[other].T).mean() + 0.3
    few = experiment.ppmi_embedding(grammar.sentences(20, seed=0))
    present = np.unique(grammar.sentences(20, seed=0))
    absent = np.setdiff1d(np.arange(grammar.VOCABULARY), present)
    assert (few[absent] == 0).all() and few[grammar.END].norm() == 1


@pytest.fixture(scope="module")
def results():
    sizes = dict(seeds=2, pretrain_steps=20, steps=5, sentences=50, samples=100, temperatures=[0.5, 0.8])
    return emo.run_grammar(**sizes), sizes


def test_the_experiment_is_repeatable_and_whole(results):
    table, sizes = results
    assert len(table) == 2 * 7 * 3  # seeds, methods, temperatures with 1.0 added
    assert table.arms == list(emo.LABELS)
    again = emo.run_grammar(**{**sizes, "seeds": 1})
    first = [(row.key, row.measures) for row in table.rows if row.seed == 0]
    assert repr(first) == repr([(row.key, row.measures) for row in again.rows])  # NaN is no NaN's equal
    assert len(emo.at_one(table)) == 7


@pytest.mark.parametrize("name", emo.VARIANTS)
def test_every_variant_names_its_methods(name):
    table = experiment.methods(name)
    assert "mle" in table and ("emo_ppmi" in table if emo.VARIANTS[name].is_emo else name in table)


def grammar_row(method, seed, temperature, **measures):
    return Row(method, f"{temperature}", seed, f"{seed}", measures, {"temperature": f"{temperature:g}"})


def test_at_equal_validity_interpolates_the_sweep():
    rows = []
    for seed in range(4):
        for temperature, validity, ce in ((1.0, 0.4, 2.0), (0.8, 0.6, 2.2), (0.6, 0.8, 2.6)):
            rows.append(grammar_row("mle", seed, temperature, validity=validity, forward_ce=ce))
        mine = {"validity": 0.7 if seed < 3 else 0.9, "forward_ce": 2.3 + 0.01 * seed}
        rows.append(grammar_row("emo_ppmi", seed, 1.0, **mine))
    paired, comparable = emo.at_equal_validity(Results(rows=rows), "emo_ppmi")
    assert comparable == 3  # the fourth is more valid than any point of the sweep
    assert paired.difference.value == pytest.approx(2.4 - 2.31)


def test_differences_from_mle_are_paired_over_seeds():
    rows = []
    for seed, (mle, ours) in enumerate([(0.2, 0.3), (0.5, 0.62), (0.8, 0.88)]):
        for method, value in (("mle", mle), ("emo_ppmi", ours)):
            nll = float("nan") if seed < 2 and method == "mle" else 1.0
            point = dict.fromkeys(("forward_ce", "reverse_ce", "entropy", "distinct_2"), value)
            point |= {"validity": value, "oracle_nll": nll}
            rows.append(grammar_row(method, seed, 1.0, **point))
            rows.append(grammar_row(method, seed, 0.5, **point | {"validity": 1.0}))  # other temperatures do not count
    table = emo.against_mle(Results(rows=rows))
    assert list(table.index) == ["emo_ppmi"]
    assert table.validity["emo_ppmi"].value == pytest.approx(0.1) and table.validity["emo_ppmi"].n == 3
    # by hand: differences .1, .12, .08: standard error .02/√3, t(.975, 2) = 4.303
    assert table.validity["emo_ppmi"].high == pytest.approx(0.1 + 4.3027 * 0.02 / 3**0.5, rel=1e-3)
    assert (table.oracle_nll["emo_ppmi"].n, table.oracle_nll["emo_ppmi"].low) == (1, None)  # a single seed has a pair


def test_only_cross_entropy_has_the_finer_sweep(results):
    sizes = {**results[1], "seeds": 1, "temperatures": [0.8], "mle_temperatures": [0.9, 0.7]}
    swept = emo.run_grammar(**sizes)
    assert swept.of("mle").labels("temperature") == ["0.7", "0.8", "0.9", "1"]
    assert swept.of("tvd").labels("temperature") == ["0.8", "1"]
    assert len(emo.PROFILES["standard"]["mle_temperatures"]) > 30 and emo.PROFILES["standard"]["seeds"] >= 5


def test_no_window_chooses_its_own_temperature(smollm2):
    test = prose.windows(smollm2, prose.prose(prose.HELD_OUT), 16)[:3]
    rows = prose.evaluate(smollm2, test, 2, 0)

    def at(i, temperature):
        tempered = smollm2.next_logprobs(test[i].tolist())[:-1].float() / temperature
        return torch.nn.functional.cross_entropy(tempered, test[i, 1:]).item()

    best = min(prose.TEMPERATURES, key=lambda t: at(1, t))  # windows 0 and 2 take what suits window 1
    assert rows[0]["temperature"] == rows[2]["temperature"] == best
    assert rows[2]["nll_tuned"] == pytest.approx(at(2, best), rel=1e-4)


def test_statistics_of_what_was_written():
    written = prose._written([5, 6, 5, 6, 7])  # pairs 56 65 56 67: three of four differ; the second 5 and 6 are repeats
    assert written == {"distinct_2": 0.75, "repeated": 0.4}
    far = prose._written([1, *range(100, 116), 1])
    assert far["repeated"] == 0  # seventeen back is not near


def test_sizes_out_of_range():
    sizes = dict(pretrain_steps=1, steps=1, sentences=5, samples=5)
    with pytest.raises(UsageError, match="seeds=0 is too small: give at least 1"):
        emo.run_grammar(seeds=0, temperatures=[1.0], **sizes)
    with pytest.raises(UsageError, match=r"temperatures=\[0.0, 1.0\] is too small: give at least 0.05"):
        emo.run_grammar(seeds=1, temperatures=[0.0], **sizes)


def test_profiles_have_the_same_keys():
    assert len({frozenset(sizes) for sizes in emo.PROFILES.values()}) == 1
    assert set(emo.PROFILES) == {"smoke", "quick", "standard", "paper"}


# --- prose and the pull, on the embedded model -----------------------------------------------------------------------


def test_fine_tuning_on_prose_gives_the_model_back(smollm2):
    before = smollm2.next_logprobs("Sir Hugh,")
    names = set(dict(smollm2.module.named_parameters()))
    rows = emo.finetune(smollm2, steps=3, window=24, batch=1, held_out=2, generated=6, lr=1e-3)
    assert rows.arms == ["the play itself", "untouched", "mle", "emo1_adaptive"] and len(rows) == 4 * 2
    models = rows.frame().query("arm != 'the play itself'")
    assert models.nll.nunique() == 6  # both losses moved the model, each its own way
    assert "the play itself" not in [loss for loss, e in rows.table("nll").items() if e]
    table = emo.prose_table(rows)
    for loss, part in models.groupby("arm"):
        assert table.perplexity[loss].value == pytest.approx(np.exp(part.nll.mean()))
        assert table.perplexity[loss].low < table.perplexity[loss].value < table.perplexity[loss].high
    held_out = prose.windows(smollm2, prose.prose(prose.HELD_OUT), 24)[-1]
    literal = torch.nn.functional.cross_entropy(smollm2.next_logprobs(held_out.tolist())[:-1].float(), held_out[1:])
    by_loss = models.set_index(["arm", "item"])
    assert by_loss.nll["untouched", "window 1"] == pytest.approx(literal.item(), rel=1e-4)
    differences = emo.prose_differences(rows, "emo1_adaptive")
    assert differences["nll"].value == pytest.approx((by_loss.nll["emo1_adaptive"] - by_loss.nll["mle"]).mean())
    assert set(dict(smollm2.module.named_parameters())) == names
    assert torch.equal(smollm2.next_logprobs("Sir Hugh,"), before)


def test_the_pull_follows_the_gradients_formulas(smollm2):
    """d emo1/dz = ½[(q - 1_t) + r q⊙(c̄ - c)], with r = L/D+."""
    context, temperature = "She put the milk back into the| fridge", 0.8
    table = emo.pull(smollm2, context, temperature=temperature)
    text, comes = context.split("|")
    z = smollm2.next_logprobs(text)[-1] / temperature
    weight = smollm2.module.get_output_embeddings().weight.detach()
    t = smollm2.tokenizer(comes)["input_ids"][0]
    q, c = torch.softmax(z, 0), (weight @ weight[t]) / (weight.norm(dim=1) * weight[t].norm())
    mean = (q * c).sum()
    ratio = -q[t].log() / (1 - mean + q[t] * c[t])
    expected = -0.5 * ((q - torch.eye(len(q))[t]) + ratio * q * (mean - c))
    assert table.emo[0] == pytest.approx(expected[t].item(), rel=1e-4)
    assert table.ce[0] == pytest.approx(1 - q[t].item(), rel=1e-5)
    assert table.token[0] == " fridge" and table.cost[0] == pytest.approx(0, abs=1e-5)
    assert table.set_index("token").cost[" refrigerator"] < 0.2 < table.set_index("token").cost[" cart"]


@pytest.mark.parametrize("context", ["no bar", "|nothing before", "nothing after|"])
def test_contexts_without_a_bar(smollm2, context):
    with pytest.raises(UsageError, match="needs a bar"):
        emo.pull(smollm2, context)


def test_a_text_shorter_than_a_window(smollm2):
    with pytest.raises(DataError, match="fewer than one window of 50"):
        prose.windows(smollm2, "Exeunt.", 50)


# --- data ------------------------------------------------------------------------------------------------------------


def test_the_prose_is_the_play_and_the_halves_do_not_overlap():
    train, held_out = prose.prose(prose.TRAIN), prose.prose(prose.HELD_OUT)
    assert train.startswith("ACT I.") and held_out.startswith("ACT IV.") and held_out.rstrip().endswith("[Exeunt.]")
    speeches = [set(p for p in text.split("\n\n") if len(p) > 60) for text in (train, held_out)]
    assert len(speeches[0]) > 400 and not speeches[0] & speeches[1]
    assert "Gutenberg" not in train + held_out


def test_quoted_numbers_have_a_source():
    quoted = json.loads((DATA / "paper.json").read_text())
    assert len(quoted) == 6
    for entry in quoted.values():
        result = {"measure", "model", "method"}
        assert set(entry) == {"value", "unit", "source", "read_from"} | result and len(entry["source"]) > 10
    assert re.search(r"public domain", (DATA / "README.md").read_text())


@pytest.mark.parametrize("name", ["samples", "sentences"])
def test_sizes_of_nothing_are_one_sentence(name):
    sizes = {"seeds": 1, "pretrain_steps": 1, "steps": 1, "sentences": 20, "samples": 5, "temperatures": [0.8]}
    with pytest.raises(UsageError, match=f"{name}=0 is too small: give at least 1"):
        experiment.run_grammar(**{**sizes, name: 0})


@pytest.mark.parametrize("name", ["window", "batch", "held_out", "generated"])
def test_sizes_of_nothing_are_refused_before_the_model_is_touched(name):
    sizes = {"steps": 1, "window": 8, "batch": 1, "held_out": 1, "generated": 4}
    with pytest.raises(UsageError, match=f"{name}=0 is too small: give at least"):
        prose.finetune(SimpleNamespace(can={"gradient"}, name="toy"), **{**sizes, name: 0})
