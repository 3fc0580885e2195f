"""Nothing opens a non-loopback connection unless a hub id or a server was named.

An audit hook (PEP 578) is put into every Python process of a run through sitecustomize: it writes each name lookup
and each connection of a socket to a file. One test shows that the hook sees what it should, the others that there is
nothing.
"""

import ipaddress
import os
import subprocess
import sys
import textwrap

import pytest

HOOK = textwrap.dedent("""
    import os, sys

    def watch(event, arguments):
        if event == "socket.getaddrinfo":
            address = arguments[0]
        elif event in ("socket.connect", "socket.sendto"):
            address = arguments[1]
        elif event == "socket.gethostbyname":
            address = arguments[0]
        else:
            return
        with open(os.environ["WATCHED_CONNECTIONS"], "a") as file:
            file.write(f"{event}\\t{address[0] if isinstance(address, tuple) else address}\\n")

    if os.environ.get("WATCHED_CONNECTIONS"):
        sys.addaudithook(watch)
""")


@pytest.fixture
def watched(tmp_path):
    """An environment whose Python processes tell of their connections, and a function that lists the outward ones."""
    hooks, log = tmp_path / "hooks", tmp_path / "connections.tsv"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK)
    log.touch()
    environment = {**os.environ, "PYTHONPATH": str(hooks), "WATCHED_CONNECTIONS": str(log)}
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        environment.pop(name, None)  # the promise must hold without the user's help

    def outward():
        hosts = [line.split("\t")[1] for line in log.read_text().splitlines()]
        return [host for host in hosts if not is_local(host)]

    return environment, outward, log


def is_local(host):
    if host in ("localhost", "None", "") or host.startswith(("/", "b'")):  # a path is a UNIX socket
        return True
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def python(code, environment):
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_the_hook_sees_a_named_hub_model(watched):
    environment, outward, _ = watched
    environment["HF_ENDPOINT"] = "http://hub.invalid"  # a name that no resolver knows (RFC 2606)
    done = python("import workbench as wb; wb.load('someone/some-model')", environment)
    assert done.returncode != 0
    assert "hub.invalid" in outward(), done.stderr[-500:]


def test_embedded_models_open_no_connection(watched):
    environment, outward, log = watched
    code = """
import workbench as wb
model = wb.load("smollm2", bits=4)
model.generate(["1 2 3"], max_new_tokens=2)
wb.load_encoder("minilm").embed(["a"])
import socket
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError:
    print("tried")
"""
    done = python(code, environment)
    assert done.returncode == 0, done.stderr[-800:]
    assert "127.0.0.1" in log.read_text(), "the hook was not active"
    assert outward() == []


def test_a_whole_run_opens_no_connection(watched, tmp_path):
    environment, outward, _ = watched
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "run", "start", "--profile", "smoke", "--out", tmp_path / "runs"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-800:]
    assert outward() == []
