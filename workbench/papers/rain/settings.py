"""Every constant of RAIN, with its source, and the presets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ...errors import UsageError
from ...profiles import Choice, File, Profiles, Size, Text

TASKS = ("hh", "advbench", "truthfulqa")

# sizes a notebook fills in where a parameter is None: smoke for tests, quick < 3 minutes, standard < 30, paper on a GPU
# (17 tokens are the first four token sets: 1 + 2 + 4 + 10)
PROFILES = Profiles(
    {
        "prompts": File(),
        "form": Choice(("words", "hard", "vote", "yesno")),
        "objective": Text(
            r"(?s)both|harmlessness|sentiment|truthfulness|.+\n[^\n/]*[^\s/][^\n/]*/[^\n/]*[^\s/][^\n/]*\n*",
            "harmlessness, sentiment, both, or a template whose last line is 'good / bad'",
        ),
    },
    budget=Size(2, 6, 12, 50),
    max_new_tokens=Size(6, 16, 17, 256),
    prompts_used=Size(1, 3, 20, 120),
    labelled_used=Size(8, 48, 96, 150),
    # one budget was asked for: no sweep around it
    budgets=Size([2], [6], [6, 12, 25, 50], [12, 25, 50], follows=("budget", lambda budget: [budget])),
    sweep_used=Size(1, 3, 6, 48),
    attack_used=Size(1, 3, 10, 120),
)


@dataclass(frozen=True)
class RainSettings:
    """The constants of the search. "Code" is SafeAILab/RAIN as described in the paper's card; "§3" the paper.

    Parameters
    ----------
    max_searches, floor : int
        A move's searches run from the root's true visits to max(max_searches, visits + floor). Code: 50 and 15.
    min_visits, threshold : int, float
        The move is made early when the most visited child has more than ``min_visits`` true visits and a value above
        ``threshold``. Code: 6 (HH), 5 (AdvBench), 16 (TruthfulQA); .8.
    exploration : float
        c of the selection rule. Code: 2.
    first_play : float
        What stands for (q + 1) / 2 at a child never visited. Code: 0, the worst value.
    lengths : tuple of int
        Tokens in the sets below a node, by the node's step; the last repeats. Code: 1, 2, 4, then 10.
    candidates : int
        K, the children a node gets. Code: 10.
    tries, added_tries : int
        Chains sampled for a node beside the greedy one, and for one more child of it. Code (`group_getp` asked for K
        candidates, and for 2): K - 1 and 1; AdvBench 2K - 1 and 3.
    top_k, temperature : int, float
        Top k of the candidate chains; temperature of all candidates, sets of one token too. Code (`group_getp`): 15;
        1.0, AdvBench 2.0.
    root_mix : float
        Share of the uniform distribution in the root's priors. Code: .25.
    rollout_ends : str
        Characters that end a simulation; "" simulates to the end of the text. Code: , . ? : ; newline; TruthfulQA "".
    rollout_tokens : int
        The most tokens of a simulation. Ours (the code's bound is the text's length).
    simulate_ended : bool
        Whether a simulation goes on where the text, prompt included, already ends with one of ``rollout_ends``. Code
        (`simg` looks before it draws): False.
    evaluate_root : bool
        Whether the first search of all evaluates the text before any candidate. Code (`search`, where the root begins
        as a leaf): True.
    similarity, similarity_weight : float
        A sibling whose mean embedding has at least this cosine shares the value with weight ``similarity_weight`` x
        cosine. Code: .95, .2. A similarity above 1 switches both this and the node addition off, and no encoder is
        needed.
    embedded_text : "node" or "reply"
        What a node embeds of a simulated reply: from the node's own tokens on, or all of it. Code (`node.backup`):
        "node".
    max_children, variance : int, float
        A node with all children visited, fewer than ``max_children``, embeddings whose per-dimension variance
        (unbiased, as torch.var in `node.child_embedings_variance`) has a norm below ``variance`` x token-set length,
        and no child of value >= 0, gets one more. Code: 20, .03.
    commit : "visits" or "sample"
        Make the move to the most visited child (code) or sample one by normalised visits (§3).
    max_new_tokens : int
        Length of a reply at most.
    stop : tuple of str
        Texts that begin a new turn and end the reply.
    budget : int, optional
        Searches of every move, replacing ``max_searches`` and ``floor``. The early stop stays.
    lanes : int
        Simulations under way at a time: those beyond the first guess which leaves the search will need. Changes the
        cost and never the result (ours).
    """

    max_searches: int = 50
    floor: int = 15
    min_visits: int = 6
    threshold: float = 0.8
    exploration: float = 2.0
    first_play: float = 0.0
    lengths: tuple[int, ...] = (1, 2, 4, 10)
    candidates: int = 10
    tries: int = 9
    added_tries: int = 1
    top_k: int = 15
    temperature: float = 1.0
    root_mix: float = 0.25
    rollout_ends: str = ",.?:;\n"
    rollout_tokens: int = 64
    simulate_ended: bool = False
    evaluate_root: bool = True
    similarity: float = 0.95
    similarity_weight: float = 0.2
    embedded_text: Literal["node", "reply"] = "node"
    max_children: int = 20
    variance: float = 0.03
    commit: Literal["visits", "sample"] = "visits"
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ("\n\nHuman:", "\nHuman:", "\nUser:")
    budget: int | None = None
    lanes: int = 4

    def __post_init__(self):
        least = {
            "max_searches": 1, "floor": 0, "min_visits": 0, "candidates": 1, "tries": 0, "added_tries": 0,
            "top_k": 0, "rollout_tokens": 0, "max_children": 0, "max_new_tokens": 1, "lanes": 1,
        }  # fmt: skip
        rules = [(name, getattr(self, name) >= low, f"at least {low}") for name, low in least.items()] + [
            ("budget", self.budget is None or self.budget >= 1, "at least 1 search a move, or None"),
            ("lengths", self.lengths and min(self.lengths) >= 1, "at least one length, each at least 1"),
            ("temperature", self.temperature > 0, "a positive number"),
            ("root_mix", 0 <= self.root_mix <= 1, "a share between 0 and 1"),
            ("embedded_text", self.embedded_text in ("node", "reply"), "'node' or 'reply'"),
            ("commit", self.commit in ("visits", "sample"), "'visits' or 'sample'"),
        ]
        for name, holds, wanted in rules:
            if not holds:
                raise UsageError(f"RainSettings({name}={getattr(self, name)!r}): give {wanted}")

    @classmethod
    def paper(cls, task: str = "hh", **changes) -> "RainSettings":
        """The reference code's constants for "hh", "advbench" or "truthfulqa"; ``changes`` replace fields."""
        if task not in TASKS:
            raise UsageError(f"RainSettings.paper({task!r}): the paper's tasks are {', '.join(TASKS)}")
        preset = {
            "hh": {},
            "advbench": {"min_visits": 5, "temperature": 2.0, "tries": 19, "added_tries": 3},
            "truthfulqa": {"min_visits": 16, "rollout_ends": ""},
        }[task]
        return cls(**{**preset, **changes})

    @classmethod
    def embedded(cls, **changes) -> "RainSettings":
        """For small models on a CPU: 12 searches a move, replies of 32 tokens, short simulations; all else, what a node
        embeds, where a simulation ends and the search of the root included, is the code's as in ``paper("hh")``.
        """
        return cls(**{"budget": 12, "max_new_tokens": 32, "rollout_tokens": 24, **changes})

    def with_(self, **changes) -> "RainSettings":
        """These settings with some fields replaced."""
        return replace(self, **changes)

    def searches(self, visits: int) -> Sequence[int]:
        """The search numbers of a move whose root has been visited ``visits`` times."""
        if self.budget is not None:
            return range(self.budget)
        return range(visits, max(self.max_searches, visits + self.floor))

    @property
    def embeds(self) -> bool:
        """Whether the search needs sentence embeddings."""
        return self.similarity <= 1
