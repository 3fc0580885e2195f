"""Sizes, words and paths are looked at before a kernel starts: a slip costs one sentence and exit code 2."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.errors import UsageError
from workbench.profiles import Profiles, Size, of_paper
from workbench.runs.notebook.notebook import read

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("randomness -p n_flips=-3", "n_flips=-3 is too small: give at least 1"),
        ("randomness -p n_random=9", "give at least 10"),
        ("randomness -p p_grid=[50,101]", "give at most 100"),
        ("randomness -p concept=0x1", "a word of H and T"),
        ("randomness -p flips=HTX", "a word of H and T"),
        ("randomness -p prompt=papper", "did you mean paper?"),
        ("explainability -p thin=0", "thin=0 is too small: give at least 1"),
        ("explainability -p circuit_pairs=3", "give at least 4, or 0 to leave it out"),
        ('explainability -p methods=["lim"]', "did you mean lime?"),
        ("explainability -p methods=[]", "methods is empty"),
        ("emo -p window=0", "window=0 is too small: give at least 4"),
        ("emo -p temperatures=[0.0]", "give at least 0.05"),
        ("emo -p variant=emo3_adaptive", "variant='emo3_adaptive' is unknown"),
        ("emo -p variant=emo3_adaptive", "did you mean emo"),
        ("kbert -p n_train=3", "n_train=3 is too small: give at least 12"),
        ("kbert -p learning_rate=-1", "learning_rate=-1.0 is too small"),
        ("kbert -p graph=nosuch.tsv", "there is no file at"),
        ("kbert -p data=nosuch.csv", "there is no file at"),
        ("kbert -p encoder=./nosuch", "there is no file or folder at"),
        ("rain -p prompts=nosuch.txt -p objective=sentiment", "there is no file at"),
        ("rain -p budgets=[0]", "give at least 1"),
        ("rain -p objective=sentimnt", "whose last line is 'good / bad'"),
        ("reprover -p metamath=/nosuch/set.mm", "there is no file at /nosuch/set.mm"),
        ("reprover -p theorems=/etc/hostname", "is a file, and a folder is needed"),
        ("reprover -p benchmark=nosuch", "there is no folder at"),
        ("start --bits 5", "bits=5 cannot be: give 4 or 8"),
        ("rain --bits 0", "bits=0 cannot be: give 4 or 8"),
        ("start --model ./nosuch.gguf", "there is no file or folder at"),
        ("emo --seed -3", "seed=-3 cannot be"),
        ("emo --seed 4294967296", "give a whole number from 0 to 4294967295"),
        (f"kbert --seed 1{'0' * 200}", "give a whole number from 0 to 4294967295"),
        (f"randomness -p n_flips=1{'0' * 30}", "is too large: give at most 1e+09"),
        (f"explainability -p counterfactuals=1{'0' * 200}", "is too large: give at most 1e+09"),
        ("emo -p batch=1000000001", "is too large: give at most 1e+09"),
        ("randomness -p max_word=40", "max_word=40 is too large: give at most 12"),
        ("explainability --model=", "model='' is no name"),
        ("emo --model a\nb", "is no name: give one in one line"),
        ("rain -p judge=\x01", "is no name"),
        ("kbert -p encoder=a\u2028b", "is no name"),
        ("randomness --revision=", "revision='' is no name"),
        ('randomness -p models=["smollm2",""]', "models='' is no name"),
        ("kbert -p graph=a\nb.tsv", "a line end or a NUL in it"),
        ("kbert -p data=~nosuchuser/a.csv", "nobody of that name has a home folder here"),
        (f"kbert -p data={'a' * 300}", "is too long"),
        (f"rain -p form={'a' * 300}", "is unknown: choose from"),
    ],
)
def test_a_slip_is_told_before_a_kernel_starts(tmp_path, monkeypatch, line, says):
    monkeypatch.chdir(tmp_path)
    for command in (["run"], ["sweep", "-g", "seed=1,2"] if "--seed" not in line else ["sweep", "-g", "profile=smoke"]):
        words = line.replace("--seed ", "-p seed=").split(" ") if command[0] == "sweep" else line.split(" ")
        answer = CliRunner().invoke(app, [*command, *words, "--out", str(tmp_path / "runs")])
        assert isinstance(answer.exception, UsageError), answer.output
        assert says in str(answer.exception) and answer.exception.exit_code == 2
        assert "\n" not in str(answer.exception) and len(str(answer.exception)) < 400
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_parameters_shows_the_least_values():
    answer = CliRunner().invoke(app, ["params", "emo"])
    rows = {line.split()[0]: line for line in answer.output.splitlines() if line.strip()}
    assert " least " in rows["parameter"] and " 4 " in rows["window"] and "0.05 to 20" in rows["temperatures"]


def test_paths_mean_where_the_command_is_typed_or_where_the_notebook_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.tsv").write_text("gout\tis a\tillness\n")
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "folder").mkdir()
    notebook = read("kbert")
    for good in ("mine.tsv", str(tmp_path / "mine.tsv"), "wordnet", "teaching", "kbert.ipynb"):
        assert notebook.resolve({"graph": good}) == {"graph": good}
    for wrong, says in (("empty.tsv", "is empty"), ("folder", "is a folder"), ("a\0b", "cannot be read")):
        with pytest.raises(UsageError, match=says):
            notebook.resolve({"graph": wrong})
    assert notebook.resolve({"encoder": "owner/name"}), "a name on the hub cannot be looked up here"


def test_a_notebook_of_ones_own_is_not_measured_by_a_papers_sizes(tmp_path):
    shutil.copy(ROOT / "notebooks" / "emo.ipynb", tmp_path / "emo.ipynb")
    assert read(str(tmp_path / "emo.ipynb")).resolve({"window": "0"}) == {"window": 0}


def test_filling():
    profiles = Profiles(n=Size(1, 2, 3, 4, least=1, most=9), words=Size(["a"], ["a"], ["b"], ["b"], choices=("a", "b")))
    sizes = profiles.fill("quick", n=5, words=None)
    assert sizes == {"n": 5, "words": ["a"]} and sizes.n == 5
    sizes["words"].append("x")
    assert profiles["quick"]["words"] == ["a"], "nobody can change a profile"
    for wrong, says in (
        ({"m": 1}, "size 'm' is unknown"), ({"n": 0}, "n=0 is too small: give at least 1"),
        ({"n": 10}, "at most 9"), ({"n": 1.5}, "no whole number"), ({"n": True}, "no whole number"),
        ({"n": float("nan")}, "no whole number"), ({"n": "3"}, "no whole number"), ({"words": "a"}, "is no list"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=says):
            profiles.fill("quick", **wrong)
    with pytest.raises(UsageError, match="profile 'fast' is unknown: choose one of smoke, quick"):
        profiles.fill("fast")
    with pytest.raises(AttributeError, match="there is no size 'k'"):
        _ = sizes.k
    assert of_paper("tips") is None and of_paper("../x") is None


def test_a_size_follows_another_one_where_that_one_alone_is_given():
    profiles = Profiles(n=Size(1, 2, 3, 4), sweep=Size([1], [1, 2], [1, 2], [1, 2], follows=("n", lambda n: [n])))
    assert profiles.fill("quick") == profiles["quick"] and profiles.fill("quick", n=7) == {"n": 7, "sweep": [7]}
    assert profiles.fill("quick", n=7, sweep=[3]) == {"n": 7, "sweep": [3]}


def test_a_methods_samples_follow_from_the_sizes():
    from workbench.papers import explainability as ex

    assert ex.sizes(ex.PROFILES.fill("smoke", methods=["random"])) == ex.sizes("smoke")
    assert "random" in ex.PROFILES["smoke"]["methods"], "nothing is measured without it"
    with pytest.raises(UsageError, match="profile 'big' is unknown"):
        ex.PROFILES.fill("big")
