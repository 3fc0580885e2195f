"""LeanDojo: a real Lean to talk to, a library with its premises traced, and the paper's premise selection.

Yang, Swope, Gu, Chalamala, Song, Yu, Godil, Prenger, Anandkumar, "LeanDojo: Theorem Proving with Retrieval-Augmented
Language Models", NeurIPS 2023.

- Interaction: `Session.run_tac(state, tactic)` -> `TacticState`, `ProofFinished`, `LeanError` or `ProofGivenUp`.
- Trace: file > theorem > tactic, each with the state before and after and the premises it names (`trace`).
- Splits: random, and novel_premises: the theorems of the rarest premises are held out first (`split`).
- Retrieval: the state is the query, the *accessible* premises are the candidates (filter before the top-k).
- Bigger: a Metamath database (set.mm) as a corpus of the same kind, a proof a step (`metamath_corpus`).
- Metrics over tactics with at least one positive: R@1 = [top1 in pos]/|pos|, R@10 = |pos ∩ top10|/|pos|, MRR.

Deviations: the default library is our own, small and in prelude mode (the engine's wheel brings no Init); a structured
proof is traced as flat steps, each on the first goal; a proof counts only when the kernel, in a process of its own,
accepts what was compiled and its axioms are within {propext, funext}.
Deviations of the learned parts stand in `retrievers` and `generate`.
"""

from ...lazy import from_stub

__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
