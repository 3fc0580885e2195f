"""Folders that are not what they seem: pipes, JSON that is none, templates without an end, kernels of the hub."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from workbench import load, load_encoder
from workbench.errors import ModelError
from workbench.models.files.names import encoder_folder


@pytest.fixture(scope="module")
def whole(zoo):
    return zoo("llama")


@pytest.fixture
def copied(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "generation_config.json", "model.safetensors"])
def test_a_pipe_is_refused_and_not_read(copied, name):
    (copied / name).unlink()
    os.mkfifo(copied / name)
    with pytest.raises(ModelError, match=f"its {name} is a pipe or a device"):
        load(str(copied))


def test_a_pipe_in_an_encoder_and_an_adapter(copied, tmp_path):
    encoder = shutil.copytree(encoder_folder("minilm").path, tmp_path / "encoder")
    (encoder / "1_Pooling" / "config.json").unlink()
    os.mkfifo(encoder / "1_Pooling" / "config.json")
    with pytest.raises(ModelError, match=r"its config\.json is a pipe or a device"):
        load_encoder(str(encoder))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    os.mkfifo(adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"its adapter_model\.safetensors is a pipe or a device"):
        load(str(copied), adapter=adapter)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize(
    "text, said",
    [("[1]", "holds a list"), ("3", "holds a int"), ("[" * 10**5, "nested too deeply"), ("{", "is damaged"),
     ('{"a":' * 200 + "1" + "}" * 200, "nested too deeply")],
    ids=["list", "number", "brackets", "cut", "objects"],
)  # fmt: skip
def test_json_that_is_no_object(copied, name, text, said):
    (copied / name).write_text(text)
    with pytest.raises(ModelError, match=rf"its {name} .*{said}"):
        load(str(copied))


def test_a_header_of_brackets(copied):
    deep = b"[" * 10**5
    (copied / "model.safetensors").write_bytes(len(deep).to_bytes(8, "little") + deep)
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load(str(copied))


@pytest.mark.parametrize("where", ["_attn_implementation", "attn_implementation", "experts_implementation"])
def test_a_kernel_of_the_hub_is_refused(copied, where):
    edit(copied / "config.json", **{where: "owner/kernel"})
    with pytest.raises(ModelError, match=f"wants 'owner/kernel' of the hub as {where}"):
        load(str(copied))


def test_the_attention_is_not_the_files_to_choose(copied):
    edit(copied / "config.json", _attn_implementation="eager")
    assert load(str(copied)).module.config._attn_implementation == "sdpa"


def template(folder, text):
    (folder / "chat_template.jinja").write_text(text)
    return load(str(folder))


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% set all = namespace(x='ab') %}{% for i in range(99) %}{% set all.x = all.x ~ all.x %}{% endfor %}",
        "{{ 'x' * 10000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
    ],
)
def test_a_template_without_an_end(copied, monkeypatch, text):
    from workbench.models import template as bounds

    monkeypatch.setattr(bounds, "SECONDS", 0.5)
    monkeypatch.setattr(bounds, "GROWTH", 2**27)
    model = template(copied, text)
    with pytest.raises(ModelError, match=r"the chat template of .* does not come to an end"):
        model.generate([[{"role": "user", "content": "hello"}]], max_new_tokens=1)


def test_an_ordinary_template_is_filled_as_ever(copied):
    text = "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ ' ' * 2 }}{% endfor %}"
    model = template(copied, text + "{% if add_generation_prompt %}>{% endif %}")
    ids = model.prompt_ids([{"role": "user", "content": "hi"}])
    assert model.tokenizer.decode(ids) == "user: hi  >"


def test_no_package_exports_a_name_that_is_also_one_of_its_modules():
    """The module would hide the function as soon as anything imports it."""
    code = """
import importlib, pkgutil, types, workbench
for info in [None, *pkgutil.walk_packages(workbench.__path__, "workbench.")]:
    if info is not None and not info.ispkg:
        continue
    package = importlib.import_module("workbench" if info is None else info.name)
    inside = {one.name for one in pkgutil.iter_modules(package.__path__)}
    for name in set(getattr(package, "__all__", ())) & inside:
        if not isinstance(getattr(package, name), types.ModuleType) or package.__name__ != "workbench":
            print(package.__name__, name)
import workbench.models.memory
print(callable(workbench.models.fit))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "True\n"
