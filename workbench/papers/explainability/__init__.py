"""Explainability for language models: the survey's methods, runnable, with their costs and their controls.

Zhao et al., "Explainability for Large Language Models: A Survey", 2023. Facts and their sources:
data/explainability/README.md.

Attribution: which tokens of a prompt speak for an answer.
1. A question: log p(target | prompt), or the logit difference to a foil (`attribute`).
2. Perturbation methods play a game whose players are the tokens: what is the answer worth when some are gone
   (`coalition_values`)? Gradient methods differentiate it; relevance propagation hands the logit back; attention only
   looks.
3. The first token, the attention sink, is held fixed by default.
4. Scores that should add up to value - baseline say by how much they do not (`Attribution.gap`).
Evaluation: removing what is said to matter must matter, more than removing at random (`faithfulness_table`); an
explanation must depend on the weights (`weight_randomisation`) and help to predict the model (`simulatability`).

Deviations, all ours: a removed token becomes an underscore, in perturbation and in gradients (end-of-text, captum's
default here, would cut the text; a zero embedding makes integrated gradients rough);
Shapley permutations come in reversed pairs; the decomposition explains the logit above the vocabulary's mean.

>>> from workbench import load                                       # doctest: +SKIP
>>> from workbench.papers.explainability import attribute            # doctest: +SKIP
>>> attribute(load(), "The capital of France is", " Paris").top(2)   # doctest: +SKIP
"""

from ...lazy import from_stub

__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
