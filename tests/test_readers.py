"""Readers of other people's data sets: real files where they are, every bad row as one sentence with its line."""

import gzip
import json
import zipfile
from collections import Counter

import pytest

from workbench import readers
from workbench.errors import DataError
from workbench.files import ROOT

SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture
def shared():
    if not SHARED.exists():
        pytest.skip("../shared/data is absent")
    return SHARED


@pytest.fixture
def write(tmp_path):
    def put(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def hh(*pairs):
    return "".join(json.dumps({"chosen": a, "rejected": b}) + "\n" for a, b in pairs)


def spoken(text):
    return [word for word in text.split() if word not in ("Human:", "Assistant:")]


# --- the real files -------------------------------------------------------------------------------------------------


def test_anthropic_hh(shared):
    path = shared / "hh-rlhf" / "harmless-base-test.jsonl.gz"
    pairs = readers.read_hh(path)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        raw = [json.loads(line) for line in file]
    assert len(pairs) == len(raw) == 2312
    for pair, row in zip(pairs, raw):  # nothing is lost: the pieces in order are the text, but for white space
        for reply, whole in ((pair.chosen, row["chosen"]), (pair.rejected, row["rejected"])):
            pieces = " ".join([*(m["content"] for m in pair.messages), reply])
            assert spoken(whole) == spoken(pieces)
        roles = [m["role"] for m in pair.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    assert [p.prompt for p in readers.read_prompts(path)[:3]] == [p.prompt for p in pairs[:3]]


def test_advbench(shared):
    rows = readers.read_advbench(shared / "advbench" / "harmful_behaviors.csv")
    assert len(rows) == 521 and rows[0].id == "2" and rows[0].target.startswith("Sure, here")
    assert readers.read_prompts(shared / "advbench" / "harmful_behaviors.csv") == rows


def test_movie_reviews(shared, tmp_path):
    path = shared / "movie_reviews" / "movie_reviews.zip"
    reviews = readers.read_reviews(path)
    assert Counter(r.label for r in reviews) == {1: 1000, -1: 1000}
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.endswith(".txt")][::250]
        archive.extractall(tmp_path, names)
    unpacked = {r.id: (r.text, r.label) for r in readers.read_reviews(tmp_path)}
    assert unpacked == {r.id: (r.text, r.label) for r in reviews if r.id in names} and len(unpacked) == 8


# --- one's own files ------------------------------------------------------------------------------------------------


def test_a_text_file_is_one_prompt_a_line(write):
    path = write("mine.txt", "\ufeffWhy?\n\n  How so?  \r\nÜber was?")
    expected = [("1", "Why?"), ("3", "How so?"), ("4", "Über was?")]
    assert [(p.id, p.prompt) for p in readers.read_prompts(path)] == expected


def test_lines_may_end_as_on_any_system(write):
    for end in ("\n", "\r\n", "\r"):
        assert [(p.id, p.prompt) for p in readers.read_prompts(write("mine.txt", f"a{end}{end}b{end}"))] == [
            ("1", "a"), ("3", "b")
        ]  # fmt: skip


def test_json_lines_with_ids(write):
    path = write("mine.jsonl", '{"id": "a", "prompt": "x\u2028y"}\n\n{"id": 7, "prompt": "z", "kind": "harmful"}\n')
    assert readers.read_prompts(path) == [readers.Prompt("a", "x\u2028y"), readers.Prompt("7", "z", "harmful")]


def test_truthfulqa_lists_are_parted(write):
    head = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
    path = write("TruthfulQA.csv", head + 'A,Myths,"Is it, so?",No,No; Not at all,Yes; Of course; ,http://x\n')
    (question,) = readers.read_truthfulqa(path)
    assert question == readers.Question("2", "Is it, so?", "No", ("No", "Not at all"), ("Yes", "Of course"), "Myths")
    assert readers.read_prompts(path) == [readers.Prompt("2", "Is it, so?", "Myths")]


@pytest.mark.parametrize("head", ["review,sentiment", "label,text", "\ufeffsentence , label"])
def test_reviews_from_a_table(write, head):
    table = ['"good\nfilm","positive"', "bad,0"] if "label,t" not in head else ['positive,"good\nfilm"', "0,bad"]
    path = write("r.csv", "\n".join([head, *table]))
    assert [(r.id, r.text, r.label) for r in readers.read_reviews(path)] == [("2", "good\nfilm", 1), ("4", "bad", -1)]


def test_a_folder_of_old_reviews(write, tmp_path):
    write("train/pos/1.txt", "caf\xe9".encode("latin-1"))
    write("train/neg/1.txt", "bad")
    write("train/unsup/1.txt", "who knows")
    write("README.txt", "about")
    found = readers.read_reviews(tmp_path)
    assert [(r.id, r.text, r.label) for r in found] == [("train/neg/1.txt", "bad", -1), ("train/pos/1.txt", "café", 1)]


def test_a_second_turn_by_the_same_person_is_joined(write):
    talk = "\n\nHuman: Hi\n\nHuman: You there?\n\nAssistant:"
    (pair,) = readers.read_hh(write("h.jsonl", hh((talk + " Yes", talk + " No"))))
    assert pair == readers.Pair("1", ({"role": "user", "content": "Hi\n\nYou there?"},), "Yes", "No")


def test_sampling_is_seeded_and_keeps_the_order():
    rows = list(range(100))
    assert readers.sample(rows, 5, 1) == readers.sample(rows, 5, 1) == sorted(readers.sample(rows, 5, 1))
    assert readers.sample(rows, 5, 1) != readers.sample(rows, 5, 2) and readers.sample(rows, 200) == rows


# --- what is wrong, on which line, and what to do ---------------------------------------------------------------------

GOOD = '{"id": "a", "prompt": "x"}\n'


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.jsonl", GOOD + "{'id': 1}\n", r"p\.jsonl, line 2: not JSON .*double quotes"),
        ("p.jsonl", GOOD + "\n[1]\n", r"line 3: '\[1\]' is no object"),
        ("p.jsonl", GOOD + '{"id": "b"}\n', r"line 2: 'prompt' is missing \(the row has id\): add 'prompt'"),
        ("p.jsonl", GOOD + '{"id": "b", "prompt": 3}\n', r"line 2: 'prompt' is 3, which is no text: put it in quotes"),
        ("p.jsonl", GOOD + '{"id": "b", "prompt": " "}\n', r"line 2: 'prompt' is empty"),
        ("p.jsonl", GOOD + GOOD, r"line 2: the row has the id 'a' of line 1"),
        ("p.jsonl", GOOD + '{"id": "b", "prompt": "\\udfff x"}\n', r"line 2: U\+DFFF is half a character: write both"),
        ("p.jsonl", "[" * 100_000 + "\n", r"line 1: not JSON"),
        ("p.jsonl", GOOD + '{"id": %s, "prompt": "x"}\n' % ("9" * 5000), r"line 2: not JSON \(a number"),
        ("p.jsonl", GOOD.encode() + b'{"id": "\xff"}', r"line 2: byte 0xff is not UTF-8: save the file as UTF-8"),
        ("p.txt", "\n \n", r"p\.txt holds no rows"),
        ("p.csv", "a,b\n1,2\n", r"line 1: none of the columns a, b is goal"),
        ("p.csv", "", r"line 1: none of the columns"),
        ("p.csv", "goal,target\nx,Sure\n,Sure\n", r"line 3: 'goal' is empty"),
        ("p.csv", 'goal,target\n"x\ny",Sure\na,b,c\n', r"line 4: 3 cells, but the header has 2 columns"),
        ("p.csv", 'goal,target\nx,"Sure\n', r"line 2: this row is no csv"),
        ("p.csv", "goal\nx\n", r"line 1: the column 'target' is missing \(there are goal\)"),
        ("p.pdf", "%PDF", r"p\.pdf is no file of prompts: give \.txt"),
        ("h.jsonl", hh(("\n\nHuman: a\n\nAssistant: b", "what")), r"line 1: chosen and rejected share no"),
        ("h.jsonl", hh(("x\n\nAssistant: b", "x\n\nAssistant: c")), r"line 1: the dialogue does not begin"),
        ("h.jsonl.gz", b"not gzip", r"cannot read .*download it again"),
        (
            "h.jsonl.gz",
            gzip.compress(GOOD.encode() * 50, mtime=0)[:-12],
            r"(cannot read |is damaged)",
        ),
    ],
)
def test_a_bad_row_is_one_sentence(write, name, content, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        readers.read_prompts(write(name, content))
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_a_damaged_gz_is_said(write):
    packed = bytearray(gzip.compress(bytes(range(256)) * 40, mtime=0))
    packed[20:60] = b"\xff" * 40
    with pytest.raises(DataError, match=r"(damaged|cannot read).*download it again"):
        readers.read_prompts(write("x.jsonl.gz", bytes(packed)))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("r.csv", "text,stars\ngood,5\n", r"line 1: no column is called label or sentiment \(there are text, stars\)"),
        ("r.csv", "text,label\ngood,positive\nbad,meh\n", r"line 3: label is 'meh': write positive or negative"),
        ("r.zip", "not a zip", r"cannot be read as a zip"),
        ("r.txt", "good", r"give a folder, a \.zip or a \.csv"),
    ],
)
def test_bad_reviews(write, name, content, sentence):
    with pytest.raises(DataError, match=sentence):
        readers.read_reviews(write(name, content))


