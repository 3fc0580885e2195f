"""The eleven papers: one name, four rooms each (notebook, module, data, test).

A paper's module imports models, data, stats and plots; never another paper, never a widget.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One paper of the workbench; ``status`` is "done" or "coming".

    ``weights`` says what it needs a model's own weights for, where it cannot do without: such a paper is not started on
    a model that lives on a server, nor in llama.cpp. ``engine`` says
    whether llama.cpp gives what it needs, where that is another answer than a server's.
    """

    name: str
    title: str
    reference: str
    claim: str
    status: str = "coming"
    weights: str = ""
    engine: bool | None = None

    @property
    def backends(self) -> tuple[str, ...]:
        """Where its models may live."""
        served = not self.weights
        engine = served if self.engine is None else self.engine
        return ("torch", *(("llama.cpp",) if engine else ()), *(("a server",) if served else ()))


PAPERS: tuple[Paper, ...] = (
    Paper(
        "rain",
        "RAIN: Your Language Models Can Align Themselves without Finetuning",
        "Li et al., ICLR 2024, arXiv 2309.07124",
        "A frozen model that evaluates its own drafts and rewinds gives more harmless replies.",
        status="done",
        weights="its search reads the likeliest next tokens at every node of its tree and forks the model's cache",
        engine=True,
    ),
    Paper(
        "emo",
        "EMO: Earth Mover Distance Optimization for Auto-Regressive Language Modeling",
        "Ren et al., ICLR 2024",
        "Fine-tuning with an earth mover bound instead of cross-entropy gives better text.",
        status="done",
        weights="it trains them, and its costs are distances between rows of the head",
    ),
    Paper(
        "randomness",
        "In-Context Learning Dynamics with Random Binary Sequences",
        "Bigelow et al., ICLR 2024, arXiv 2310.17639",
        "Shown more coin flips in context, large models move abruptly from pseudo-random to deterministic answers.",
        status="done",
    ),
    Paper(
        "explainability",
        "Explainability for Large Language Models: A Survey",
        "Zhao et al., 2023",
        "Explanation methods fall into two families, by how the model is used: fine-tuned or prompted.",
        status="done",
        engine=False,
    ),
    Paper(
        "kbert",
        "K-BERT: Enabling Language Representation with Knowledge Graph",
        "Liu et al., AAAI 2020",
        "Triples woven into a sentence under soft positions and a visible matrix help BERT in special domains.",
        status="done",
        weights="it trains an encoder with a mask of its own in every layer",
    ),
    Paper(
        "reprover",
        "LeanDojo: Theorem Proving with Retrieval-Augmented Language Models",
        "Yang et al., NeurIPS 2023",
        "Retrieving premises before generating a tactic proves more theorems, on a single GPU.",
        status="done",
    ),
    Paper(
        "skipanalyzer",
        "SkipAnalyzer: A Tool for Static Code Analysis with Large Language Models",
        "Mohajer et al., arXiv 2310.18532",
        "A language model detects bugs, filters false warnings and writes patches for Java methods.",
        status="done",
    ),
    Paper(
        "tips",
        "Introspective Tips: Large Language Model for In-Context Decision Making",
        "Chen et al., arXiv 2305.11598",
        "Short tips that a model writes after reading trajectories improve its play without any training.",
    ),
    Paper(
        "alpagasus",
        "AlpaGasus: Training a Better Alpaca with Fewer Data",
        "Chen et al., ICLR 2024",
        "A model tuned on the 9k best-rated instructions beats one tuned on all 52k.",
    ),
    Paper(
        "targen",
        "TarGEN: Targeted Data Generation with Large Language Models",
        "Gupta et al., 2023",
        "Training data generated without seed examples, with self-correction, matches the original data.",
    ),
    Paper(
        "ptm",
        "Pre-trained Models for Natural Language Processing: A Survey",
        "Qiu et al., 2020",
        "Pre-trained models can be ordered by representation, architecture, pre-training task and extension.",
    ),
)
