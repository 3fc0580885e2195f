"""Where a request goes: past every proxy on this machine, said once elsewhere, and never on to another address."""

import socket
import sys
import threading

import pytest
from tiny_server import TinyServer

from workbench import load
from workbench.errors import ModelError
from workbench.models.remote import network

KEY = "planted-secret"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def direct(alone, monkeypatch):
    network._SAID.clear()
    for name in (*PROXIES, "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def running():
    with TinyServer(n=False) as tiny:
        yield tiny


@pytest.fixture
def tiny(running):
    running.faults, running.always = [], None
    running.asked.clear()
    yield running
    running.faults, running.always = [], None


@pytest.fixture(scope="module")
def spy():
    """A proxy's address, and the first bytes of everything that came there; it answers nobody."""
    heard, listener = [], socket.create_server(("127.0.0.1", 0))

    def listen():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    heard.append(connection.recv(4096))
                except OSError:
                    heard.append(b"")

    threading.Thread(target=listen, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    listener.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
def test_a_proxy_never_hears_of_a_server_on_this_machine(host, tiny, spy, monkeypatch, capfd):
    address, heard = spy
    heard.clear()
    for name in PROXIES[:6]:
        monkeypatch.setenv(name, address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = load("openai:tiny", base_url=f"http://{host}:{tiny.server_port}/v1")
    assert model.generate(["a"], max_new_tokens=1)[0][0].text == "Heads,"
    assert heard == [] and "proxy" not in capfd.readouterr().err
    assert tiny.asked[-1][2]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("host", "ours"),
    [("127.0.0.1", True), ("127.255.0.3", True), ("127.1", True), ("2130706433", True), ("0x7f.0.0.1", True),
     ("[::1]", True), ("[::ffff:127.0.0.1]", True), ("LOCALHOST", True), ("localhost.", True), ("a.localhost", True),
     ("0.0.0.0", True), ("[::]", True), ("128.0.0.1", False), ("[::ffff:8.8.8.8]", False), ("10.0.0.1", False),
     ("localhost.example.org", False), ("127.0.0.1.example.org", False), ("notlocalhost", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(host, ours, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:1")
    url = f"http://{host}:8000/v1"
    assert network.is_loopback(url) == ours
    assert network.proxy_for(url) == (None if ours else "http://proxy.example:1")


def test_elsewhere_the_proxy_is_used_and_said_once(tiny, monkeypatch, capfd):
    """The tiny server stands in for the proxy: it is asked for the whole address, as proxies are."""
    monkeypatch.setenv("HTTP_PROXY", f"http://user:hidden@127.0.0.1:{tiny.server_port}")
    for _ in range(2):
        load("openai:tiny", base_url="http://models.example/v1")
    said = capfd.readouterr().err
    line = f"requests to http://models.example/v1 go through the proxy http://127.0.0.1:{tiny.server_port}"
    assert said.count(line) == 1 and "hidden" not in said
    assert tiny.asked and all(path.startswith("http://models.example/v1/") for path, *_ in tiny.asked)
    tiny.asked.clear()
    for no_proxy in ("models.example", ".example", "*"):
        monkeypatch.setenv("NO_PROXY", no_proxy)
        with pytest.raises(ModelError, match="cannot be reached"):
            load("openai:tiny", base_url="http://models.example/v1")
    assert tiny.asked == []


def test_a_key_is_never_readable_to_a_proxy(tiny, monkeypatch):
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{tiny.server_port}")
    monkeypatch.setenv("WORKBENCH_API_KEY", KEY)
    with pytest.raises(ModelError, match=r"the key would go to the proxy http://127\.0\.0\.1:\d+, since http://models"):
        load("openai:tiny", base_url="http://models.example/v1")
    assert tiny.asked == []


def test_over_https_a_proxy_hears_the_hosts_name_alone(spy, monkeypatch):
    address, heard = spy
    heard.clear()
    monkeypatch.setenv("HTTPS_PROXY", address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ModelError, match=r"cannot be reached|broke off"):
        load("openai:tiny", base_url="https://models.example/v1")
    assert heard and all(said.startswith(b"CONNECT models.example:443 ") and KEY.encode() not in said for said in heard)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_without_its_package_is_one_sentence(scheme, monkeypatch, tiny):
    monkeypatch.setitem(sys.modules, "socksio", None)  # as where it is not installed
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:hidden@127.0.0.1:9")
    with pytest.raises(
        ModelError, match=rf"through {scheme}://127\.0\.0\.1:9, which needs .* `pip install socksio`"
    ) as told:
        load("openai:tiny", base_url="https://models.example/v1")
    assert "hidden" not in str(told.value) and "\n" not in str(told.value)
    load("openai:tiny", base_url=tiny.url)  # no proxy, no package


@pytest.mark.parametrize("proxy", ["socks4://127.0.0.1:9", "ftp://127.0.0.1:9", "http://127.0.0.1:port", "http://[::1"])
def test_a_proxy_that_is_none_is_one_sentence(proxy, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ModelError, match=r"the proxy .* cannot be used .*HTTPS_PROXY") as told:
        load("openai:tiny", base_url="https://models.example/v1")
    assert "\n" not in str(told.value)


def test_own_certificates_are_still_found(tmp_path, monkeypatch):
    """A company's proxy opens https with a certificate of its own: SSL_CERT_FILE must not be forgotten."""
    import certifi

    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    assert len(network.client_options("https://models.example/v1", keyed=True)["verify"].get_ca_certs()) > 50
    (tmp_path / "none.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ModelError, match=r"SSL_CERT_FILE=.*none\.pem holds no certificates that can be read"):
        load("openai:tiny", base_url="https://models.example/v1")


# ---- redirects


@pytest.fixture(scope="module")
def keyed(running):
    """A handle that was made with a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        return load("openai:tiny", base_url=running.url, server={"cache": False})


@pytest.fixture(scope="module")
def stranger():
    with TinyServer() as other:
        yield other


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where",
    ["http://127.0.0.1:{port}/v1/completions", "//127.0.0.1:{port}/", "https://127.0.0.1:{own}/",
     "http://localhost:{own}/v1/completions", "http://stranger.example/v1?key=x"],
)  # fmt: skip
def test_a_redirect_to_another_address_is_refused(status, where, tiny, keyed, stranger):
    """Another host, another port, another scheme: each would carry the prompt, and on one host the key too."""
    tiny.asked.clear()
    stranger.asked.clear()
    place = where.format(port=stranger.server_port, own=tiny.server_port)
    tiny.always = ("status", status, [("Location", place)], {})
    with pytest.raises(ModelError, match=r"sends requests on to https?://[a-z0-9.:]+, which would carry the") as told:
        keyed.generate(["private"], max_new_tokens=1)
    assert stranger.asked == [] and len(tiny.asked) == 1 and "key=x" not in str(told.value)


def test_a_redirect_at_the_same_address_is_followed(tiny, keyed):
    tiny.asked.clear()
    for place in ("/v1/completions", tiny.url + "/completions", "completions"):
        tiny.faults = [("status", 307, [("Location", place)], {})]
        assert keyed.generate([place], max_new_tokens=1)[0][0].text == "Heads,"
    assert len(tiny.asked) == 6 and {headers["authorization"] for *_, headers in tiny.asked} == {f"Bearer {KEY}"}


def test_a_server_that_redirects_from_the_start_is_told_at_once(tiny, stranger):
    tiny.always = ("status", 308, [("Location", stranger.url)], {})
    stranger.asked.clear()
    with pytest.raises(ModelError, match=r"sends requests on to http://127\.0\.0\.1"):
        load("openai:tiny", base_url=tiny.url)
    assert stranger.asked == []


# ---- a network that wants a log-in


def test_a_log_in_page_in_place_of_an_answer_is_named(tiny, monkeypatch):
    page = b"<!DOCTYPE html><html><title>Hotel</title>"
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{tiny.server_port}")  # stands in for the hotel's network
    for fault, said in (
        (("raw", page, "text/html"), "a web page, not JSON.*captive portal"),
        (("status", 511, [("Content-Type", "text/html")], page), r"before a log-in to this network \(511\).*browser"),
        (("status", 302, [("Location", "http://portal.example/login")], page), "portal.example, which.*captive portal"),
        (("status", 407, (), {}), r"the proxy in front of http://models.example/v1 wants a log-in \(407\)"),
    ):
        tiny.always = fault
        with pytest.raises(ModelError, match=said) as told:
            load("openai:tiny", base_url="http://models.example/v1")
        assert "\n" not in str(told.value)
