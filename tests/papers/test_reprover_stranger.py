"""Files of strangers: none gets a falsehood accepted, with the allow-list or by the last word alone."""

import pytest
from hostile_files import KINDS, compiled_cheats
from lean import needs_lean, spread, switch_filters_off

from workbench.papers import reprover

CASES = [(kind, name) for kind, files in KINDS.items() for name in files]


@pytest.fixture(scope="module")
def session():
    with reprover.Session(timeout=20) as running:
        yield running


@pytest.fixture(scope="module")
def cheats(session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cheats")
    compiled_cheats(session.library, folder)
    return folder


def test_every_kind_has_at_least_three_files():
    assert len(KINDS) == 11 and all(len(files) >= 3 for files in KINDS.values())


def hostile(kind, name, cheats, folder):
    text, tactic = KINDS[kind][name]
    (folder / "A.lean").write_text(text.replace("{folder}", str(cheats)) + "  := by skip\n")
    return reprover.read_theorems(folder)[-1], tactic


@needs_lean
@pytest.mark.parametrize(("kind", "name"), spread(KINDS, 2))
def test_no_file_gets_a_falsehood_accepted(kind, name, session, cheats, tmp_path, monkeypatch):
    monkeypatch.chdir(cheats)
    monkeypatch.setenv("LEAN_PATH", str(cheats))
    theorem, tactic = hostile(kind, name, cheats, tmp_path)
    tried = reprover.attempt(session, theorem, tactics=[tactic], calls=1)
    assert tried.status != "proved", (kind, name, tried)
    told = reprover.verify(session.library, theorem, (tactic,))
    assert not told.ok and told.message


@needs_lean
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_last_word_alone_accepts_none_of_them(kind, name, session, cheats, tmp_path, monkeypatch):
    switch_filters_off(monkeypatch)
    monkeypatch.chdir(cheats)
    theorem, tactic = hostile(kind, name, cheats, tmp_path)
    told = reprover.verify(session.library, theorem, (tactic,))
    assert not told.ok and told.message, (kind, name, told)
