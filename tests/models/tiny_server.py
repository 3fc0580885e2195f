"""A real HTTP server that speaks OpenAI's protocol over a language of three words, and injects faults on demand.

The language: each token is " Heads,", " Tails," or " x" with fixed probabilities, whatever stands before it; so every
probability, count and log-probability that the workbench reports can be written down by hand. With ``upstream`` the
answers come from another server instead, and only the faults are ours.
"""

import json
import math
import random
import threading
import time
import urllib.error
import urllib.request

from local_http import LocalServer, QuietHandler

TOKENS = {" Heads,": 0.5, " Tails,": 0.3, " x": 0.2}
START_LOGPROB = -1.0  # of any other piece of text, as an echo scores it


class TinyServer(LocalServer):
    """The server; `url` is its base_url.

    Attributes
    ----------
    faults
        What the next POST requests meet, one each; a fault in ``always`` meets all of them. See `Handler.do_POST`.
    asked
        (path, body, headers with names in lower case) of every POST.
    busiest
        The most requests that were ever answered at once.
    """

    def __init__(self, *, model="tiny", upstream=None, **abilities):
        super().__init__(Handler, "/v1")
        known = {
            "completions": True, "chat": True, "sampling": True, "seed": "repeats", "top_k": "honoured", "n": True,
            "logprobs": True, "echo": True, "models": True, "limit": "max_tokens", "generation_config": False,
            "usage": True, "pause": 0.0, "revision": "",
        }  # fmt: skip
        assert abilities.keys() <= known.keys()
        self.able, self.model, self.upstream = {**known, **abilities}, model, upstream
        self.faults, self.always, self.asked = [], None, []
        self.busy = self.busiest = 0
        self.lock = threading.Lock()
        self.start()


class Handler(QuietHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value, headers=(), kind="application/json", cut=None, length=True):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length:
            self.send_header("Content-Length", str(len(data)))
        for name, text in headers:
            self.send_header(name, text)
        if cut is not None or not length:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(data[:cut] if cut is not None else data)

    def do_GET(self):
        if self.server.able["models"]:
            self.answer(200, {"object": "list", "data": [{"id": self.server.model, "object": "model"}]})
        else:
            self.answer(500, {"detail": "Internal Server Error"})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.asked.append((self.path, body, {name.lower(): text for name, text in self.headers.items()}))
            fault = server.faults.pop(0) if server.faults else server.always
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        try:
            time.sleep(server.able["pause"])
            self.meet(fault, body)
        finally:
            with server.lock:
                server.busy -= 1

    def meet(self, fault, body):
        kind, *details = fault or ("none",)
        if kind == "status":
            status, headers, said = (*details, (), {"error": {"message": "no"}})[:3] if len(details) < 3 else details
            return self.answer(status, said, headers)
        if kind == "slow":
            time.sleep(details[0])
        if kind == "raw":
            return self.answer(200, details[0], kind=details[1] if len(details) > 1 else "application/json")
        if kind == "error without end":
            self.send_response(details[0])
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(b" " * 65536)
                    time.sleep(details[1])
            except OSError:
                return None
        if kind == "packed":  # says gzip, and is none
            return self.answer(details[0], b"no gzip", [("Content-Encoding", "gzip")])
        if kind == "hang up":
            self.close_connection = True
            return self.connection.close()
        status, value = self.forward(body) if self.server.upstream else self.compute(body)
        if kind == "as":
            value["model"] = details[0]
        if kind == "no choices":
            value["choices"] = []
        if kind == "drip":  # a byte now and then: each read is quick, the whole never ends
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            for place in range(len(data)):
                self.wfile.write(data[place : place + 1])
                self.wfile.flush()
                time.sleep(details[0])
            return None
        half = len(json.dumps(value)) // 2
        if kind == "cut":
            return self.answer(status, value, cut=half)
        if kind == "cut without length":
            return self.answer(status, json.dumps(value).encode()[:half], length=False)
        return self.answer(status, value)

    def forward(self, body):
        request = urllib.request.Request(
            self.server.upstream + self.path.removeprefix("/v1"), json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, {"detail": error.read().decode()}

    def compute(self, body):
        able = self.server.able
        chat = self.path.endswith("/chat/completions")
        if not able["chat" if chat else "completions"]:
            return 404, {"error": {"message": f"no {self.path} here"}}
        if body["model"] != self.server.model:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        for name in ("seed", "top_k"):
            if name in body and able[name] == "refused":
                return 400, {"error": {"message": f"Unrecognized request argument supplied: {name}"}}
        if chat and able["limit"] != "max_tokens" and "max_tokens" in body:
            return 400, {"error": {"message": "Unsupported parameter: use 'max_completion_tokens' instead."}}
        if able["n"] is not True and body.get("n", 1) > able["n"] > 0:  # a number: no more than that at once
            return 400, {"error": {"message": f"n must be at most {able['n']}"}}
        config = json.loads(body.get("generation_config", "{}")) if able["generation_config"] else {}
        sampling = able["sampling"] or config.get("do_sample")
        temperature = config.get("temperature", body.get("temperature", 1.0))
        top_k = config.get("top_k", body.get("top_k", 0)) if able["top_k"] == "honoured" or config else 0
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or 4
        seed = body.get("seed") if able["seed"] == "repeats" else None
        rng = random.Random(seed) if seed is not None else random
        prompt = body.get("prompt", "")
        count = body.get("n", 1) if able["n"] else 1
        choices = [self.choice(rng, body, prompt, sampling and temperature > 0, top_k, limit, i) for i in range(count)]
        answer = {"id": "x", "object": "x", "created": 1, "model": self.server.model + able["revision"]}
        answer["choices"] = choices
        if able["usage"]:
            answer["usage"] = {
                "prompt_tokens": 7,
                "completion_tokens": limit * count,
                "total_tokens": 7 + limit * count,
            }
        return 200, answer

    def choice(self, rng, body, prompt, sampling, top_k, limit, index):
        able, chat = self.server.able, "messages" in body
        names = list(TOKENS)[: top_k if top_k > 0 else None]
        weights = [TOKENS[name] for name in names]
        drawn = rng.choices(names, weights, k=limit) if sampling else ["Heads,"] * limit
        text, finish = "".join(drawn), "length"
        for string in body.get("stop") or ():
            if string in text:
                text, finish = text[: text.index(string)], "stop"
        logprobs = [math.log(TOKENS.get(token, 0.5)) for token in drawn]
        if chat:
            made = {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
            if able["logprobs"] and body.get("logprobs"):
                made["logprobs"] = {"content": [{"token": t, "logprob": v} for t, v in zip(drawn, logprobs)]}
            return made
        made = {"index": index, "text": text, "finish_reason": finish, "logprobs": None}
        if body.get("echo") and able["echo"]:
            pieces = split(prompt)
            values = [None, *(score(piece) for piece in pieces[1:])]
            made["text"] = prompt + text
            made["logprobs"] = {"tokens": pieces + drawn, "token_logprobs": values + logprobs}
        elif able["logprobs"] and body.get("logprobs") is not None:
            made["logprobs"] = {"tokens": drawn, "token_logprobs": logprobs}
        return made


def split(text):
    """A text's tokens: words with the space before them."""
    pieces = []
    for letter in text:
        if letter == " " or not pieces:
            pieces.append(letter)
        else:
            pieces[-1] += letter
    return pieces


def score(piece):
    """The log-probability of a piece of an echoed text."""
    return math.log(TOKENS[piece]) if piece in TOKENS else START_LOGPROB
