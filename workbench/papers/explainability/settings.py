"""The methods by name, what each promises, and the sizes of each profile. No torch here: light users read this."""

from dataclasses import dataclass
from types import MappingProxyType

from ...errors import UsageError
from ...profiles import Profiles, Size

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
        The capability a model must have ("hidden": local weights).
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

_SOME = ["occlusion", "kernel_shap", "gradient", "gradient_x_input", "integrated_gradients", "decomposition",
         "attention", "rollout", "random"]  # fmt: skip
PROFILES = Profiles(
    methods=Size(["occlusion", "gradient_x_input", "random"], _SOME, list(METHODS), list(METHODS),
                 choices=tuple(METHODS), item="method"),
    faithfulness_prompts=Size(2, 10, 32, 60),
    permutations=Size(2, 4, 8, 32, help="orders sampled for Shapley values"),
    coalitions=Size(16, 32, 96, 512, help="samples of KernelSHAP and LIME"),
    steps=Size(8, 8, 32, 128, help="of integrated gradients"),
    random_draws=Size(2, 5, 10, 20),
    counterfactuals=Size(6, 12, 24, 48, least=2),
    randomised_steps=Size(1, 1, 4, 8),
    circuit_pairs=Size(0, 8, 8, 8, least=4, zero=True),
    probe_layers=Size(2, 4, 11, 31),
    control_labels=Size(2, 5, 5, 20),
    corpus_texts=Size(12, 72, 72, 72, least=2),
    demo_tasks=Size(1, 3, 12, 12),
    reasoning_rows=Size(2, 6, 16, 16, least=2),
    questions=Size(2, 12, 48, 48),
    answer_samples=Size(2, 4, 8, 16, least=2),
    steer_openings=Size(2, 6, 24, 24, least=2),
    random_directions=Size(2, 10, 20, 50),
    left_out=Size(6, 24, 48, 48, least=4),
    story_epochs=Size(1, 4, 4, 4),
    thin=Size(4, 1, 1, 1, most=4, help="every how many-th row (or pair of rows) of the data sets that are used whole"),
)  # fmt: skip


def sizes(profile: str | dict) -> dict[str, int]:
    """``samples=`` for `compare` and `faithfulness_table` by method, from a profile or its filled sizes."""
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
