"""The methods by name, what each promises, and the sizes of each profile. No torch here: light users read this."""

from dataclasses import dataclass
from types import MappingProxyType

from ...errors import UsageError

QUANTITIES = ("log_probability", "probability", "logit_difference")
REMOVALS = ("replace", "delete")
EXACT_TOKENS = 10  # up to so many free tokens Shapley values are exact: 2^10 coalitions
GAP = 0.05  # a completeness gap above this share is said on the result (card: "Checks")


@dataclass(frozen=True)
class MethodInfo:
    """One attribution method.

    Attributes
    ----------
    name, title, about : str
        The key, words for people, one sentence.
    family : str
        "perturbation", "surrogate", "gradient", "decomposition", "attention" or "control".
    needs : str
        The capability a model must have ("hidden" stands for local weights).
    layers : bool
        Whether it takes ``layer=``.
    complete : bool
        Whether its scores should add up to ``value - baseline``.
    signed : bool
        Whether a negative score means "speaks against the target".
    samples : int or None
        The default of ``samples=``; None where nothing is sampled.
    """

    name: str
    title: str
    family: str
    about: str
    needs: str = "hidden"
    layers: bool = False
    complete: bool = False
    signed: bool = True
    samples: int | None = None


METHODS = MappingProxyType(
    {
        method.name: method
        for method in (
            MethodInfo(
                "occlusion", "Occlusion", "perturbation",
                "What the target loses when one token is replaced by a neutral one.",
            ),
            MethodInfo(
                "occlusion_delete", "Occlusion (deleting)", "perturbation",
                "What the target loses when one token is deleted and the rest moves up.",
            ),
            MethodInfo(
                "shapley", "Shapley values", "perturbation",
                "A token's mean contribution over the orders in which tokens can join the prompt.",
                complete=True, samples=8,
            ),
            MethodInfo(
                "kernel_shap", "KernelSHAP", "surrogate",
                "A linear model fitted to random coalitions under the Shapley kernel.", complete=True, samples=96,
            ),
            MethodInfo(
                "lime", "LIME", "surrogate",
                "A linear model fitted to random coalitions, those close to the prompt weighted more.", samples=96,
            ),
            MethodInfo(
                "gradient", "Gradient norm", "gradient",
                "The length of the target's gradient at a token's state: how sensitive, in no direction.",
                needs="gradient", layers=True, signed=False,
            ),
            MethodInfo(
                "gradient_x_input", "Gradient x input", "gradient",
                "The gradient at a token's state times the state: a first-order guess at removing it.",
                needs="gradient", layers=True,
            ),
            MethodInfo(
                "integrated_gradients", "Integrated gradients", "gradient",
                "Gradients collected on the straight way from a baseline to the prompt.",
                needs="gradient", layers=True, complete=True, samples=64,
            ),
            MethodInfo(
                "gradient_shap", "GradientSHAP", "gradient",
                "Gradients at random places between a baseline and the prompt.",
                needs="gradient", layers=True, complete=True, samples=32,
            ),
            MethodInfo(
                "decomposition", "Relevance propagation", "decomposition",
                "The target's logit handed back through the network, attention and norms held as they are.",
                needs="gradient", layers=True, complete=True,
            ),
            MethodInfo(
                "attention", "Attention", "attention",
                "How much the position that predicts the target attends to a token, the sink left out.",
                layers=True, signed=False,
            ),
            MethodInfo(
                "rollout", "Attention rollout", "attention",
                "Attention multiplied through the layers, the sink left out.", layers=True, signed=False,
            ),
            MethodInfo(
                "random", "Random", "control", "Random scores: what a method must beat.", signed=False,
            ),
        )
    }
)  # fmt: skip

# Sizes that the notebook leaves at None. faithfulness_prompts: prompts of the faithfulness table; methods: the methods
# in it; permutations, coalitions, steps: samples of Shapley, of KernelSHAP and LIME, of integrated gradients;
# random_draws: random orders a prompt; counterfactuals: of the simulatability check. The rest is the other branches':
# steps of weight randomisation; pairs of the circuit (0: none); layers and random labellings of the probes; texts
# browsed; tasks, chains and questions asked; random directions beside steering; rows left out one at a time; epochs of
# the small classifier; thin: every how many-th row (or pair of rows) is taken of the data sets that are used whole.
_QUICK = {
    "faithfulness_prompts": 10,
    "methods": ["occlusion", "kernel_shap", "gradient", "gradient_x_input", "integrated_gradients", "decomposition",
                "attention", "rollout", "random"],
    "permutations": 4, "coalitions": 32, "steps": 8, "random_draws": 5, "counterfactuals": 12, "randomised_steps": 1,
    "circuit_pairs": 8, "probe_layers": 4, "control_labels": 5, "corpus_texts": 72, "demo_tasks": 3,
    "reasoning_rows": 6, "questions": 12, "answer_samples": 4, "steer_openings": 6, "random_directions": 10,
    "left_out": 24, "story_epochs": 4, "thin": 1,
}  # fmt: skip
_STANDARD = _QUICK | {
    "faithfulness_prompts": 32, "methods": list(METHODS), "permutations": 8, "coalitions": 96, "steps": 32,
    "random_draws": 10, "counterfactuals": 24, "randomised_steps": 4, "probe_layers": 11, "demo_tasks": 12,
    "reasoning_rows": 16, "questions": 48, "answer_samples": 8, "steer_openings": 24, "random_directions": 20,
    "left_out": 48,
}  # fmt: skip
PROFILES: dict[str, dict] = {
    "smoke": _QUICK | {
        "faithfulness_prompts": 2, "methods": ["occlusion", "gradient_x_input", "random"], "permutations": 2,
        "coalitions": 16, "random_draws": 2, "counterfactuals": 6, "circuit_pairs": 0, "probe_layers": 2,
        "control_labels": 2, "corpus_texts": 12, "demo_tasks": 1, "reasoning_rows": 2, "questions": 2,
        "answer_samples": 2, "steer_openings": 2, "random_directions": 2, "left_out": 6, "story_epochs": 1, "thin": 4,
    },
    "quick": _QUICK,
    "standard": _STANDARD,
    "paper": _STANDARD | {
        "faithfulness_prompts": 60, "permutations": 32, "coalitions": 512, "steps": 128, "random_draws": 20,
        "counterfactuals": 48, "randomised_steps": 8, "probe_layers": 31, "control_labels": 20, "answer_samples": 16,
        "random_directions": 50,
    },
}  # fmt: skip


def fill(profile: str, **given) -> dict:
    """The sizes of a profile, replaced by those that are ``given`` (not None)."""
    sizes(profile)  # an unknown profile is told here
    return {**PROFILES[profile], **{name: value for name, value in given.items() if value is not None}}


def sizes(profile: str | dict) -> dict[str, int]:
    """``samples=`` for `compare` and `faithfulness_table` by method, from a profile or what `fill` made of one."""
    if isinstance(profile, str) and profile not in PROFILES:
        raise UsageError(f"profile {profile!r} is unknown: choose one of {', '.join(PROFILES)}")
    size = PROFILES[profile] if isinstance(profile, str) else profile
    return {
        "shapley": size["permutations"], "kernel_shap": size["coalitions"], "lime": size["coalitions"],
        "integrated_gradients": size["steps"], "gradient_shap": size["steps"],
    }  # fmt: skip


def get_method(name: str) -> MethodInfo:
    """The method of that name, or one sentence."""
    if name not in METHODS:
        raise UsageError(f"method {name!r} is unknown: choose one of {', '.join(METHODS)}")
    return METHODS[name]
