"""Injecting a knowledge graph: sentences a second, against the reference's way, and what a graph and a data set weigh.

The text is data/kbert/benchmark_text.txt (280 English sentences of our own, 22 words on the average), the graph
WordNet's nouns unfiltered (117,796 subjects), the tokenizer that of the embedded encoder. One thread, CPU seconds of
the process, medians.

Ratios (baseline / ours, larger is better). The work is text to batches: tokenise, match, tree, soft positions, masks.

literal_vs_ours
    `kbert_literal` (a dictionary, word by word, a dense matrix a sentence, padded to 256 tokens as the reference pads)
    against `inject` and `KnowledgeCollator`, the text's words and branches seen before by both: a long corpus, a second
    epoch. The baseline remembers the tokens of words and branches too, which the reference does not.
literal_short_vs_ours
    The same with the baseline's matrices padded to the batch's longest sentence only: kinder than the reference.
literal_vs_ours_first
    As literal_vs_ours at first sight: nothing remembered, each word and branch of this small text is new to both.
tokeniser_and_automaton_vs_ours
    The tokenizer's own encode_batch on the text plus one run of the automaton over it, against the whole injection. The
    claim is at least .5: not more than twice the time of what cannot be left out. Above 1 is possible because a word
    seen before is not tokenised again.
tokeniser_and_automaton_vs_ours_first
    The same at first sight.
dataset_bytes_literal_vs_ours
    Bytes that the data set of this text keeps: dense float64 matrices against the arrays of `KnowledgeBatch`.
per_token_bytes_short_vs_long
    Bytes a token of a data set of 32-token texts / of 512-token texts. 1 means that no byte grows with the square.

Printed, without a ratio: a synthetic graph of 5 million triples (--quick: 200,000) written to a file and read with
`from_tsv`: build time, bytes a triple, sentences a second. The two ways must give equal ids, positions and masks, or
the script fails. `--quick` takes 80 sentences. `--path rest` leaves the synthetic graph out.
"""

import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import common

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

BATCH = 32


def median(work, before=lambda: None, times: int = 7) -> float:
    """Median CPU seconds of ``work()``, with ``before()`` in front of each, untimed."""
    taken = []
    for _ in range(times):
        before()
        taken.append(common.cpu_seconds(work)[0])
    return statistics.median(taken)


def forget(graph, tokenizer) -> None:
    """As if no text had been read yet."""
    from workbench.papers.kbert.injection import tokens

    tokens._KEPT.pop(tokenizer, None)
    graph._branches = None


def ours(texts, graph, tokenizer, collate) -> list:
    """Text to batches."""
    from workbench.papers.kbert import inject

    batch = inject(texts, graph, tokenizer)
    return [
        collate([batch[i] for i in range(begin, min(begin + BATCH, len(batch)))])
        for begin in range(0, len(batch), BATCH)
    ]


def literal(texts, slow) -> list:
    """The same through the reference's way; padded batch by batch."""
    found = []
    for begin in range(0, len(texts), BATCH):
        trees = [slow.sentence(text) for text in texts[begin : begin + BATCH]]
        found += slow.batches(slow.pad(trees, max(len(tree[0]) for tree in trees)), BATCH)
    return found


def wide(texts, slow) -> list:
    """The same, padded to 256 as the reference pads."""
    return list(slow.batches(slow.dataset(texts, 256), BATCH))


def equal(fast: list, slow: list) -> None:
    """Fail unless both made the same batches (where a token stands: the reference's pads see everything or nothing)."""
    import torch

    for a, (ids, soft, mask) in zip(fast, slow, strict=True):
        held = ids != 0
        both = (held[:, :, None] & held[:, None, :])[:, None]
        same = torch.equal(a["input_ids"], ids) and torch.equal(a["position_ids"][held], soft[held])
        if not same or not torch.equal(a["attention_mask"][both], mask[both]):
            raise SystemExit("the two ways differ: a ratio of unequal results means nothing")


