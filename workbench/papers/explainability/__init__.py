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

from ...lazy import lazy_names
from .settings import GAP, METHODS, PROFILES, QUANTITIES, REMOVALS, MethodInfo, fill, sizes

# what needs torch or numbers is fetched at first use: public name -> module
_HOMES = {
    # A: attribution and evaluation
    "attribute": "attribution", "compare": "attribution", "Attribution": "result", "Cost": "coalitions",
    "coalition_values": "coalitions", "masked_ids": "coalitions", "next_tokens": "coalitions", "Reading": "reading",
    "read_prompt": "reading", "neutral_token": "reading",
    "erasure": "evaluation", "Erasure": "evaluation", "simulatability": "evaluation", "Simulated": "evaluation",
    "simulatability_table": "evaluation", "SimulatabilityRow": "evaluation", "agreement": "evaluation",
    "Agreement": "evaluation", "AgreementRow": "evaluation",
    "faithfulness_table": "faithfulness", "FaithfulnessTable": "faithfulness",
    "FaithfulnessRow": "faithfulness", "Pair": "faithfulness", "weight_randomisation": "sanity",
    "Randomisation": "sanity", "RandomisationRow": "sanity",
    "attribute_served": "served", "ServedAttribution": "served",
    "attention_maps": "heads", "AttentionMaps": "heads",
    # B: examples, global methods, prompting, taxonomy, data (begin)
    "FAMILIES": "materials", "PROPERTIES": "materials", "MARK": "materials", "KnownPrompt": "materials",
    "MinimalPair": "materials", "ProbeRow": "materials", "ConceptRow": "materials", "OpeningRow": "materials",
    "ShortcutRow": "materials", "CorpusRow": "materials", "DemoTask": "materials", "ReasoningRow": "materials",
    "QuestionRow": "materials", "known_prompts": "materials", "minimal_pairs": "materials", "probe_rows": "materials",
    "concept_rows": "materials", "openings": "materials", "shortcut_rows": "materials", "corpus": "materials",
    "demo_tasks": "materials", "reasoning_rows": "materials", "question_rows": "materials",
    "substitutions": "materials", "logit_lens": "lens", "Lens": "lens", "PARTS": "patching",
    "patching_grid": "patching", "patching_grid_literal": "patching", "patch_heads": "patching",
    "can_patch": "patching", "Patching": "patching", "HeadPatching": "patching", "Spent": "patching",
    "ablate_heads": "circuit", "walk_circuit": "circuit", "Circuit": "circuit", "Step": "circuit",
    "concept_vector": "concepts", "read_concept": "concepts", "random_concept": "concepts",
    "steering": "concepts", "steer_next": "concepts",
    "dose_response": "concepts", "Concept": "concepts", "Steered": "concepts", "DoseResponse": "concepts",
    "compare_edit": "examples", "counterfactuals": "examples", "adversarial": "examples", "Edit": "examples",
    "Counterfactuals": "examples", "Adversarial": "examples", "browse_neurons": "neurons", "neuron_card": "neurons",
    "topic_neuron": "neurons", "TopicNeuron": "neurons", "NeuronCard": "neurons", "NeuronExample": "neurons",
    "linear_probe": "probes", "parameter_free_probe": "probes", "ProbeResult": "probes", "ParameterFree": "probes",
    "influence_on_head": "influence", "Influence": "influence", "debug_shortcut": "debugging",
    "ShortcutStory": "debugging", "example_influence": "in_context", "ExampleInfluence": "in_context",
    "chain_faithfulness": "reasoning", "ChainFaithfulness": "reasoning", "ask": "uncertainty",
    "Answered": "uncertainty", "uncertainty_of": "uncertainty", "self_consistency": "uncertainty",
    "Uncertainty": "uncertainty", "SelfConsistency": "uncertainty", "TAXONOMY": "taxonomy", "Leaf": "taxonomy",
    "KeyPaper": "taxonomy", "taxonomy_tree": "taxonomy",
    # B (end)
}  # fmt: skip
__all__ = ["GAP", "METHODS", "PROFILES", "QUANTITIES", "REMOVALS", "MethodInfo", "fill", "sizes", *_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
