"""Are the module's weights those in its files? All of them, none invented, none changed on the way.

What a checkpoint lacks, transformers fills in with random numbers and goes on. Here the names and shapes in the files'
headers are held against the module's own (what transformers reports counts as well, but some classes let it keep
silent), and a few rows against the values in the files. What is missing or of another shape is an error that names it;
what nothing reads is said.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch

from ..errors import ModelError
from .files.headers import Tensor
from .quantised import is_packed, is_quantised, plain

# wrappers that leave their name in the keys of what they wrap: torch.compile, FSDP, activation checkpointing, DDP
_ANYWHERE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_PREFIX = re.compile(rf"^(?:(?:module|{'|'.join(name[:-1] for name in _ANYWHERE)})\.)+")
_INSIDE = re.compile(rf"\.(?:(?:{'|'.join(name[:-1] for name in _ANYWHERE)})\.)+")
# masks and rotary frequencies that older versions saved along with the weights: computed, not learnt
_COMPUTED = re.compile(r"(rotary_emb\.inv_freq|position_ids|(attn|attention)\.(bias|masked_bias))$")
FLOATS = ("F64", "F32", "F16", "BF16")  # what a file holds weights as; anything else needs scales beside it
CHECKED = 16  # tensors whose values are held against the file
ROUNDING = {"4bit": 0.25, "8bit": 0.1}  # of quantised weights, relative; NF4 has about .09, LLM.int8 .01


def checksum(module) -> str:
    """16 hexadecimal digits that change with any value of the parameters, however it was changed (``.data`` too).

    One pass over the bytes, about a third of a second a gigabyte on one core; weights on a GPU are copied one by one.
    """
    digest = hashlib.sha256()
    packed = {id(part.weight): part for part in module.modules() if is_packed(part)}  # since their first inference
    for name, weight in module.named_parameters():
        values = plain(packed[id(weight)]) if id(weight) in packed else weight.detach()
        raw = values.cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype} {zlib.crc32(raw.numpy())}\n".encode())
    return digest.hexdigest()[:16]


def stripped(name: str) -> str:
    """A tensor's name without what torch.compile, FSDP or DDP put in front of it."""
    return _INSIDE.sub(".", _PREFIX.sub("", name))


def key_mapping(names: Iterable[str]) -> dict[str, str]:
    """from_pretrained's ``key_mapping`` (pattern -> replacement) that strips the prefixes that occur; {} for none."""
    names = list(names)
    found = {}
    if any(_PREFIX.match(name) for name in names):
        found[_PREFIX.pattern] = ""
    if any(_INSIDE.search(name) for name in names):
        found[_INSIDE.pattern] = "."
    return found


def wrapped(tensors: Iterable[str], name: str) -> str:
    """The sentence about a prefix that was stripped."""
    first = next(key for key in tensors if stripped(key) != key)
    return f"{name} names its weights as a wrapper does ({first}): read as {stripped(first)} and so on"


def read(
    kind, folder: Path, tensors: dict[str, Tensor], name: str, fall_back: Callable[..., None], *,
    new: Callable = lambda module: (), **options,
):  # fmt: skip
    """``kind.from_pretrained(folder, **options)``, held against the files' ``tensors``; ``new`` as in `verify`, of the
    module.

    Raises
    ------
    ModelError
        Weights are missing or of another shape, or the module's values are not the files'.
    """
    mapping = key_mapping(tensors)
    if mapping:
        options["key_mapping"] = mapping
    try:
        module, told = kind.from_pretrained(
            folder, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )  # shapes are refused below, by name
    except RuntimeError as error:
        lost = _parts(kind, options.get("config"), tensors) if "conversion" in str(error) else []
        if lost:
            raise lacks(name, lost, len(tensors) + len(lost)) from error
        raise
    if mapping:
        fall_back(wrapped(tensors, name))
        # otherwise the wrapper's names would come back when the module is saved
        ours = getattr(module, "_weight_conversions", None) or []
        module._weight_conversions = [one for one in ours if not set(_patterns(one)) & set(mapping)] or None
    verify(module, tensors, told, name, fall_back, new=new(module))
    return module


