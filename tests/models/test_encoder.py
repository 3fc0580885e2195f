"""Sentence vectors, against mean pooling written out."""

import json
import shutil

import numpy as np
import pytest
import torch

from workbench import load_encoder
from workbench.errors import ModelError
from workbench.models.files.names import encoder_folder


def by_hand(encoder, text):
    """all-MiniLM-L6-v2 as its card defines it: mean of the token states, then length one."""
    ids = encoder.tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
    with torch.no_grad():
        states = encoder.module(**ids).last_hidden_state[0]
    mean = states.mean(0)
    return (mean / mean.norm()).numpy()


def test_vectors_are_the_mean_of_the_token_states(minilm):
    long = "A much longer sentence, so that the others are padded in the batch."
    texts = ["A cat sat on the mat.", "", "Rain.", long, "x " * 900]
    found = minilm.embed(texts)
    assert found.shape == (5, 384) and found.dtype == np.float32 and minilm.width == 384
    for vector, text in zip(found, texts, strict=True):
        np.testing.assert_allclose(vector, by_hand(minilm, text), atol=1e-5)


def test_nothing_in_nothing_out(minilm):
    assert minilm.embed([]).shape == (0, 384)
    with pytest.raises(ModelError, match="not one text"):
        minilm.embed("text")
    with pytest.raises(ModelError, match="reads texts, not int"):
        minilm.embed(["a", 3])


def test_a_folder_is_the_same_encoder(minilm, tmp_path):
    folder = shutil.copytree(encoder_folder("minilm").path, tmp_path / "mine")
    mine = load_encoder(str(folder))
    assert mine.identity == minilm.identity
    np.testing.assert_array_equal(mine.embed(["a"]), minilm.embed(["a"]))
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-10])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_encoder(str(folder))
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="only as pickles"):
        load_encoder(str(folder))
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "own.Module"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match="wants to run code"):
        load_encoder(str(folder))


def test_names_that_are_no_encoder(tmp_path):
    with pytest.raises(ModelError, match="not a sentence encoder"):
        load_encoder("smollm2")
    with pytest.raises(ModelError, match=r"no encoder's folder"):
        load_encoder(str(tmp_path))
