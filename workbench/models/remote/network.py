"""How a request leaves this machine: past proxies where they have no business, and never on to another address.

HTTP libraries obey HTTP_PROXY even for 127.0.0.1, and follow a redirect with the whole request. So here the proxy is
chosen by us and said, and a redirect that leaves the address (scheme, host and port) is refused.
"""

import ipaddress
import os
import socket
import ssl
import time
import urllib.request
from urllib.parse import urlsplit

from ...errors import ModelError
from ..base import say

_SAID: set[str] = set()  # what was said once
LONGEST_ERROR = 64_000  # bytes of an error's page that are read: packed, they may be a thousand times as many


class Redirected(Exception):
    """A server sends a request on to another address; ``address`` is scheme, host and port of it."""

    def __init__(self, address: str):
        super().__init__(address)
        self.address = address


def client_options(base_url: str, *, keyed: bool) -> dict:
    """Keywords for the HTTP client of the package openai.

    Parameters
    ----------
    base_url
        The server's address.
    keyed
        Whether a key is sent along.

    Raises
    ------
    ModelError
        The key would be readable to a proxy.
    """
    proxy = proxy_for(base_url)
    if proxy is not None:
        if keyed and urlsplit(base_url).scheme == "http":
            raise ModelError(
                f"the key would go to the proxy {shown(proxy)}, since {base_url} is unencrypted: use https, or put its "
                "host into NO_PROXY"
            )
        if (line := f"requests to {base_url} go through the proxy {shown(proxy)}") not in _SAID:
            _SAID.add(line)
            say(line)
    options: dict = {"trust_env": False, "proxy": proxy, "event_hooks": {"response": [stay, shorten]}}
    own = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    if any(own.values()):  # a company's certificates; trust_env=False would forget them with the proxies
        try:
            options["verify"] = ssl.create_default_context(cafile=own["SSL_CERT_FILE"], capath=own["SSL_CERT_DIR"])
        except OSError as error:
            named = ", ".join(f"{name}={value}" for name, value in own.items() if value)
            raise ModelError(f"{named} holds no certificates that can be read ({error}): mend or unset it") from error
    return options


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (or the system) names for an address; None for this machine's own addresses."""
    parts = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(parts.netloc):
        return None
    known = urllib.request.getproxies()
    found = known.get(parts.scheme) or known.get("all")
    return found if not found or "://" in found else f"http://{found}"


def shown(proxy: str) -> str:
    """A proxy's address without the user and password in it."""
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].split('/')[0]}"


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own: localhost, 127.x in any spelling, ::1, or "any address"."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:  # 127.1, 0x7f.1, 2130706433: what the system's own resolver takes for an address
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def stay(response) -> None:
    """An HTTP client's hook: raise Redirected where a redirect leaves the address that was asked."""
    if not response.has_redirect_location:
        return
    here = response.request.url
    there = here.join(response.headers["location"])
    if (there.scheme, there.host, _port(there)) != (here.scheme, here.host, _port(here)):
        raise Redirected(f"{there.scheme}://{there.netloc.decode('ascii', 'replace').rpartition('@')[2]}")


def shorten(response) -> None:
    """An HTTP client's hook: of a page that is no answer only the beginning comes, and in time; it is read whole."""
    if response.is_success:
        return
    whole, kind = response.stream, type(response.stream)
    ends = time.monotonic() + (response.request.extensions.get("timeout", {}).get("read") or 15.0)

    class Beginning(kind):
        """The stream that was there, up to so many bytes and so many seconds."""

        def __init__(self):
            """Nothing of its own: it reads another one."""

        def __iter__(self):
            left = LONGEST_ERROR
            for part in whole:
                yield part[:left]
                left -= len(part)
                if left <= 0 or time.monotonic() > ends:
                    return

        def close(self):
            whole.close()

    response.stream = Beginning()


def _port(url) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)