def injection(texts, ratios: dict) -> None:
    """Speed and weight on the committed text."""
    from kbert_literal import Literal
    from transformers import AutoTokenizer

    from workbench.models.files.names import encoder_folder
    from workbench.papers.kbert import KnowledgeCollator, KnowledgeGraph, inject
    from workbench.papers.kbert.injection.words import split_words

    began = time.process_time()
    graph = KnowledgeGraph.from_wordnet()
    graph.find("built now")
    built = time.process_time() - began
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder("minilm").path)
    collate = KnowledgeCollator("bert", tokenizer.pad_token_id)
    slow = Literal(graph.triples(), tokenizer)
    found = graph.coverage(texts)
    equal(ours(texts, graph, tokenizer, collate), literal(texts, slow))

    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    parts = {
        "tokeniser": median(lambda: [encoding.ids for encoding in backend.encode_batch(texts)]),
        "automaton": median(lambda: [graph.find_words(split_words(text)) for text in texts]),
        "ours": median(lambda: ours(texts, graph, tokenizer, collate)),
        "  of it inject": median(lambda: inject(texts, graph, tokenizer)),
        "literal": median(lambda: wide(texts, slow), times=3),
        "literal, short": median(lambda: literal(texts, slow), times=3),
        "ours, first": median(lambda: ours(texts, graph, tokenizer, collate), lambda: forget(graph, tokenizer)),
        "literal, first": median(lambda: wide(texts, slow), slow.pieces.clear, 3),
    }
    floor = parts["tokeniser"] + parts["automaton"]
    ratios["literal_vs_ours"] = parts["literal"] / parts["ours"]
    ratios["literal_short_vs_ours"] = parts["literal, short"] / parts["ours"]
    ratios["literal_vs_ours_first"] = parts["literal, first"] / parts["ours, first"]
    ratios["tokeniser_and_automaton_vs_ours"] = floor / parts["ours"]
    ratios["tokeniser_and_automaton_vs_ours_first"] = floor / parts["ours, first"]
    batch = inject(texts, graph, tokenizer)
    dense = sum(visible.nbytes for _, _, visible in slow.dataset(texts, 256))
    ratios["dataset_bytes_literal_vs_ours"] = dense / batch.nbytes
    weights = []
    for length in (32, 512):
        long_ = inject(
            [" ".join(islice(words(texts), length // 4)) for _ in range(50)], graph, tokenizer, max_length=length
        )
        weights.append(long_.nbytes / int(long_.starts[-1]))
    ratios["per_token_bytes_short_vs_long"] = weights[0] / weights[1]

    mean = found.n_words / found.n_texts
    print(f"{graph.n_subjects} subjects, {graph.n_triples} triples, built in {built:.1f} CPU s; "
          f"{found.n_texts} sentences, "
          f"{mean:.1f} words and signs each, {found.n_matches / found.n_texts:.1f} subjects, "
          f"{batch.lengths.mean():.0f} tokens with branches")  # fmt: skip
    print(f"{'':<28}{'us/sentence':>12}{'sentences/s':>13}")
    for name, seconds in parts.items():
        print(f"{name:<28}{seconds / len(texts) * 1e6:>12.1f}{len(texts) / seconds:>13.0f}")
    print(f"data set: {batch.nbytes / len(texts):.0f} bytes a sentence, {weights[0]:.1f} bytes a token of 32-token "
          f"texts, {weights[1]:.1f} of 512-token texts; dense matrices {dense / len(texts):.0f} bytes")  # fmt: skip


def words(texts):
    """The words of the text, over and over."""
    while True:
        for text in texts:
            yield from text.split()


def synthetic(n_triples: int, folder: str) -> None:
    """Write, build and use a graph of ``n_triples``: five a subject, names of one to three made-up words."""
    import psutil

    from workbench.papers.kbert import KnowledgeGraph

    rng = random.Random(0)
    onsets, vowels, codas = (
        ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "kr", "st", "tr"],
        ["a", "e", "i", "o", "u", "ai", "ou"],
        ["", "n", "r", "s", "l"],
    )
    syllables = [a + b + c for a in onsets for b in vowels for c in codas]
    made = ["".join(rng.choices(syllables, k=2)) for _ in range(120_000)]
    names = list(dict.fromkeys(" ".join(rng.choices(made, k=rng.choice((1, 2, 2, 3)))) for _ in range(n_triples // 4)))
    names = names[: n_triples // 5]
    path = Path(folder) / "synthetic.tsv"
    with open(path, "w") as file:
        for name in names:
            for _ in range(-(-n_triples // len(names))):
                file.write(f"{name}\trelation {rng.randrange(300)}\t{rng.choice(names)}\n")
    sentences = [" ".join(rng.choices(made, k=14) + rng.choices(names, k=4)) for _ in range(1000)]
    del made, syllables
    gc.collect()
    process = psutil.Process()
    before, began = process.memory_info().rss, time.process_time()
    graph = KnowledgeGraph.from_tsv(path)
    read = time.process_time() - began
    graph.find("build the automaton")
    built = time.process_time() - began - read
    gc.collect()
    grown = process.memory_info().rss - before
    from transformers import AutoTokenizer

    from workbench.models.files.names import encoder_folder
    from workbench.papers.kbert import inject

    tokenizer = AutoTokenizer.from_pretrained(encoder_folder("minilm").path)
    inject(sentences[:10], graph, tokenizer)
    seconds = common.cpu_seconds(lambda: inject(sentences, graph, tokenizer))[0]
    again = median(lambda: inject(sentences, graph, tokenizer), times=3)
    text = path.stat().st_size / 2**20
    print(f"synthetic graph: {graph.n_triples} triples of {graph.n_subjects} subjects, {text:.0f} MiB of text; "
          f"read in {read:.1f} CPU s, automaton {built:.1f} CPU s; {grown / graph.n_triples:.0f} bytes a triple "
          f"(resident memory; arrays and text alone {graph.nbytes / graph.n_triples:.0f}); inject {1000 / seconds:.0f} "
          f"sentences/s at first sight, {1000 / again:.0f} again")  # fmt: skip


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--path", choices=("all", "rest", "synthetic"), default="all")
    parser.add_argument("--triples", type=int, default=None, help="triples of the synthetic graph")
    options = parser.parse_args()
    n_triples = options.triples or (200_000 if options.quick else 5_000_000)
    if options.path == "synthetic":
        with tempfile.TemporaryDirectory() as folder:
            synthetic(n_triples, folder)
        return

    import torch

    from workbench.data import folder

    torch.set_num_threads(1)
    texts = (folder("kbert") / "benchmark_text.txt").read_text().splitlines()
    ratios: dict[str, float] = {}
    injection(texts[:80] if options.quick else texts, ratios)
    for key, ratio in ratios.items():
        print(f"{key:<42}{ratio:>8.2f}x")
    if options.path == "all":  # in a process of its own: its memory is measured
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, "--path", "synthetic", "--triples", str(n_triples)], check=True)
    if options.json:
        common.print_json("kbert", ratios, "cpu, 1 thread", ("tokenizers", "ahocorasick_rs", "numpy", "torch"))


if __name__ == "__main__":
    main()