def verify(module, tensors: dict[str, Tensor], told: dict, name: str, fall_back, new: Sequence[str] = ()) -> None:
    """Hold a module against the files it was read from.

    Parameters
    ----------
    told
        from_pretrained's loading info (missing_keys, unexpected_keys, mismatched_keys); {} where there is none.
    new
        Beginnings of the names of weights that are not the files' business: a new head.
    """
    names = {stripped(key): key for key in tensors}
    weights = _weights(module)
    _refuse_twice(module, weights, tensors, name)
    own = lambda key: not any(key.startswith(start) for start in new)  # noqa: E731
    same: dict[int, list[str]] = {}  # tied weights are one tensor under several names
    for key, tensor in weights.items():
        same.setdefault(id(tensor), []).append(key)
    base = f"{getattr(module, 'base_model_prefix', '')}."
    at, outer = {}, None
    for key in weights:
        forms = (key, key.removeprefix(base), base + key)
        found = next((form for form in forms[: 3 if base != "." else 1] if form in names), None)
        if found is not None:
            at[key] = names[found]
            if found == base + key and getattr(module, "get_output_embeddings", lambda: None)() is not None:
                outer = outer or (names[found], key)
    lacking = [key for key in weights if not any(mate in at for mate in same[id(weights[key])])]
    states = tuple(f"{key}." for key, tensor in weights.items() if hasattr(tensor, "quant_state"))
    read = set(at.values())
    unread = [
        key for key in names if names[key] not in read and not _COMPUTED.search(key)
        and not key.startswith(states) and not key.endswith((".SCB", ".weight_format"))
    ]  # fmt: skip
    silent = set(told.get("missing_keys", ()))
    if lacking and unread and getattr(module, "_weight_conversions", True):
        # transformers renames and joins some on the way in (a mixture's experts): its own lists are right for those
        hushed = getattr(module, "_keys_to_ignore_on_load_missing", None) or []  # those it does not tell
        lacking = [key for key in lacking if key in silent or any(re.search(one, key) for one in hushed)]
        unread = sorted(told.get("unexpected_keys", unread))
    if lacking := [key for key in lacking if own(key)]:
        raise lacks(name, lacking, len(weights))
    scales = {"4bit": ("quant_state", "weight.absmax"), "8bit": ("SCB", "SCB")}
    kinds = [(key, part, is_quantised(part)) for key, part in module.named_modules()]
    bare = [
        f"{key}.{scales[kind][1]}" for key, part, kind in kinds
        if kind and getattr(part.weight, scales[kind][0], None) is None
    ]  # fmt: skip
    if bare:  # packed weights whose scales are not in the files
        raise lacks(name, bare, len(weights))
    wrong = [(key, theirs, ours) for key, theirs, ours in sorted(told.get("mismatched_keys", ())) if own(key)]
    if not wrong:  # a matrix that is quantised on the way in is not compared by transformers
        layers = {f"{key}.weight": _file_shape(part) for key, part, kind in kinds if kind}
        shapes = {key: layers.get(key, tuple(weights[key].shape)) for key in at if own(key)}
        packed = {key for key in shapes if key in layers and _is_packed(at[key], tensors)}
        wrong = [
            (key, tensors[at[key]].shape, ours) for key, ours in shapes.items()
            if key not in packed and tensors[at[key]].shape != ours
        ]  # fmt: skip
    if wrong:
        key, theirs, ours = wrong[0]
        raise ModelError(
            f"{name} and its weights do not belong together: {key} has the shape {_shape(theirs)} in the file and "
            f"{_shape(ours)} by its config.json{_more(wrong)}; fetch or save it again"
        )
    _refuse_unfinite(module, name)
    _refuse_values(module, weights, {key: where for key, where in at.items() if own(key)}, tensors, name)
    if outer:
        fall_back(f"{name} names its weights with a {base} in front ({outer[0]}): read as {outer[1]}", harmless=True)
    if _untied(module, at):
        fall_back(
            f"{name} says that its head and its embedding are one (tie_word_embeddings) and its files hold two that "
            "differ: each is read as it is", harmless=True,
        )  # fmt: skip
    if unread := [key for key in unread if own(key)]:
        optional = getattr(module, "_keys_to_ignore_on_load_unexpected", None) or []
        harmless = all(any(re.search(one, key) for one in optional) for key in unread)
        said = f"{name} holds {len(unread)} tensors that its {type(module).__name__} does not use {some(unread)}"
        fall_back(said, harmless=True) if harmless else fall_back(said)


