"""What sharing prefixes among perturbed prompts saves, against captum; and a patching grid, against one run at a time.

Ratios (baseline / ours, larger is better), CPU seconds of the process on one thread, same model, same coalitions:

occlusion
    Every token of a 37-token prompt replaced in turn, one target token: captum's FeatureAblation in LLMAttribution.
sampled_shapley
    Two permutations: captum's ShapleyValueSampling in LLMAttribution, given ours.
kernel_shap
    60 coalitions: captum's KernelShap in LLMAttribution; the coalitions it draws are given to ours.
patching_grid
    Layers x positions of one minimal pair: `patching_grid` against one forward for each cell.

captum's side is as its LLMAttribution runs it (its faster forward_in_tokens=False, no key-value cache, no gradients),
one coalition a forward: perturbations_per_eval > 1 fails there. Both sides evaluate the same number of coalitions; the
values of equal coalitions must agree to 1e-4, or the script fails, and so must the scores. `batching_alone` (printed,
no key) evaluates the same coalitions in plain batches, no prefix shared: what is left is the prefixes' share.

Then the table that docs/explainability.md shows: method, evaluations, tokens, CPU seconds, comprehensiveness, on the
same prompts. `--quick` takes a 16-token prompt, 24 coalitions, few methods. `--model` names another model.
"""

import statistics

import common
import numpy as np

PROMPT = (
    "After a long and quiet winter the farmers of the valley were glad when the snow on the hills began to melt, "
    "because the river filled again and everybody was waiting for the first days of"
)
SHORT = "After a quiet winter the farmers of the valley waited for the first days of"
TARGET = " spring"
TABLE = [  # prompts of the table: their answers are what the embedded model says first, or nearly
    ("The capital of France is the city of", " Paris"),
    ("Water is made of hydrogen and", " oxygen"),
    ("The opposite of hot is", " cold"),
    ("The sun rises in the east and sets in the", " west"),
    ("One, two, three, four, five, six,", " seven"),
    ("Monday, Tuesday, Wednesday, Thursday,", " Friday"),
    ("She opened the umbrella because it had started to", " rain"),
    ("The largest planet in our solar system is", " Jupiter"),
]


class Theirs:
    """captum's LLMAttribution on a prompt; the coalitions it evaluates and their values are written down."""

    def __init__(self, model, prompt: str, token: int):
        from captum.attr import TextTokenInput

        self.model, first = model, model.tokenizer(prompt)["input_ids"][0]
        self.input = TextTokenInput(prompt, model.tokenizer, baselines=token, skip_tokens=[first])
        self.seen: list[tuple[tuple[bool, ...], float]] = []

    def run(self, method, **options) -> np.ndarray:
        """Scores of the tokens behind the first."""
        import torch
        from captum.attr import LLMAttribution

        wrapped = LLMAttribution(method, self.model.tokenizer)
        plain = wrapped._forward_func_by_seq

        def noted(perturbed, *arguments):
            value = plain(perturbed, *arguments)
            self.seen.append((tuple((perturbed[0] == 1).tolist()), float(value.reshape(-1)[0])))
            return value

        wrapped._forward_func_by_seq = noted
        self.seen.clear()
        with torch.no_grad():
            found = wrapped.attribute(
                self.input, target=TARGET, forward_in_tokens=False, use_cached_outputs=False, **options
            )
        return found.seq_attr.double().numpy()


def batched(model, ids: list[int], masks: np.ndarray, token: int, target: int, rows: int = 16) -> list[float]:
    """The same coalitions in plain batches of whole prompts: batching alone."""
    import torch

    found = []
    prompts = torch.where(torch.from_numpy(masks), torch.tensor(ids), token).to(model.device)
    with torch.inference_mode():
        for part in prompts.split(rows):
            logits = model.module(input_ids=part, use_cache=False, logits_to_keep=1).logits[:, -1].float()
            found += (logits[:, target] - logits.logsumexp(-1)).tolist()
    return found


