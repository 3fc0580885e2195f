"""Each error users meet, caused for real wherever this machine can cause it, is one sentence of advice."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

from workbench import load, load_encoder
from workbench.errors import ModelError
from workbench.models.files import names, sources
from workbench.models.prefix.tree import shared_tree
from workbench.models.problems import advice, explain


def one_sentence(error) -> str:
    """The message, checked to be one line without a library's traceback in it."""
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text and len(text) < 420
    return text


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A small random GPT-2, whose layers are Conv1D, with a word-level tokenizer made here."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("gpt2") / "tiny-gpt2"
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=64)).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2, "c": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.fixture
def copy(gpt2, tmp_path):
    """A copy one may spoil."""
    return shutil.copytree(gpt2, tmp_path / "copy")


def test_gpt2_works_and_learned_positions_are_packed_too(gpt2):
    model = load(str(gpt2))
    found = model.logprobs(["a b"], [["c a", "b"]])[0]
    ids = [*model.tokenizer("a b c a")["input_ids"]]
    with torch.no_grad():
        logs = model.module(torch.tensor([ids])).logits[0].log_softmax(-1)
    assert found[0].logprobs == pytest.approx([float(logs[1, ids[2]]), float(logs[2, ids[3]])], abs=1e-4)
    assert shared_tree(model).reuse
    with pytest.raises(ModelError, match="no chat template"):
        model.generate(["a"], max_new_tokens=1, chat=True)
    with pytest.raises(ModelError, match=r"with 64 new ones 65, but .* reads at most 64: shorten"):
        model.generate(["a"], max_new_tokens=64)


def test_nothing_to_quantise(gpt2, tmp_path, monkeypatch, capsys):
    """transformers may or may not replace Conv1D; where it leaves nothing quantised the reason is said."""
    import transformers

    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    original = transformers.AutoModelForCausalLM.from_pretrained
    model = load(str(gpt2), bits=4)
    if model.report.quantised:  # this transformers does; then cause what older ones do
        monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "second"))

        def whole(folder, **options):
            options.pop("quantization_config", None)
            return original(folder, **options)

        monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", whole)
        capsys.readouterr()
        model = load(str(gpt2), bits=4)
    assert model.report.quantisation is None and model.report.dtype == "float32"
    assert "GPT-2's are Conv1D" in capsys.readouterr().err
    with pytest.raises(ModelError, match=r"Conv1D.*strict=True") as error:
        load(str(gpt2), bits=4, strict=True)
    one_sentence(error)


@pytest.mark.parametrize("where", ["header", "middle", "end"])
def test_a_truncated_safetensors_file(copy, where):
    file = copy / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: {"header": 5, "middle": len(data) // 2, "end": len(data) - 1}[where]])
    with pytest.raises(ModelError, match=r"model\.safetensors is not a whole safetensors file") as error:
        load(str(copy))
    one_sentence(error)


@pytest.mark.parametrize("cut", [3, 1000, 90_000_000])
def test_a_truncated_gguf_file(tmp_path, cut):
    with open(names.resolve("smollm2").path, "rb") as whole:
        (tmp_path / "cut.gguf").write_bytes(whole.read(cut))
    with pytest.raises(ModelError, match=r"cut\.gguf is not a whole GGUF file") as error:
        load(str(tmp_path / "cut.gguf"))
    one_sentence(error)


def test_a_file_that_only_says_it_is_gguf(tmp_path):
    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(range(256)) * 40)
    with pytest.raises(ModelError, match="not a whole GGUF file"):
        load(str(tmp_path / "fake.gguf"))