def test_a_zip_that_unpacks_to_too_much_is_refused(write, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pos/a.txt", "x" * 5000)
    monkeypatch.setattr(readers.tables, "LARGEST", 4000)
    for source in (tmp_path / "bomb.zip", write("big.txt", "x" * 5000)):
        with pytest.raises(DataError, match="GiB"):
            (readers.read_reviews if source.suffix == ".zip" else readers.read_prompts)(source)


def test_a_folder_without_reviews_says_how_they_must_lie(write, tmp_path):
    write("good/1.txt", "x")
    with pytest.raises(DataError, match="folders called pos and neg"):
        readers.read_reviews(tmp_path)
    with pytest.raises(DataError, match="is a folder: give one of the files in it"):
        readers.read_prompts(tmp_path)


def test_a_typing_error_is_no_download(monkeypatch):
    monkeypatch.setattr(readers, "_fetch", lambda source: pytest.fail("went to the hub"))
    with pytest.raises(DataError, match=r"^data/promts\.txt does not exist .*hub:OWNER/NAME/FILE"):
        readers.read_prompts("data/promts.txt")


def test_inside_a_run_a_relative_path_is_read_where_the_command_was_typed(write, tmp_path, monkeypatch):
    write("mine.txt", "Why?")
    with pytest.raises(DataError, match="does not exist"):
        readers.read_prompts("mine.txt")
    monkeypatch.setenv("WORKBENCH_TYPED_IN", str(tmp_path))
    assert [p.prompt for p in readers.read_prompts("mine.txt")] == ["Why?"]


def test_a_hub_source_names_a_file_and_its_failure_is_said(monkeypatch):
    with pytest.raises(DataError, match="does not name a file"):
        readers.read_hh("hub:Anthropic/hh-rlhf")
    asked = []

    def no_network(repository, name, **options):
        asked.append((repository, name, options))
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_network)
    with pytest.raises(DataError, match=r"the hub did not give .*no route to host.*download the file"):
        readers.read_hh("hub:Anthropic/hh-rlhf/harmless-base/test.jsonl.gz@abc")
    assert asked == [("Anthropic/hh-rlhf", "harmless-base/test.jsonl.gz", {"repo_type": "dataset", "revision": "abc"})]