def contest(model, key: str, prompt: str, coalitions: int, orders: int) -> dict[str, float]:
    """CPU seconds of both sides for one method, after their values and scores were compared."""
    from captum.attr import FeatureAblation, KernelShap, ShapleyValueSampling

    from workbench.papers.explainability import coalition_values, neutral_token
    from workbench.papers.explainability.attribution import perturbation as ours_by_name
    from workbench.papers.explainability.attribution.game import Game
    from workbench.papers.explainability.tokens import ask

    token = neutral_token(model)
    question = ask(model, prompt, TARGET)
    theirs = Theirs(model, prompt, token)
    players = len(question.free)
    permutations = ours_by_name.permutations(players, orders, seed=0)
    if key == "occlusion":
        options = {}
        method = FeatureAblation(model.module)
        ours = ours_by_name.occlusion
    elif key == "sampled_shapley":
        options = {"n_samples": orders}
        method = ShapleyValueSampling(model.module)
        method.permutation_generator = lambda *_: iter([order.tolist() for order in permutations])

        def ours(game):
            return ours_by_name.permutation_shapley(game, permutations)
    else:
        options = {"n_samples": coalitions}
        method = KernelShap(model.module)

        def ours(game):
            return ours_by_name.kernel_shap(game, samples=coalitions, seed=0)

    def ours_once():
        game = Game(question)
        return ours(game), game

    ours_once()
    fast = [common.cpu_seconds(ours_once)[0] for _ in range(2)]  # before and after: a busy machine's CPU seconds drift
    with ours_by_name.seeded(0):
        slow, their_scores = common.cpu_seconds(lambda: theirs.run(method, **options))
    taken, (scores, game) = common.cpu_seconds(ours_once)
    fast.append(taken)
    masks = np.ones((len(theirs.seen), len(question.ids)), dtype=bool)
    masks[:, question.free] = [stays for stays, _ in theirs.seen]
    their_values = np.array([value for _, value in theirs.seen])
    values = game.values(masks)
    if game.cost.evaluations != len({stays for stays, _ in theirs.seen}):
        raise SystemExit(f"{key}: ours evaluated coalitions that captum did not, so the ratio would mean nothing")
    check = coalition_values(model, prompt, TARGET, masks)
    alone = batched(model, question.ids, masks, token, question.target_ids[0])
    batch = common.cpu_seconds(lambda: batched(model, question.ids, masks, token, question.target_ids[0]))[0]
    for name, other in (("one by one", their_values), ("coalition_values", check), ("batched", alone)):
        apart = float(np.abs(values - other).max())
        if not apart < 1e-4:
            raise SystemExit(
                f"{key}: values differ from {name} by {apart:.1e}: a ratio of unequal results means nothing"
            )
    if not np.abs(scores - their_scores).max() < 1e-3:
        raise SystemExit(f"{key}: the scores differ from captum's by {np.abs(scores - their_scores).max():.1e}")
    return {
        "evaluations": len(theirs.seen), "slow": slow, "batch": batch, "fast": statistics.median(fast),
        "apart": float(np.abs(values - their_values).max()), "tokens": game.cost.tokens,
        "score": float(np.abs(scores - their_scores).max()),
    }  # fmt: skip


def one_by_one(model, clean: str, corrupt: str, answer: str, foil: str, layers: list[int]) -> np.ndarray:
    """(L, T): logit(answer) - logit(foil), a whole run of the corrupt prompt for each layer and position."""
    import torch

    ids = [torch.tensor([model.token_ids(text)], device=model.device) for text in (clean, corrupt)]
    tokens = [model.token_ids(text, start=False)[0] for text in (answer, foil)]
    base = model.module.model

    def run(tokens_of, layer, change):
        module = base.embed_tokens if layer == 0 else base.layers[layer - 1]

        def hook(_, __, output):
            return change(output) if torch.is_tensor(output) else (change(output[0]), *output[1:])

        hung = module.register_forward_hook(hook)
        with torch.inference_mode():
            logits = model.module(input_ids=tokens_of, use_cache=False, logits_to_keep=1).logits[0, -1].float()
        hung.remove()
        return float(logits[tokens[0]] - logits[tokens[1]])

    found = np.zeros((len(layers), ids[0].shape[1]))
    for row, layer in enumerate(layers):
        kept = []
        run(ids[0], layer, lambda states, kept=kept: kept.append(states.clone()) or states)
        for place in range(found.shape[1]):

            def put(states, kept=kept, place=place):
                states = states.clone()
                states[:, place] = kept[0][:, place]
                return states

            found[row, place] = run(ids[1], layer, put)
    return found


