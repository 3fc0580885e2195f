"""What the paper fixes, the arms of the study, the closed-class words of English, and the sizes of a run."""

from dataclasses import dataclass
from numbers import Integral
from types import MappingProxyType

from ...errors import UsageError
from ...profiles import File, Profiles, Size

_MOST = 2**15 - 1  # positions and branch numbers are int16


@dataclass(frozen=True)
class KBertSettings:
    """The paper's defaults ("card": ../shared/papers/kbert.md, which names where each was read); ours are marked."""

    max_branches: int = 2  # card: branches a matched word
    max_length: int = 256  # card: tokens of the flattened sentence tree, knowledge included
    soft_position: bool = True  # card: the trunk's counter ignores branches
    visible_matrix: bool = True  # card: a branch sees itself and its owner
    template: str = "{predicate} {object}"  # card: predicate+object for classification; "{object}" for NER
    penalty: float = -1e4  # card: added to the logits of what may not be seen, in every layer
    learning_rate: float = 2e-5  # card
    warmup: float = 0.1  # card: share of the steps
    epochs: int = 5  # card
    batch_size: int = 32  # card: 32 (classification); 16 for NER
    seed: int = 7  # card

    def __post_init__(self):
        rest = self.template.replace("{predicate}", "").replace("{object}", "")
        if "{object}" not in self.template or "{" in rest or "}" in rest:
            raise UsageError(
                f"template {self.template!r} makes no branch: write '{{predicate}} {{object}}' (classification) or "
                "'{object}'"
            )
        for name, least in (("max_branches", 0), ("max_length", 3), ("epochs", 1), ("batch_size", 1)):
            size = getattr(self, name)
            if not isinstance(size, Integral) or not least <= size <= _MOST:
                raise UsageError(f"{name}={size!r} makes no sense: give a whole number of {least} to {_MOST}")
        if not self.penalty < 0:
            raise UsageError(f"penalty={self.penalty} hides nothing: it is added to logits, so give -1e4")


@dataclass(frozen=True)
class Arm:
    """One arm of the comparison: what it reads of the graph, and which of the two devices are on."""

    name: str
    knowledge: bool
    soft_position: bool
    visible_matrix: bool
    shuffled: bool = False  # each subject has the triples of another one (`sceptic.shuffled`)
    beside: bool = False  # the triples are a second text behind [SEP], read by the plain encoder


SETTINGS = KBertSettings()
ARMS = MappingProxyType(
    {
        arm.name: arm
        for arm in (
            Arm("BERT", False, True, True),
            Arm("K-BERT", True, True, True),
            Arm("no soft position", True, False, True),
            Arm("no visible matrix", True, True, False),
            Arm("neither", True, False, False),  # the branches stand in the text as plain words
            Arm("shuffled triples", True, True, True, shuffled=True),
            Arm("sentence [SEP] facts", True, True, True, beside=True),
        )
    }
)
ABLATION = tuple(ARMS)[:5]  # the paper's own comparison; the last two arms are the sceptic's

# Closed-class words of English: articles, pronouns, prepositions, conjunctions, auxiliaries, particles. Nouns that a
# domain needs ("interest", "bill", "system"), which longer stop lists hold, are not among them.
_CLOSED = """
    a an the this that these those each every either neither some any no none all both half such other another
    i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself
    we us our ours ourselves they them their theirs themselves one ones who whom whose which what whoever whatever
    in on at by for from of off to into onto upon with within without about above across after against along amid
    among around as before behind below beneath beside besides between beyond despite down during except inside like
    near out outside over past per since through throughout till toward towards under underneath until up via
    and or but nor so yet if unless although though because while whereas whether than once when where why how
    am is are was were be been being do does did done doing have has had having will would shall should can could may
    might must ought need dare ll ve re
    not too very just only even also still again ever never always often here there then now thus hence else
    more most less least much many few several own same
"""
FUNCTION_WORDS = frozenset(_CLOSED.split())

TASKS = ("typing", "typing_two", "teaching", "own")
# how much of the study fits into 40 seconds, 3 minutes, half an hour, or a GPU's afternoon. learning_rate, epochs and
# batch_size are not the paper's (2e-5, 5, 32): with 200 sentences those would be 35 steps.
_ALL = ["typing", "typing_two", "teaching"]
PROFILES = Profiles(
    {"graph": File(words=("wordnet", "teaching")), "data": File(), "encoder": File(words=("minilm",), hub=True)},
    tasks=Size(["typing"], ["typing", "teaching"], _ALL, _ALL, choices=TASKS, item="task"),
    n_seeds=Size(1, 1, 3, 10),
    n_train=Size(12, 96, 198, 1200, least=12),
    n_test=Size(12, 96, 180, 600, least=12),
    epochs=Size(1, 5, 8, 8),
    learning_rate=Size(4e-4, 4e-4, 4e-4, 4e-4, least=1e-8, most=1),
    rates=Size(
        [], [], [1e-4, 4e-4], [5e-5, 1e-4, 2e-4, 4e-4], least=1e-8, most=1, zero=True,
        help="what each arm chooses its rate from, on held-out training entities; none: learning_rate for all",
        follows=("learning_rate", lambda rate: []),
    ),
    batch_size=Size(12, 16, 16, 16),
    top_layers=Size(1, -1, -1, -1, least=-1, help="the encoder's layers that are trained; -1 trains everything"),
    noise_seeds=Size(0, 0, 1, 10, least=0),
)  # fmt: skip
