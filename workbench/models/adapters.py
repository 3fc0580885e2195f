"""A peft adapter (LoRA and its kin) on a model, held against its files: an adapter that does not fit changes nothing,
and peft only warns of it."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from ..errors import ModelError
from ..files import user_path
from .files.headers import Tensor, read_safetensors
from .files.sources import check_files, read_json
from .quantised import is_quantised
from .weights import FLOATS, some, unfinite

FILE = "adapter_model.safetensors"
_OUTER = "base_model.model."


def put_on(module, adapter, name: str, is_base: Callable[[str], bool], fall_back: Callable[..., None]):
    """The module with the adapter on it.

    Parameters
    ----------
    adapter
        The folder that peft's save_pretrained wrote.
    name
        The model's, for sentences.
    is_base
        Whether a name or path is the model at hand.
    fall_back
        Told where the adapter was made for another base.

    Raises
    ------
    ModelError
        The folder is no adapter's, peft is missing, or the adapter's weights are not those the model takes.
    """
    folder = user_path(adapter)
    if not (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"adapter={str(adapter)!r} has no adapter_config.json: give the folder that peft's save_pretrained wrote"
        )
    check_files(folder, f"the adapter {folder}")
    if not (folder / FILE).is_file():
        raise ModelError(f"the adapter {folder} has no {FILE} (pickles are refused): save it again with peft")
    if find_spec("peft") is None:
        raise ModelError(f"an adapter for {name} needs the package peft: `pip install peft`")
    import peft

    given = read_json(folder / "adapter_config.json", f"the adapter {folder}")
    quantised = any(map(is_quantised, module.modules()))
    _refuse_kind(given, folder)
    tensors = read_safetensors([folder / FILE]).tensors
    for key, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise ModelError(
                f"the adapter {folder} stores {key} as {tensor.dtype}, which no adapter's weights are: save it again"
            )
    _refuse_other_sizes(module, tensors, folder, name)
    try:
        adapted = peft.PeftModel.from_pretrained(module, str(folder), local_files_only=True)
    except KeyError as error:  # of a module that is trained whole: peft looks its weights up without asking
        raise ModelError(
            f"the adapter {folder} lacks {error.args[0]}, which its adapter_config.json lists among modules_to_save: "
            "save it again"
        ) from error
    except (RuntimeError, TypeError, ValueError) as error:
        if not quantised or given["peft_type"] == "LORA":
            raise
        raise _not_quantised(folder, given, name) from error
    _verify(adapted, folder, tensors, name)
    if quantised:
        _try(adapted, folder, given, name)
    base = given.get("base_model_name_or_path")
    if isinstance(base, str) and base and not is_base(base):
        fall_back(f"the adapter {folder} was made for {base}, which may be another model than {name}", harmless=True)
    return adapted


def _refuse_kind(given: dict, folder: Path) -> None:
    """Refuse an adapter that this peft does not know, or that puts tokens of its own before every text."""
    import peft

    kind = given.get("peft_type")
    known = peft.PEFT_TYPE_TO_CONFIG_MAPPING.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise ModelError(
            f"the adapter {folder} is of the kind {kind!r} by its adapter_config.json, which the installed peft does "
            "not know: give a LoRA adapter, or install the peft that wrote it"
        )
    if issubclass(known, peft.PromptLearningConfig):
        raise ModelError(
            f"the adapter {folder} is of the kind {kind}, which puts trained states before every text, so that no "
            "position is the text's own: the workbench reads adapters that change weights, such as LoRA"
        )


def _try(adapted, folder: Path, given: dict, name: str) -> None:
    """One forward: some kinds of adapters change only weights that are not packed, and trip over those that are."""
    import torch

    ids = torch.tensor([[0, 1]], device=adapted.get_input_embeddings().weight.device)
    training = adapted.training
    adapted.eval()
    try:
        with torch.no_grad():
            adapted(input_ids=ids, use_cache=False)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        raise _not_quantised(folder, given, name) from error
    finally:
        adapted.train(training)


def _not_quantised(folder: Path, given: dict, name: str) -> ModelError:
    return ModelError(
        f"the adapter {folder} is of the kind {given['peft_type']}, which the installed peft cannot compute on a "
        f"quantised model: leave bits out to use it on {name}"
    )


def _refuse_other_sizes(module, tensors: dict[str, Tensor], folder: Path, name: str) -> None:
    """An embedding or head with added tokens: both sizes are named, before peft trips over them."""
    for key, tensor in tensors.items():
        where = key.removeprefix(_OUTER)
        owner, _, kind = where.rpartition(".")
        part = _part(module, owner)
        ours = getattr(part, kind, None)
        if ours is None or getattr(ours, "ndim", 0) != len(tensor.shape) or tuple(ours.shape) == tensor.shape:
            continue
        if ours.ndim == 2 and ours.shape[1] == tensor.shape[1]:
            raise ModelError(
                f"the adapter {folder} has {tensor.shape[0]} rows in {where} and {name} has {ours.shape[0]}: tokens "
                "were added before it was trained; resize the model's embedding, save it, and load that"
            )
        raise ModelError(_foreign(folder, name, where, tensor.shape, ours.shape))


def _part(module, name: str):
    try:
        return module.get_submodule(name)
    except AttributeError:
        return None


def _verify(adapted, folder: Path, tensors: dict[str, Tensor], name: str) -> None:
    """What peft would save of the adapted model is what its file holds: the same names, the same values."""
    import peft
    import torch
    from safetensors.torch import load_file

    ours = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
    theirs = load_file(folder / FILE)
    if set(ours) != set(theirs):
        theirs = _converted(adapted, theirs)
    whole = dict(adapted.get_base_model().named_parameters(remove_duplicate=False))
    for key in set(theirs) - set(ours):  # embeddings that were saved along with the adapter
        if key.removeprefix(_OUTER) in whole:
            ours[key] = whole[key.removeprefix(_OUTER)]
    kind = getattr(adapted.active_peft_config, "peft_type", "adapter")
    kind = getattr(kind, "value", kind)
    if lost := sorted(set(ours) - set(theirs)):
        hint = ""
        if not set(ours) & set(theirs):
            hint = f"; its own names are like {min(theirs)}" if theirs else "; it is empty"
        raise ModelError(
            f"the adapter {folder} lacks {len(lost)} of the {len(ours)} weights that a {kind} adapter of {name} has "
            f"{some(lost)}{hint}: it was made for another model, or its file is incomplete"
        )
    if extra := sorted(set(theirs) - set(ours)):
        raise ModelError(
            f"the adapter {folder} holds {len(extra)} weights for which {name} has no layer {some(extra)}: it was made "
            "for another model, such as a deeper one"
        )
    for key, tensor in ours.items():
        if tensor.shape != theirs[key].shape:
            raise ModelError(_foreign(folder, name, key, theirs[key].shape, tensor.shape))
        here = tensor.detach().cpu()
        if not torch.isfinite(theirs[key]).all():
            raise unfinite(f"the adapter {folder}", key)
        if not torch.equal(here, theirs[key].to(here.dtype)):
            raise ModelError(
                f"the adapter {folder} was not read rightly: {key} is not what its file says; this is a fault of the "
                "installed peft or of the workbench, so do not trust it here"
            )


def _converted(adapted, theirs: dict) -> dict:
    """The file's tensors under the names that this version of transformers has for them (experts of a mixture)."""
    try:
        from peft.utils.transformers_weight_conversion import convert_peft_adapter_state_dict_for_transformers
    except ImportError:  # an older peft, which knows no such names
        return theirs
    name = adapted.active_adapter
    converted = convert_peft_adapter_state_dict_for_transformers(
        model=adapted, peft_config=adapted.peft_config[name], adapter_state_dict=dict(theirs), adapter_name=name
    )
    return {(key if key.startswith(_OUTER) or key in theirs else _OUTER + key): one for key, one in converted.items()}


def _foreign(folder: Path, name: str, key: str, theirs, ours) -> str:
    return (
        f"the adapter {folder} does not fit {name}: {key} has the shape {tuple(theirs)} in its file and {tuple(ours)} "
        "in the model; use the model the adapter was trained on"
    )