def test_pickled_weights_are_refused_unread(copy):
    """The pickle would leave a mark if anything read it."""
    mark = copy / "mark"

    class Harm:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    (copy / "model.safetensors").unlink()
    torch.save(Harm(), copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only as pickles \(pytorch_model\.bin\)") as error:
        load(str(copy))
    one_sentence(error)
    assert not mark.exists()


def test_remote_code_is_refused_unrun(copy):
    config = json.loads((copy / "config.json").read_text())
    mark = copy / "mark"
    (copy / "own.py").write_text(f"open({str(mark)!r}, 'w')\nclass Own: pass\n")
    config |= {"model_type": "homemade", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="wants to run code that comes with its files") as error:
        load(str(copy))
    one_sentence(error)
    assert not mark.exists()


def test_code_of_its_own_is_ignored_where_transformers_has_the_architecture(copy):
    config = json.loads((copy / "config.json").read_text())
    mark = copy / "mark"
    (copy / "own.py").write_text(f"open({str(mark)!r}, 'w')\nclass Own: pass\n")
    config |= {"auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (copy / "config.json").write_text(json.dumps(config))
    assert type(load(str(copy)).module).__name__ == "GPT2LMHeadModel"
    assert not mark.exists()


def test_wrong_folders(tmp_path, copy):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load(str(tmp_path))
    with pytest.raises(ModelError, match=r"there is one in copy/"):
        load(str(copy.parent))
    (copy / "config.json").write_text('{"model_type": "gp')
    with pytest.raises(ModelError, match=r"config\.json is damaged"):
        load(str(copy))
    (copy / "config.json").write_text('{"model_type": "not-known-at-all"}')
    with pytest.raises(ModelError, match="transformers does not know") as error:
        load(str(copy))
    one_sentence(error)
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \*\.safetensors weights"):
        load(str(copy))


def test_an_encoder_is_no_text_writer():
    folder = names.encoder_folder("minilm").path
    with pytest.raises(ModelError) as error:
        load(str(folder)).generate(["a"], max_new_tokens=1)
    assert "causal language model" in one_sentence(error)


def test_a_lost_shard(copy):
    (copy / "model.safetensors").rename(copy / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks 1 of its 2 weight files \(first model-2\.safetensors\)"):
        load(str(copy))


def test_an_embedded_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr(names, "find_spec", lambda package: None)
    for name, command in (("smollm2", "make setup"), ("gemma3-270m", "make gemma")):
        with pytest.raises(ModelError, match=command):
            load(name)
    with pytest.raises(ModelError, match="make setup"):
        load_encoder("minilm")


def test_a_hub_id_without_network(tmp_path):
    """The address is one that refuses; the sentence says where else to look."""
    script = "from workbench import load\nload('nobody/nothing-here')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env={"HF_ENDPOINT":
        "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("workbench.errors.ModelError: nobody/nothing-here cannot be fetched because the hub"), last


def test_a_gpu_that_is_not_there(gpt2, monkeypatch, capsys):
    if torch.cuda.is_available():
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load(str(gpt2), device="cuda").device.type == "cpu"
    assert "torch sees no CUDA GPU" in capsys.readouterr().err
    with pytest.raises(ModelError, match="strict=True"):
        load(str(gpt2), device="cuda", strict=True)


# what this machine cannot cause: the libraries' own words, as they raise them
WORDS = [
    (ValueError("Some modules are dispatched on the CPU or the disk. Make sure you have enough GPU RAM to fit the "
                "quantized model."), "does not fit on the GPU"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "ran out of memory: use bits=4"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to "
                  "allocate 8000000000 bytes."), "ran out of memory"),
    (MemoryError(), "ran out of memory"),
    (ImportError("Using `low_cpu_mem_usage=True`, a `device_map` or a `tp_plan` requires Accelerate: "
                 "`pip install 'accelerate>=0.26.0'`"), "pip install accelerate"),
    (ImportError("Using `bitsandbytes` 4-bit quantization requires bitsandbytes: `pip install -U bitsandbytes`"),
     "pip install -U bitsandbytes"),
    (RuntimeError("CUDA Setup failed despite GPU being available. Please run the following command to get more "
                  "information: python -m bitsandbytes"), "python -m bitsandbytes"),
    (ImportError("Using SOCKS proxy, but the 'socksio' package is not installed. Make sure to install httpx using "
                 "`pip install httpx[socks]`."), "through a SOCKS proxy without the package socksio"),
    (OSError(28, "No space left on device"), "workbench cache clear"),
    (RuntimeError("Error(s) in loading state_dict: size mismatch for lm_head.weight"), "do not belong together"),
    (OSError("You are trying to access a gated repo.\nMake sure to have access to it"), "is gated: accept its terms"),
]  # fmt: skip


@pytest.mark.parametrize("error, sentence", WORDS, ids=lambda value: type(value).__name__)
def test_the_libraries_words(error, sentence):
    with pytest.raises(ModelError) as found, advice("some/model"):
        raise error
    assert sentence in one_sentence(found) and found.value.__cause__ is error
    assert one_sentence(found).startswith("some/model ")


def test_the_hubs_own_errors():
    import httpx
    from huggingface_hub import errors

    response = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co/x"))
    for kind, sentence in (
        (errors.GatedRepoError, "is gated"),
        (errors.RepositoryNotFoundError, "is not on the hub"),
        (errors.RevisionNotFoundError, "no such revision"),
    ):
        assert sentence in str(explain(kind("said so", response=response), "org/name"))
    offline = errors.OfflineModeIsEnabled("off")
    for error in (errors.LocalEntryNotFoundError("no"), httpx.ConnectError("refused"), offline):
        assert "the hub cannot be reached" in str(explain(error, "org/name"))


def test_an_unknown_error_keeps_its_words():
    text = str(explain(KeyError("surprise"), "m"))
    assert "KeyError" in text and "surprise" in text
    with pytest.raises(ModelError, match=r"^mine$"), advice("m"):
        raise ModelError("mine")
    with pytest.raises(KeyboardInterrupt), advice("m"):
        raise KeyboardInterrupt


def test_hub_models_without_safetensors_are_refused(monkeypatch):
    """The hub's answer is given; only pickles are listed in it."""
    from types import SimpleNamespace

    import huggingface_hub

    files = [SimpleNamespace(rfilename=name, size=10) for name in ("config.json", "pytorch_model.bin")]
    info = SimpleNamespace(siblings=files, sha="0" * 40)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda self, name, **options: info)
    with pytest.raises(ModelError, match="only as pickles"):
        sources.outline("org/name", weights=True)
