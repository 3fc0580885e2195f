"""A generator by its name."""

import os
import re
from collections.abc import Sequence

from ....errors import UsageError
from ....files import user_path
from ....models.files.catalogue import known
from ..corpus.corpus import Corpus, TracedTheorem
from .base import Generator
from .fixed import Fixed, majority_tactic
from .neighbours import Neighbours

GENERATORS = ("neighbours", "fixed", "commonest", "small", "lora")
TUNED = "smollm2"  # what "lora" alone is made of


def generator(
    spec, corpus: Corpus, theorems: Sequence[TracedTheorem], *, seed: int = 0, base_url: str | None = None
) -> Generator:
    """Open a generator of tactics; one that is trained is trained now.

    Parameters
    ----------
    spec
        - "neighbours" (or None): copies the tactics of similar training states; "fixed": a list; "commonest": one;
        - "small": an encoder-decoder, the kept one of this training part or else trained now (minutes);
        - "lora", "lora:MODEL": adapters on smollm2 or MODEL;
        - a folder: what `Small.save` wrote, an encoder-decoder, or a causal model; a hub id of either; a model's name;
        - "openai:NAME": a model on the server at ``base_url``, prompted with training steps;
        - a handle of `workbench.load` or `load_seq2seq`, or a generator (it is given back).
    theorems
        The training part, and nothing else.

    Raises
    ------
    UsageError
        No text and no handle, or a word that is no generator's name.
    ModelError
        A model cannot be read, or has its weights only as pickles.
    """
    if hasattr(spec, "propose"):
        return spec
    if spec in (None, "neighbours"):
        return Neighbours(theorems)
    if spec == "fixed":
        return Fixed()
    if spec == "commonest":
        return Fixed([majority_tactic(theorems)])
    from ....models import load
    from ....models.seq2seq import NoEncoderDecoder, Seq2Seq, load_seq2seq
    from .language_model import Encoded, Prompted, tuned
    from .small import ABOUT, opened, shipped, trained

    if spec == "small":
        return shipped(corpus, theorems, seed) or trained(corpus, theorems, seed=seed)
    if isinstance(spec, Seq2Seq):
        return Encoded(spec)
    if hasattr(spec, "generate"):
        return Prompted(spec, theorems, seed=seed)
    if not isinstance(spec, str | os.PathLike):
        raise UsageError(f"{spec!r} is no generator: give a name ({', '.join(GENERATORS)}), a folder or a handle")
    spec = os.fspath(spec)
    if spec == "lora" or spec.startswith("lora:"):
        return tuned(corpus, theorems, spec.partition(":")[2] or TUNED, seed=seed)
    folder = user_path(spec)
    if (folder / ABOUT).is_file():
        return opened(folder)
    if not re.search("[/:]", spec) and spec not in known() and not folder.exists():
        raise UsageError(f"the generator {spec!r} is unknown: give {', '.join(GENERATORS)}, a folder or a hub id")
    if spec.startswith("openai:"):
        return Prompted(load(spec, base_url=base_url), theorems, seed=seed)
    try:
        return Encoded(load_seq2seq(spec))
    except NoEncoderDecoder:  # a causal model
        return Prompted(load(spec), theorems, seed=seed)
