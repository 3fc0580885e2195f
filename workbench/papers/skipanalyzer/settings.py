"""The sizes of a run, and what else of the parameters can be checked early."""

from ...profiles import Choice, File, Profiles, Size, Text

CONTEXTS = ("method", "callees", "message")

PROFILES = Profiles(
    {
        "source": File(folder=True),
        "sarif": File(),
        "jleaks": File(),
        "classpath": Text(r"[^\n\x00]*", 'jars and folders with ":" between them'),
        "patcher": Choice(("rule", "model")),
    },
    # pairs of methods of each kind, in the half that is reported
    pairs=Size(3, 10, 10, 10, least=2, most=10),
    # true-and-false examples in a prompt: one run of the questions for each number
    shots=Size([0], [0, 1], [0, 1, 3], [0, 1, 3], least=0, most=4, item="number of examples"),
    # what a warning's question shows
    contexts=Size(["message"], list(CONTEXTS), list(CONTEXTS), list(CONTEXTS), choices=CONTEXTS, item="context"),
    # tokens of an explanation before the verdict; one more run of the questions
    explanation=Size(0, 0, 48, 200, least=8, zero=True),
    # warned methods with a bug to patch, of twelve
    patched=Size(1, 12, 12, 12, least=0, most=12),
    patch_tokens=Size(64, 224, 320, 512, least=16),
)
