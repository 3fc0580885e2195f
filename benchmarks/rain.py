"""What the shared-prefix engine saves RAIN, against the reference's way of computing (benchmarks/rain_literal.py).

Same model, same uniforms, and the moves are checked to be the same. Ratios (baseline / ours, larger is better):

short_tokens, short_forwards, short_cpu   "Review: This movie was", 12 searches, word-label scorer
long_tokens, long_forwards, long_cpu      a 300-token prompt, a 1,100-token evaluation template, 6 searches
lockstep_cpu                              8 prompts one after another / the same 8 in lock-step, both ours
floor_short, floor_long                   the fewest tokens any exact method computes / ours (1 is perfect)
layout_chains, layout_scores              32 branches of a 300-token prefix, 10 tokens sampled or given behind each: the
                                          prefix's cache copied for each branch, as batched decoding does / ours, where
                                          all branches lie in one row below one copy; CPU seconds

The search is the paper's (`RainSettings.paper("hh")`), complete: both sides embed each text they evaluate with the same
encoder for the similarity update and the node addition, and the encoder's time counts on both.

``--quick``: 4 searches, a prompt and a template of a third, 2 searches, 4 prompts, 8 branches; same keys.
``--json``: the last line is JSON.
"""

import math
from functools import partial

import common
import numpy as np
import torch
from rain_literal import LiteralRain, Reader
from transformers import DynamicCache

import workbench
from workbench.models.prefix.tasks import Draw, run, sample, score, together
from workbench.models.prefix.tree import PrefixTree
from workbench.papers.rain import LabelScorer, RainSettings
from workbench.papers.rain.scorers import SENTIMENT
from workbench.papers.rain.search import CHAIN, ROLLOUT, Searcher, stream

GOOD, BAD = [" positive", " Positive", " good"], [" negative", " Negative", " bad"]
CARD = {"forwards": 287, "tokens": 3340}  # what the card measured of the reference in the short case, other uniforms
WORDS = (
    "The {} of this film held my attention from the first {} to the last, although the {} felt rather long and one {} "
    "in the middle could have been left out. "
)
NOUNS = ["story", "opening", "music", "scene", "acting", "ending", "camera", "dialogue", "costume", "plot"]
OPENINGS = (
    "Review: This movie was", "Review: I watched it twice and", "Review: The acting is", "Review: After one hour we",
    "Review: My family thought", "Review: The plot of this film", "Review: Nobody in the hall",
    "Review: For its price, this",
)  # fmt: skip


def filler(model, tokens: int) -> str:
    """About ``tokens`` tokens of review text."""
    text = ""
    for i in range(tokens):
        text += WORDS.format(*(NOUNS[(i + k * 3) % len(NOUNS)] for k in range(4)))
        ids = model.tokenizer(text)["input_ids"]
        if len(ids) >= tokens:
            return model.tokenizer.decode(ids[:tokens])
    return text


def settings(budget: int, lanes: int) -> RainSettings:
    """The paper's search with a fixed number of searches."""
    return RainSettings.paper("hh", budget=budget, max_new_tokens=64, stop=(), lanes=lanes)


def searcher(model, encoder, tree, prompt, scorer, chosen, index=0):
    ids = model.prompt_ids(prompt)

    def embed(text):
        return encoder.embed([text])[0]
        yield  # a task that asks the model nothing

    return Searcher(
        tree, prompt, ids, settings=chosen, evaluate=lambda text: scorer.plan(tree, prompt, text), embed=embed,
        decode=model.new_text, eos=model.end_tokens(), index=index, seed=0,
    )  # fmt: skip


def literal(model, encoder, prompt, scorer, chosen):
    """The baseline's one move: (tokens of the move, reader, searches, floor, CPU seconds)."""
    reader, ids = Reader(model.module), model.prompt_ids(prompt)
    good, bad, prior = sorted(scorer.good), sorted(scorer.bad), []

    def odds(reply):
        text = scorer.template.replace("{prompt}", prompt).replace("{reply}", reply)
        found = torch.from_numpy(reader.alone(model.tokenizer(text)["input_ids"]))
        return float(found[good].logsumexp(0) - found[bad].logsumexp(0))

    def value(reply):
        if not prior:
            prior.append(odds(""))
        return math.tanh((odds(reply) - prior[0]) / 2)

    def uniforms(purpose, prefix, number):
        named = (ROLLOUT, *prefix) if purpose == "simulation" else (CHAIN, number, *prefix)
        return iter(stream(0, 0, *named).random, None)

    search = LiteralRain(
        reader, ids, chosen, value, model.new_text, model.end_tokens(), uniforms, lambda text: encoder.embed([text])[0]
    )
    seconds, move = common.cpu_seconds(lambda: search.run(1))
    return move, reader, search, seconds


