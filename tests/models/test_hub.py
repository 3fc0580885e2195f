"""Hub ids, against a small hub of our own on this machine: what is fetched, what is pinned, what is left alone."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = """
import json
from workbench.models import fit, load
guess = fit("org/tiny", length=32)
model = load("org/tiny")
report = model.report
print(json.dumps([report.identity, report.source, report.parameters, guess.parameters,
                  model.logprobs(["a b"], [["c"]])[0][0].total]))
"""


@pytest.fixture
def hub(tmp_path):
    """A server with the addresses of the hub's API that fetching a model uses; `asked` collects the paths."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder, asked = tmp_path / "repo", []
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2, "c": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle nobody should fetch")
    (folder / "modeling_own.py").write_text("raise SystemExit('ran')")

    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Quiet."""

        def answer(self, data: bytes, headers: dict, body: bool, status: int = 200):
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def respond(self, body: bool):
            path = urlsplit(self.path).path
            asked.append(path)
            files = sorted(folder.iterdir())
            if path.startswith("/api/models/org/tiny/tree/"):
                found = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in files]
            elif path.startswith("/api/models/org/tiny"):
                siblings = [{"rfilename": f.name, "size": f.stat().st_size} for f in files]
                found = {"id": "org/tiny", "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
            elif path.startswith(f"/org/tiny/resolve/{COMMIT}/") and (folder / path.rsplit("/", 1)[1]).is_file():
                data = (folder / path.rsplit("/", 1)[1]).read_bytes()
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{abs(hash(path)):040x}"'}
                given = self.headers.get("Range")
                if given:
                    first, last = given.removeprefix("bytes=").split("-")
                    total, data = len(data), data[int(first) : int(last or len(data)) + 1]
                    end = int(first) + len(data) - 1
                    return self.answer(data, headers | {"Content-Range": f"bytes {first}-{end}/{total}"}, body, 206)
                return self.answer(data, headers, body)
            else:
                return self.answer(b"{}", {"X-Error-Code": "EntryNotFound"}, body, 404)
            return self.answer(json.dumps(found).encode(), {"Content-Type": "application/json"}, body)

        def do_GET(self):
            self.respond(True)

        def do_HEAD(self):
            self.respond(False)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_hub_model_at_one_commit_and_then_without_network(hub, tmp_path):
    address, asked = hub
    home = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment = {**os.environ, **home, "HF_ENDPOINT": address, "WORKBENCH_CACHE": str(tmp_path / "cache")}

    def run(**changed):
        return subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=180, env=environment | changed
        )  # fmt: skip

    first = run()
    assert first.returncode == 0, first.stderr[-3000:]
    identity, source, parameters, guessed, total = json.loads(first.stdout.splitlines()[-1])
    assert identity == f"commit:{COMMIT}" and source == "hub: org/tiny" and parameters == guessed > 0
    fetched = {path.rsplit("/", 1)[1] for path in asked if "/resolve/" in path}
    assert "model.safetensors" in fetched and not {"pytorch_model.bin", "modeling_own.py"} & fetched
    again = run(HF_ENDPOINT="http://127.0.0.1:9")
    assert again.returncode == 0, again.stderr[-3000:]
    assert "taken from this machine's copy" in again.stderr
    assert json.loads(again.stdout.splitlines()[-1])[0] == identity
    assert json.loads(again.stdout.splitlines()[-1])[4] == pytest.approx(total)
