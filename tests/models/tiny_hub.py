"""A small hub of our own on this machine: the addresses of the hub's API that fetching a model uses, and its faults."""

import json
from urllib.parse import urlsplit

from local_http import LocalServer, QuietHandler

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class TinyHub(LocalServer):
    """A hub that holds the model org/tiny, random and one layer deep; `url` is its address.

    Attributes
    ----------
    asked
        (path, the header Range or None) of every request.
    fault
        None, or what every request meets that ends in ``fault[0]`` ("" is every one): (ending, status, headers, body),
        or (ending, "cut", bytes): the answer breaks off after so many bytes, once.
    """

    def __init__(self, folder, *, width=16, inner=16):
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=16, hidden_size=width, intermediate_size=inner, num_hidden_layers=1, num_attention_heads=2
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
        words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2, "c": 3}, unk_token="[UNK]"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)
        (folder / "pytorch_model.bin").write_bytes(b"a pickle nobody should fetch")
        (folder / "modeling_own.py").write_text("raise SystemExit('ran')")
        super().__init__(Handler)
        self.folder, self.asked, self.fault = folder, [], None
        self.start()


class Handler(QuietHandler):
    def answer(self, data: bytes, headers: dict, body: bool, status: int = 200, cut: int | None = None):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data[:cut])

    def respond(self, body: bool):
        hub, path = self.server, urlsplit(self.path).path
        given, cut = self.headers.get("Range"), None
        hub.asked.append((path, given))
        if hub.fault is not None and path.endswith(hub.fault[0]):
            _, *what = hub.fault
            if what[0] != "cut":
                status, headers, said = what
                return self.answer(said, headers, body, status)
            if body and not given:  # the header alone is asked for by range
                cut, hub.fault = what[1], None
        files = sorted(hub.folder.iterdir())
        if path.startswith("/api/models/org/tiny/tree/"):
            found = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in files]
        elif path.startswith("/api/models/org/tiny"):
            siblings = [{"rfilename": f.name, "size": f.stat().st_size} for f in files]
            found = {"id": "org/tiny", "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
        elif path.startswith(f"/org/tiny/resolve/{COMMIT}/") and (hub.folder / path.rsplit("/", 1)[1]).is_file():
            data = (hub.folder / path.rsplit("/", 1)[1]).read_bytes()
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{abs(hash(path)):040x}"'}
            if given:
                first, last = given.removeprefix("bytes=").split("-")
                total, data = len(data), data[int(first) : int(last or len(data)) + 1]
                end = int(first) + len(data) - 1
                return self.answer(data, headers | {"Content-Range": f"bytes {first}-{end}/{total}"}, body, 206, cut)
            return self.answer(data, headers, body, cut=cut)
        else:
            return self.answer(b"{}", {"X-Error-Code": "EntryNotFound"}, body, 404)
        return self.answer(json.dumps(found).encode(), {"Content-Type": "application/json"}, body)

    def do_GET(self):
        self.respond(True)

    def do_HEAD(self):
        self.respond(False)