def compare(model, encoder, prompt, scorer_of, budget, lanes):
    """Both sides on one prompt; a dict of measures."""
    chosen = settings(budget, lanes)
    move, reader, search, slow = literal(model, encoder, prompt, scorer_of(), chosen)
    scorer = scorer_of()  # its memory of the prompt's prior is empty again
    tree = PrefixTree(model)
    task = searcher(model, encoder, tree, prompt, scorer, chosen).task(1)
    fast, result = common.cpu_seconds(lambda: run(tree, task))
    if result.tokens != move or len(result.searches) != search.searches:
        raise SystemExit(f"the moves differ: {result.tokens} after {len(result.searches)} searches, baseline {move}")
    if {node.prefix: node.fn for node in result.nodes if node.fn} != {n.prefix: n.fn for n in search.nodes() if n.fn}:
        raise SystemExit("the moves are the same, but the visits in the trees differ")
    return {
        "baseline": {"forwards": reader.forwards, "tokens": reader.tokens, "cpu": slow},
        "ours": {"forwards": tree.counters.forwards, "tokens": tree.counters.tokens, "cpu": fast},
        "floor": search.floor(), "searches": len(result.searches), "move": model.tokenizer.decode(move),
        "shared": search.shared, "added": search.added,
    }  # fmt: skip


def lockstep(model, encoder, prompts, budget, lanes):
    """CPU seconds for the prompts one after another, and together."""
    chosen, seconds, moves = settings(budget, lanes), [], []
    for at_once in (1, len(prompts)):
        tree = PrefixTree(model)
        scorer = LabelScorer(model, SENTIMENT, GOOD, BAD)
        tasks = [searcher(model, encoder, tree, p, scorer, chosen, i).task(1) for i, p in enumerate(prompts)]
        taken, found = common.cpu_seconds(partial(run, tree, together(tasks, at_once=at_once)))
        moves.append([result.tokens for result in found])
        seconds.append(taken)
        print(
            f"  {at_once} at a time: {tree.counters.forwards} forwards, {tree.counters.tokens} tokens, "
            f"{seconds[-1]:.1f} CPU s"
        )
    if moves[0] != moves[1]:
        raise SystemExit("lock-step changed a move")
    return seconds


def layouts(model, branches: int, prefix: int):
    """CPU seconds of (copied, packed) for sampling and for scoring; the two must give the same."""
    ids = model.prompt_ids(filler(model, prefix))
    texts = [model.prompt_ids(filler(model, 40 + i))[-11:] for i in range(branches)]
    length, seconds, found = 10, {}, {}

    @torch.inference_mode()
    def copied():
        cache = DynamicCache()
        first = model.module(input_ids=torch.tensor([ids]), past_key_values=cache, logits_to_keep=1).logits[:, -1]
        cache.batch_repeat_interleave(branches)
        return cache, first.float()

    @torch.inference_mode()
    def copied_chains():
        cache, logits = copied()
        randoms, rows = [np.random.default_rng(i) for i in range(branches)], [[] for _ in range(branches)]
        logits = logits.expand(branches, -1)
        for _ in range(length):
            drawn = Draw.answer([Draw(None, float(random.random())) for random in randoms], logits)
            for row, (token, _) in zip(rows, drawn):
                row.append(token)
            if len(rows[0]) < length:
                new = torch.tensor([[row[-1]] for row in rows])
                logits = model.module(input_ids=new, past_key_values=cache, logits_to_keep=1).logits[:, -1].float()
        return rows

    @torch.inference_mode()
    def copied_scores():
        cache, first = copied()
        tokens = torch.tensor(texts)  # (branches, 11)
        rest = model.module(input_ids=tokens[:, :-1], past_key_values=cache).logits.float().log_softmax(-1)
        whole = torch.cat([first.log_softmax(-1).expand(branches, 1, -1), rest], 1)
        return whole.gather(-1, tokens[..., None])[..., 0].tolist()

    def packed_chains():
        tree = PrefixTree(model)
        return sample(
            tree, [tree.node(ids)] * branches, length, streams=[np.random.default_rng(i) for i in range(branches)]
        )

    def packed_scores():
        tree = PrefixTree(model)
        return score(tree, [tree.node(ids)], [texts])[0]

    for work in (copied_chains, packed_chains, copied_scores, packed_scores):
        taken = []
        for _ in range(3):
            spent, found[work.__name__] = common.cpu_seconds(work)
            taken.append(spent)
        seconds[work.__name__] = sorted(taken)[1]
    if found["copied_chains"] != found["packed_chains"]:
        raise SystemExit("the two layouts drew different tokens")
    if not np.allclose(found["copied_scores"], found["packed_scores"], atol=1e-3):
        raise SystemExit("the two layouts gave different scores")
    return seconds