def _weights(module) -> dict:
    """Every weight by every name it has: parameters, and the buffers that are saved."""
    found = dict(module.named_parameters(remove_duplicate=False))
    for prefix, part in module.named_modules(remove_duplicate=False):
        for key, tensor in part.named_buffers(recurse=False):
            if key not in part._non_persistent_buffers_set and not (is_quantised(part) and key != "bias"):
                found[f"{prefix}.{key}" if prefix else key] = tensor
    return found


def _refuse_twice(module, weights: dict, tensors: dict[str, Tensor], name: str) -> None:
    """Refuse files that hold a weight under two names, of which transformers takes one without a word."""
    base, seen = f"{getattr(module, 'base_model_prefix', '')}.", {}
    inner = {key.removeprefix(base) for key in weights}
    for key in tensors:
        short = stripped(key).removeprefix(base)
        if short in inner and seen.setdefault(short, key) != key:
            raise ModelError(f"{name} holds {short} twice, as {seen[short]} and as {key}: keep the right one of them")


def _refuse_unfinite(module, name: str) -> None:
    """Refuse weights with nan or infinity in them: attention can turn them into numbers that look like any others."""
    import torch

    for key, tensor in module.named_parameters():
        if not tensor.is_floating_point() or tensor.device.type == "meta" or tensor.element_size() < 2:
            continue
        total = tensor.detach().sum(dtype=torch.promote_types(tensor.dtype, torch.float32))
        if not torch.isfinite(total) and not torch.isfinite(tensor.detach()).all():
            raise unfinite(name, key)


def unfinite(name: str, key: str) -> ModelError:
    """The error about a weight that is no number."""
    return ModelError(
        f"{name} holds numbers that are not finite in {key}: its file is damaged, was cast to a type too small, or was "
        "saved after a training that diverged; use another"
    )


def not_floats(name: str, key: str, kind: str) -> ModelError:
    """The error about a weight of whole numbers that nothing says how to read."""
    return ModelError(
        f"{name} stores {key} as {kind} and its config.json has no quantization_config that says how to read it: use "
        "the unquantised model, or the config.json that belongs to these files"
    )


def _file_shape(part) -> tuple[int, int]:
    """The shape that the file has of a layer of bitsandbytes: GPT-2's Conv1D is the other way round."""
    return (part.in_features, part.out_features) if _is_turned(part) else (part.out_features, part.in_features)


def _is_turned(part) -> bool:
    from transformers.pytorch_utils import Conv1D

    return issubclass(getattr(part, "source_cls", object), Conv1D)


def _untied(module, at: dict[str, str]) -> bool:
    """Whether config.json ties the head to the embedding and the files hold one for each."""
    head = getattr(module, "get_output_embeddings", lambda: None)()
    if head is None or not getattr(module.config.get_text_config(decoder=True), "tie_word_embeddings", False):
        return False
    names = {key: part for key, part in module.named_modules() if part in (head, module.get_input_embeddings())}
    return head.weight is not module.get_input_embeddings().weight and all(f"{key}.weight" in at for key in names)