def patching(model, quick: bool) -> dict[str, float]:
    """CPU seconds of the patching grid and of one run at a time, after their values were compared."""
    from workbench.papers.explainability import minimal_pairs, patching_grid

    pair = next(pair for pair in minimal_pairs() if pair.family == "sentiment")
    layers = list(range(0, model.module.config.get_text_config().num_hidden_layers + 1, 5 if quick else 1))
    arguments = (model, pair.clean, pair.corrupt, pair.answer, pair.foil)
    patching_grid(*arguments, layers=layers[:2])
    fast = [common.cpu_seconds(lambda: patching_grid(*arguments, layers=layers))[0] for _ in range(2)]
    slow, theirs = common.cpu_seconds(lambda: one_by_one(*arguments, layers))
    taken, ours = common.cpu_seconds(lambda: patching_grid(*arguments, layers=layers))
    apart = float(np.abs(ours.values - theirs).max())
    if not apart < 1e-4:
        raise SystemExit(f"patching_grid: the two ways differ by {apart:.1e}")
    return {
        "evaluations": ours.values.size, "slow": slow, "batch": float("nan"),
        "fast": statistics.median([*fast, taken]), "apart": apart, "tokens": ours.cost.tokens, "score": apart,
    }  # fmt: skip


def table(model, items, methods) -> None:
    """Print method, evaluations, tokens, CPU seconds, comprehensiveness (random beside them)."""
    from workbench.papers.explainability import METHODS, attribute, faithfulness_table

    taken, made = {}, {}
    for method in methods:
        attribute(model, *items[0], method=method, samples=None if METHODS[method].family == "surrogate" else 2)  # warm
        both = [common.cpu_seconds(lambda item=item, m=method: attribute(model, *item, method=m)) for item in items]
        taken[method], made[method] = zip(*both)
    made.pop("random", None)
    found = faithfulness_table(model, items, methods, removals=("replace",), attributions=made)
    print(f"\n{len(items)} prompts, means a prompt; loss of probability averaged over 5, 10, 20 and 50 % replaced")
    print("| method | evaluations | tokens | CPU seconds | comprehensiveness | against random |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in found.rows:
        print(
            f"| {METHODS[row.method].title} | {row.evaluations:.1f} | {row.tokens:.0f} "
            f"| {statistics.mean(taken[row.method]):.2f} | {row.comprehensiveness} | {row.verdict} |"
        )


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--model", default="smollm2")
    options = parser.parse_args()

    import torch

    from workbench import load
    from workbench.papers.explainability import METHODS

    torch.set_num_threads(1)  # a second thread spins while it waits, and that would count
    model = load(options.model)
    prompt, coalitions, orders = (SHORT, 24, 1) if options.quick else (PROMPT, 60, 2)
    length = len(model.tokenizer(prompt)["input_ids"])
    print(f"{options.model}, 1 thread, CPU seconds; prompt of {length} tokens, target {TARGET!r}")
    print(f"{'':<18}{'evaluations':>12}{'captum':>9}{'batched':>9}{'ours':>8}{'ratio':>8}{'apart':>10}{'tokens':>8}")
    ratios = {}
    for key in ("occlusion", "sampled_shapley", "kernel_shap", "patching_grid"):
        if key == "patching_grid":
            found = patching(model, options.quick)
        else:
            found = contest(model, key, prompt, coalitions, orders)
        ratios[key] = found["slow"] / found["fast"]
        print(
            f"{key:<18}{found['evaluations']:>12}{found['slow']:>9.2f}{found['batch']:>9.2f}{found['fast']:>8.2f}"
            f"{found['slow'] / found['fast']:>7.1f}x{found['apart']:>10.1e}{found['tokens']:>8.0f}",
            flush=True,
        )
    table(model, TABLE[:2] if options.quick else TABLE, ["occlusion", "random"] if options.quick else list(METHODS))
    if options.json:
        common.print_json("explainability", ratios, common.device_name(), ("torch", "transformers", "captum"))


if __name__ == "__main__":
    main()
