"""What tests of models and of servers ask for: an empty cache for one test, and no key or long pause."""

import pytest

from workbench.models.files import cache
from workbench.models.remote import client


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """An empty cache for one test (`own_cache` is one for a file's tests)."""
    monkeypatch.setenv(cache.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def alone(empty_cache, monkeypatch):
    """An empty cache, short pauses, and no key unless the test sets one."""
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)
    for name in client.KEYS:
        monkeypatch.delenv(name, raising=False)
