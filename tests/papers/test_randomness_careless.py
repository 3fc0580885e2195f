"""Randomness: what a careless user gives, and more than anybody tried."""

import subprocess
import sys
import time

import pytest

from workbench.errors import UsageError
from workbench.papers import randomness as paper
from workbench.papers.randomness import study
from workbench.papers.randomness.generate import sequence_rows
from workbench.results import Results


def test_a_csv_is_read_before_a_kernel_starts(tmp_path):
    path = tmp_path / "people.csv"
    for text, said in (
        ("Kopf\nHT\n", "'sequence' is missing"),
        ("sequence\nHT\nJürgen\n", "line 3: byte 0xfc is not UTF-8"),
        ("sequence\nKHT\n", "flip 1 in 'KHT'"),
        ("sequence,sequence\nHT,TH\n", "two columns are called 'sequence'"),
    ):
        path.write_bytes(text.encode("cp1252"))
        with pytest.raises(UsageError, match=said):
            paper.PROFILES.check({"human": "people.csv", "alphabet": "words"}, [tmp_path])
    path.write_text('sequence\n"Kopf,Zahl"\n')
    paper.PROFILES.check({"human": str(path), "alphabet": "Kopf,Zahl"})


def test_sequences_are_compared_at_no_more_flips_than_are_kept():
    for sizes, profile, kept, least in ((paper.PROFILES, "quick", 4, 4), (paper.SERVED, "smoke", None, 4)):
        assert sizes.fill(profile, generate_flips=kept).least_flips == least
    assert paper.PROFILES.fill("paper").least_flips == 50
    with pytest.raises(UsageError, match="least_flips=40 is more than generate_flips=30"):
        paper.PROFILES.fill("quick", least_flips=40)


def test_people_by_the_thousand_take_seconds(monkeypatch):
    """Held-out chains and nearest sequences must not take the square of the number of sequences."""
    flips = ["HT" * 5 + paper.random_flips(10, seed) for seed in range(5000)]
    start = time.process_time()
    found = paper.held_out_markov_bits(flips)
    assert time.process_time() - start < 20 and found[7] == paper.held_out_markov_bits(flips[7:] + flips[:7])[0]
    monkeypatch.setattr(study, "NEAREST", 3)
    rows = Results(rows=sequence_rows("m", 50, flips[:40], [True] * 40))
    assert study.generation_table(rows, "m")[0]["nearest other"] == paper.repeat_match(flips[:3]).mean()


def test_a_csv_is_read_without_torch(tmp_path):
    (tmp_path / "people.csv").write_text("sequence\nHT\n")
    code = "import sys; from workbench.papers.randomness import PROFILES; PROFILES.check({'human': 'people.csv'}); "
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], cwd=tmp_path, check=True)


def test_nothing_is_counted_twice(smollm2):
    made = paper.generate_sequences(smollm2, p_tails=[100 / 3, 33.33333], n=3, max_flips=2, temperature=0)
    assert [(row.labels["stated"], row.item) for row in made.rows] == [("33.3333", "33.3333 % Tails, sequence 1")]
