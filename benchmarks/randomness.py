"""What the randomness page saves: every prefix's next flip, and every prefix's judgement, from one forward.

Ratios (baseline / ours, larger is better), CPU seconds of the process on one thread, same model, same numbers:

one_forward_vs_naive
    `next_flip_curve` of a sequence with 100 prefixes, against one full forward for each prefix.
packed_judge_vs_naive
    `judge` of 60 prefixes (each has its own question behind it, packed in one row), against one full forward each.

The baseline is the ordinary way with care taken: the same handle and tokenizer, inference mode, no key-value cache
built, logits of the last position only, the letters' token ids looked up beforehand. Libraries are imported and one
repetition of each is thrown away beforehand (for the baselines a few prefixes). The two ways must agree to 1e-4 in
probability and in mass, or the script fails. `--quick` takes 24 and 16 prefixes, where less is shared, so the ratios
are smaller. `--model` names another model.
"""

import random
import statistics

import common
import numpy as np


def naive(model, texts: list[str], sets) -> tuple[np.ndarray, np.ndarray]:
    """(share of the second letter, mass of both) after each text, a full forward for each."""
    import torch

    pairs = []
    with torch.inference_mode():
        for text in texts:
            ids = torch.tensor([model.tokenizer(text)["input_ids"]], device=model.device)
            logits = model.module(ids, use_cache=False, logits_to_keep=1).logits[0, -1].float()
            probability = logits.softmax(-1)
            pairs.append([float(probability[one].sum()) for one in sets])
    first, second = np.array(pairs).T
    return second / (first + second), first + second


def letters(model, pair: tuple[str, str]):
    """Ids of the tokens that begin with each letter."""
    import torch

    size = model.module.get_input_embeddings().weight.shape[0]
    texts = model.tokenizer.batch_decode([[i] for i in range(min(size, len(model.tokenizer)))])
    return [
        torch.tensor(
            [i for i, text in enumerate(texts) if text.strip().lower().startswith(letter)], device=model.device
        )
        for letter in pair
    ]


def compare(model, texts, pair, ours) -> tuple[float, float, float]:
    """CPU seconds of the baseline and of ours, and the largest difference between their numbers."""
    from workbench.models.prefix.tree import shared_tree

    def afresh():
        shared_tree(model).clear()  # it would remember the last repetition
        return ours()

    sets = letters(model, pair)
    naive(model, texts[-2:], sets)
    fast_numbers = afresh()
    taken = [common.cpu_seconds(afresh)[0] for _ in range(3)]  # before and after: a busy machine's CPU seconds drift
    slow, slow_numbers = common.cpu_seconds(lambda: naive(model, texts, sets))
    fast = statistics.median(taken + [common.cpu_seconds(afresh)[0] for _ in range(3)])
    apart = max(float(np.abs(a - b).max()) for a, b in zip(slow_numbers, fast_numbers))
    if not apart < 1e-4:
        raise SystemExit(f"the two ways differ by {apart:.1e}: a ratio of unequal results means nothing")
    return slow, fast, apart


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--model", default="smollm2")
    options = parser.parse_args()

    import torch

    from workbench import load
    from workbench.papers.randomness import JUDGEMENT, judge, next_flip_curve, write_flips
    from workbench.papers.randomness.settings import prompt_text

    model = load(options.model)
    n_curve, n_judge = (24, 16) if options.quick else (100, 60)
    rng = random.Random(0)
    flips = "".join(rng.choice("HT") for _ in range(n_curve - 1))
    judged = flips[: n_judge - 1]
    torch.set_num_threads(1)  # a second thread spins while it waits, and that would count
    start = prompt_text("paper", "words", 50)
    tasks = {
        "one_forward_vs_naive": (
            [start + write_flips(flips[:k]) for k in range(n_curve)],
            ("h", "t"),
            lambda: next_flip_curve(model, flips),
        ),
        "packed_judge_vs_naive": (
            [JUDGEMENT.text.format(flips=write_flips(judged[:k], comma=False)) for k in range(n_judge)],
            ("n", "r"),
            lambda: judge(model, judged),
        ),
    }
    print(f"{options.model}, {torch.get_num_threads()} threads, CPU seconds")
    print(f"{'':<24}{'prefixes':>9}{'naive':>9}{'ours':>9}{'ratio':>9}{'apart':>10}")
    ratios = {}
    for key, (texts, pair, ours) in tasks.items():
        slow, fast, apart = compare(model, texts, pair, ours)
        ratios[key] = slow / fast
        print(f"{key:<24}{len(texts):>9}{slow:>9.2f}{fast:>9.2f}{slow / fast:>8.1f}x{apart:>10.1e}")
    if options.json:
        common.print_json("randomness", ratios, common.device_name(), ("torch", "transformers"))


if __name__ == "__main__":
    main()