def main():
    parser = common.options(__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--lanes", type=int, default=RainSettings().lanes)
    parser.add_argument("--only", choices=["short", "long", "lockstep", "layout"])
    options = parser.parse_args()
    torch.set_num_threads(1)  # CPU seconds of one thread: waiting threads would count as work
    model = workbench.load(options.model)
    encoder = workbench.load_encoder("minilm")
    encoder.embed(["The first forward pays for warming up."])
    model.module(input_ids=torch.tensor([[1, 2, 3]]))
    PrefixTree(model)
    quick, ratios = options.quick, {}
    demonstrations = filler(model, 300 if quick else 1080)
    cases = {
        "short": (OPENINGS[0], lambda: LabelScorer(model, SENTIMENT, GOOD, BAD), 4 if quick else 12),
        "long": (
            filler(model, 100 if quick else 295) + "\nIn short, this movie was",
            lambda: LabelScorer(model, demonstrations + "\n\nReview: {prompt}{reply}\nSentiment:", GOOD, BAD),
            2 if quick else 6,
        ),
    }
    for name, (prompt, scorer_of, budget) in cases.items():
        if options.only not in (None, name):
            continue
        found = compare(model, encoder, prompt, scorer_of, budget, options.lanes)
        base, ours = found["baseline"], found["ours"]
        print(f"{name}: prompt of {len(model.prompt_ids(prompt))} tokens, {found['searches']} searches, "
              f"move {found['move']!r}, {found['shared']} values shared, {found['added']} nodes added")  # fmt: skip
        for key in ("forwards", "tokens", "cpu"):
            ratios[f"{name}_{key}"] = base[key] / ours[key]
            print(f"  {key:9} baseline {base[key]:9.1f}   ours {ours[key]:9.1f}   ratio {base[key] / ours[key]:6.2f}")
        ratios[f"floor_{name}"] = found["floor"] / ours["tokens"]
        print(f"  floor     {found['floor']} tokens: ours are {ours['tokens'] / found['floor']:.2f} times the floor")
        if name == "short" and not quick:
            for key, anchor in CARD.items():
                apart = base[key] / anchor - 1
                # no bound: the card's search took another way through its tree, and long token sets cost most
                print(f"  anchor    card {anchor} {key} on another way, baseline {base[key]} ({apart:+.0%})")
    if options.only in (None, "lockstep"):
        print("lock-step")
        alone, together_ = lockstep(model, encoder, OPENINGS[: 4 if quick else 8], 3 if quick else 8, options.lanes)
        ratios["lockstep_cpu"] = alone / together_
        print(f"  prompts per CPU second: ratio {alone / together_:.2f}")
    if options.only in (None, "layout"):
        branches, prefix = (8, 150) if quick else (32, 300)
        seconds = layouts(model, branches, prefix)
        print(f"layout: {branches} branches of a {prefix}-token prefix, CPU seconds")
        for what in ("chains", "scores"):
            slow, fast = seconds[f"copied_{what}"], seconds[f"packed_{what}"]
            ratios[f"layout_{what}"] = slow / fast
            print(f"  {what:9} cache copied a branch {slow:6.2f}   one row {fast:6.2f}   ratio {slow / fast:6.2f}")
    if options.json:
        common.print_json("rain", ratios, common.device_name(), ("torch", "transformers"))


if __name__ == "__main__":
    main()