def _refuse_values(module, weights: dict, at: dict[str, str], tensors: dict[str, Tensor], name: str) -> None:
    """Compare some of the module's values with the files': rows spread over the tensor, tensors over the module."""
    import torch
    from safetensors import safe_open

    quantised = {f"{key}.weight": part for key, part in module.named_modules() if is_quantised(part)}
    chosen = []
    for key, where in at.items():
        kind, told = tensors[where].dtype, tensors[where]
        if key in quantised and _is_packed(where, tensors):
            continue
        floats = weights[key].is_floating_point() and weights[key].element_size() > 1
        if kind not in FLOATS and (key in quantised or floats):
            raise not_floats(name, where, kind)
        if key in quantised:  # what is quantised now has lost a nan, which must be found in the file
            with safe_open(told.file, "pt") as file:
                if not torch.isfinite(file.get_tensor(where)).all():
                    raise unfinite(name, where)
        elif tuple(weights[key].shape) != told.shape or weights[key].device.type == "meta":
            continue
        chosen.append(key)
    step = max(1, len(chosen) // CHECKED)
    for key in dict.fromkeys(chosen[::step] + chosen[-1:]):
        where, tensor = at[key], weights[key].detach()
        with safe_open(tensors[where].file, "pt") as file:
            if key in quantised:
                part, theirs = quantised[key], file.get_tensor(where).float()
                theirs = theirs.T if _is_turned(part) else theirs
                close = (_dequantised(part) - theirs).norm() <= ROUNDING[is_quantised(part)] * theirs.norm()
            elif tensor.dim() == 0:
                close = torch.equal(file.get_tensor(where).to(tensor.dtype), tensor.cpu())
            else:
                rows, part = sorted({0, len(tensor) // 2, len(tensor) - 1}), file.get_slice(where)
                close = all(
                    torch.equal(part[row : row + 1].to(tensor.dtype), tensor[row : row + 1].cpu())
                    for row in rows if len(tensor)
                )  # fmt: skip
        if not close:
            raise ModelError(
                f"{name} was not read rightly: {key} is not what its file says under {where}; this is a fault of the "
                "installed transformers or of the workbench, so do not trust this model here"
            )


def _is_packed(key: str, tensors: dict[str, Tensor]) -> bool:
    """Whether the file holds the weight as bitsandbytes has quantised it."""
    return f"{key}.absmax" in tensors or f"{key.removesuffix('weight')}SCB" in tensors


def _dequantised(part):
    import bitsandbytes

    if is_quantised(part) == "4bit":
        return bitsandbytes.functional.dequantize_4bit(part.weight.data, part.weight.quant_state).float().cpu()
    scale = part.weight.SCB if part.weight.SCB is not None else part.state.SCB
    return (part.weight.data.float() * scale.view(-1, 1).float() / 127).cpu()


def compare_tokenizer(tokenizer, module, name: str, notes: list[str]) -> None:
    """Refuse a tokenizer with tokens that the embedding has no row for; unused control tokens go into ``notes``."""
    rows = module.get_input_embeddings().weight.shape[0]
    added = tokenizer.added_tokens_decoder
    size = max(len(tokenizer), *(number + 1 for number in added), 0)
    if size <= rows:
        return
    beyond = [added[number] for number in range(rows, size) if number in added]
    if len(beyond) == size - rows and all(token.special for token in beyond):
        notes.append(
            f"the tokenizer's {', '.join(str(token) for token in beyond[:3])} has no row in the embedding ({size} "
            f"tokens, {rows} rows): no text may hold it"
        )
        return
    raise ModelError(
        f"{name} has a tokenizer of {size} tokens and an embedding of {rows} rows, which do not belong "
        "together: give the folder the tokenizer that the model was saved with, or resize the model's embedding"
    )


def _parts(kind, config, tensors: dict[str, Tensor]) -> list[str]:
    """Names that this architecture's files should hold and these do not, where joining them failed."""
    import torch
    from transformers.core_model_loading import revert_weight_conversion

    with torch.device("meta"):
        module = kind.from_config(config)
        wanted = revert_weight_conversion(module, module.state_dict())
    names = {stripped(key) for key in tensors}
    return sorted(key for key in wanted if key not in names)


def _patterns(conversion) -> list[str]:
    given = getattr(conversion, "source_patterns", None) or []
    return [given] if isinstance(given, str) else list(given)


def lacks(name: str, lacking: Sequence[str], total: int) -> ModelError:
    """The error about weights that no file holds."""
    return ModelError(
        f"{name} lacks {len(lacking)} of its {total} weights {some(sorted(lacking))}, which would be random numbers: "
        "its config.json and its weight files do not belong together, or are incomplete; fetch or save it again"
    )


def some(names: Sequence[str]) -> str:
    """The first three names in brackets; "" for none."""
    return f"({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""


def _more(wrong: Sequence) -> str:
    return f", and {len(wrong) - 1} more differ" if len(wrong) > 1 else ""


def _shape(shape) -> str:
    return " x ".join(map(str, shape)) or "one number"
