"""EMO in two processes (gloo, CPU) gives the weights that one process over all rows gives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from emo_two import RATE, ROWS, STEPS, tiny

from workbench.papers.emo import VARIANTS, emo_loss

HERE = Path(__file__).resolve().parent


def by_hand(tied):
    """SGD over whole logits, four rows a step, in this process."""
    model = tiny(tied).train()
    optimiser = torch.optim.SGD(model.parameters(), RATE)
    for step in range(STEPS):
        ids = torch.tensor([row["input_ids"] for row in ROWS[4 * step : 4 * step + 4]])
        logits = model(input_ids=ids, use_cache=False).logits
        emo_loss(logits, ids, model.lm_head.weight, **VARIANTS["emo1_adaptive"].settings).backward()
        optimiser.step()
        optimiser.zero_grad()
    return model.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["trainer", "head", "root-tied"])
def test_two_processes_train_as_one(kind, tmp_path):
    out = tmp_path / "weights.pt"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(HERE / "emo_two.py"), kind, str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}, cwd=tmp_path, timeout=300,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "returned a view" not in done.stderr
    found, wanted = torch.load(out), by_hand(kind.endswith("tied"))
    start = tiny(kind.endswith("tied")).state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)
    assert (found["lm_head.weight"] - start["lm_head.weight"]).abs().max() > 1e-3
