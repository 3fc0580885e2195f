"""The graph: files in, order, filters, matching. Each defect of the reference's reader is a regression test here."""

import gzip
import os
import pickle
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings, strategies as st
from kbert_oracle import bert_tokenizer, cut, dictionary, key, matches
from test_kbert_tree import graphs, texts

from workbench.errors import DataError, UsageError
from workbench.papers.kbert import FUNCTION_WORDS, KnowledgeGraph, Triple, inject, read_wordnet
from workbench.papers.kbert.graph.wordnet import TABLE, triples, write_table
from workbench.papers.kbert.injection import words as words_module
from workbench.papers.kbert.injection.words import PLAIN_WORD, Codes, split_words, whole_word

ROWS = [
    ("Tim Cook", "CEO", "Apple"),
    ("Beijing", "capital", "China"),
    ("tim  cook", "born in", "Mobile"),
    ("Beijing", "is_a", "City"),
    ("TIM COOK", "CEO", "Apple"),
]


@pytest.fixture(scope="module")
def wordnet():
    return KnowledgeGraph.from_wordnet()


def said(call, kind=DataError):
    with pytest.raises(kind) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# --- rows and order -------------------------------------------------------------------------------------------------


def test_triples_keep_their_order_and_spellings_are_one_subject():
    graph = KnowledgeGraph.from_triples(ROWS)
    assert (graph.n_triples, graph.n_subjects, len(graph)) == (4, 2, 4)
    assert list(graph.subjects()) == ["Tim Cook", "Beijing"]
    assert graph.lookup("tim cook") == (Triple("Tim Cook", "CEO", "Apple"), Triple("tim  cook", "born in", "Mobile"))
    assert [triple.object for triple in graph.triples()] == ["Apple", "Mobile", "China", "City"]
    assert graph.predicates == ("CEO", "capital", "born in", "is_a")
    assert graph.lookup("Tim") == graph.lookup("") == graph.lookup("Tim Cook Beijing") == ()
    exact = KnowledgeGraph.from_triples(ROWS, case_sensitive=True)
    assert exact.n_subjects == 4 and exact.lookup("tim cook")[0].object == "Mobile"
    assert repr(graph) == "<knowledge graph triples: 4 triples of 2 subjects>"


@settings(max_examples=150, deadline=None)
@given(rows=graphs)
def test_lookup_is_a_dictionary(rows):
    graph, known = KnowledgeGraph.from_triples(rows), dictionary(rows)
    assert graph.n_subjects == len(known) and graph.n_triples == sum(map(len, known.values()))
    for words, values in known.items():
        assert [triple[1:] for triple in graph.lookup(" ".join(words))] == [value[:2] for value in values]
        assert [triple[0] for triple in graph.lookup(" ".join(words))] == [value[2] for value in values]
    assert [key(name) for name in graph.subjects()] == list(known)


CHILD = textwrap.dedent("""
    import sys
    from pathlib import Path
    from transformers import PreTrainedTokenizerFast
    from workbench.papers.kbert import KnowledgeGraph, inject
    sys.path.insert(0, sys.argv[1])
    from kbert_oracle import GOLDEN_TEXT, GOLDEN_TRIPLES, word_tokenizer
    many = {(f"{s} x", p, o) for s in ("Tim", "Cook", "now") for p in "abcdef" for o in ("City", "China", "Apple")}
    graphs = [KnowledgeGraph.from_triples(many), KnowledgeGraph.from_triples(frozenset(GOLDEN_TRIPLES)),
              KnowledgeGraph.from_tsv(Path(sys.argv[2])), KnowledgeGraph.from_rdf(Path(sys.argv[3]))]
    for graph in graphs:
        kept = graph.filtered(stop_words={"x", "now", "y"}, allow={"Tim x", "Cook x", "Beijing", "Tim Cook", "b", "a"})
        print(graph.fingerprint, kept.fingerprint, *kept.predicates)
        print(inject([GOLDEN_TEXT, "Tim x now Cook x a b"], graph, word_tokenizer())[:2])
""")


def test_the_same_under_any_hash_seed(tmp_path):
    """The reference keeps triples in sets: which two a word gets, and in which order, changes with PYTHONHASHSEED."""
    tsv, rdf = tmp_path / "graph.tsv", tmp_path / "graph.ttl"
    tsv.write_text("".join(f"{s}\t{p}\t{o}\n" for s in "ab" for p in "pqrst" for o in ("City", "China")))
    rdf.write_text("@prefix : <http://e.org/> . " + " ".join(f":{s} :{p} :o{p} ." for s in "ab" for p in "pqrst"))
    code = CHILD.replace("[:2])", ", sep='')").replace("print(inject", "print(*inject")
    outputs = set()
    for seed in ("0", "1", "4242"):
        child = subprocess.run(
            [sys.executable, "-c", code, os.path.dirname(__file__), tsv, rdf],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert child.returncode == 0, child.stderr
        outputs.add(child.stdout)
    assert len(outputs) == 1
    (output,) = outputs
    assert output.count("<injected: [CLS] Tim Cook CEO Apple") == 1 and len(output.splitlines()) >= 8


# --- files ----------------------------------------------------------------------------------------------------------


def test_the_authors_spo_format(tmp_path):
    path = tmp_path / "HowNet.spo"
    path.write_text("\ufeff北京\t首都\t中国\n\n苹果\t类\t水果\r\n苹果\t产自\t山东\n", encoding="utf-8")
    graph = KnowledgeGraph.from_tsv(path)
    assert list(graph.triples()) == [("北京", "首都", "中国"), ("苹果", "类", "水果"), ("苹果", "产自", "山东")]
    packed = tmp_path / "HowNet.spo.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert KnowledgeGraph.from_tsv(packed).fingerprint == graph.fingerprint
    assert [match[:2] for match in graph.find("我在北京吃苹果。")] == [(2, 4), (5, 7)]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"Apple\tis\n", "has 2 parts, not subject, predicate and object"),
        (b"Apple is a fruit\n", "has 1 parts"),
        (b"Apple\tis\ta\tfruit\n", "has 4 parts"),
        (b"Apple\t \tfruit\n", "has an empty predicate"),
        (b"\tis\tfruit\n", "has an empty subject"),
        (b"Apple\tis\t\n", "has an empty object"),
        (b"Appl\xe9\tis\tfruit\n", "byte 0xe9 is not UTF-8"),
    ],
)
def test_a_malformed_triple_is_named_and_gives_nobody_the_values_of_the_line_before(tmp_path, line, wrong):
    """The reference prints "bad line" and then adds the previous line's values once more, to the previous subject."""
    path = tmp_path / "graph.spo"
    path.write_bytes(b"Pear\tis\tfruit\n" + line + b"Plum\tis\tblue\n")
    message = said(lambda: KnowledgeGraph.from_tsv(path))
    assert f"{path}, line 2: " in message and wrong in message
    graph = KnowledgeGraph.from_tsv(path, on_bad="skip")
    assert list(graph.triples()) == [("Pear", "is", "fruit"), ("Plum", "is", "blue")]
    assert graph.skipped == (message,)


def test_cndbpedia_dumps(tmp_path):
    dump, mentions = tmp_path / "baike_triples.txt", tmp_path / "m2e.txt"
    dump.write_text(
        "红楼（中国古典小说）\t作者\t<a>曹雪芹</a>\n红楼（中国古典小说）\t简介\t一部\t小说\n长江\t流经\t武汉\n（括号）\t类\t符号\n",
        encoding="utf-8",
    )
    mentions.write_text("石头记\t红楼（中国古典小说）\n扬子江\t长江\n", encoding="utf-8")
    graph = KnowledgeGraph.from_tsv(dump, layout="cndbpedia")
    assert list(graph.triples()) == [
        ("红楼", "作者", "曹雪芹"), ("红楼", "简介", "一部 小说"), ("长江", "流经", "武汉"), ("（括号）", "类", "符号"),
    ]  # fmt: skip
    graph = KnowledgeGraph.from_tsv(dump, layout="cndbpedia", mentions=mentions)
    assert graph.lookup("石头记") == (("石头记", "作者", "曹雪芹"), ("石头记", "简介", "一部 小说"))
    assert graph.lookup("扬子江")[0].object == "武汉" and graph.n_subjects == 5
    mentions.write_text("石头记\n", encoding="utf-8")
    assert "m2e.txt, line 1" in said(lambda: KnowledgeGraph.from_tsv(dump, layout="cndbpedia", mentions=mentions))


def test_rdf_by_labels_sorted(tmp_path):
    path = tmp_path / "graph.ttl"
    path.write_text(
        """@prefix : <http://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        :b rdfs:label "Bonn"@de, "City of Bonn"@en . :a rdfs:label "Aachen" .
        :b :lies_in :Rhineland . :a :lies_in :Rhine%20Land ; :people 250 . [] :lies_in :b ."""
    )
    graph = KnowledgeGraph.from_rdf(path)
    assert list(graph.triples()) == [
        ("Aachen", "lies in", "Rhine Land"), ("Aachen", "people", "250"), ("City of Bonn", "lies in", "Rhineland"),
    ]  # fmt: skip
    assert KnowledgeGraph.from_rdf(path, language="de").lookup("Bonn")
    path.write_text(path.read_text().replace('"City of Bonn"@en', '"Bonn Town"@en-GB, "Entenhausen"@enx'))
    assert KnowledgeGraph.from_rdf(path).lookup("Bonn Town")  # a region's English is English
    (tmp_path / "bad.ttl").write_text(":a :b")
    assert "bad.ttl is no turtle" in said(lambda: KnowledgeGraph.from_rdf(tmp_path / "bad.ttl"))
    (tmp_path / "a.jsonld").write_text("{}")
    assert "'.jsonld' is no format read here" in said(lambda: KnowledgeGraph.from_rdf(tmp_path / "a.jsonld"))


@pytest.mark.parametrize(
    ("call", "kind", "wrong"),
    [
        (lambda p: KnowledgeGraph.from_triples([("a", "b")]), DataError, "triples, row 1: ('a', 'b') has 2 parts"),
        (
            lambda p: KnowledgeGraph.from_triples([("a", "b", "c"), ("a", "b", 3)]),
            DataError,
            "row 2: ('a', 'b', 3) holds",
        ),
        (lambda p: KnowledgeGraph.from_triples([None]), DataError, "row 1: None has 1 parts"),
        (lambda p: KnowledgeGraph.from_triples([("a", "b", "c")]).coverage("a cat"), DataError, "not of one text"),
        (lambda p: read_wordnet(p / "zlib.gz"), DataError, "zlib.gz cannot be read"),
        (lambda p: KnowledgeGraph.from_triples(["abc"]), DataError, "row 1: 'abc' has 1 parts"),
        (lambda p: KnowledgeGraph.from_triples([{"a", "b", "c"}]), DataError, "has no order"),
        (lambda p: KnowledgeGraph.from_triples([dict(a=1, b=2, c=3)]), DataError, "has no order"),
        (lambda p: KnowledgeGraph.from_triples([(b"a", b"b", b"c")]), DataError, "holds something that is no text"),
        (lambda p: KnowledgeGraph.from_triples([("a", "b", "\ud83d")]), DataError, "'\\ud83d') holds half"),
        (lambda p: KnowledgeGraph.from_triples(None), DataError, "None is no list of (subject"),
        (lambda p: KnowledgeGraph.from_triples({("a", "b", "c"), ("a", "b", 1)}), DataError, "is no list of (subject"),
        (lambda p: KnowledgeGraph.from_triples(ROWS).coverage(["a", None]), DataError, "text 2 is None, neither"),
        (lambda p: KnowledgeGraph.from_tsv(p / "none.tsv"), DataError, "none.tsv does not exist"),
        (lambda p: KnowledgeGraph.from_tsv(p / "a.tsv", layout="x"), UsageError, "layout 'x' is unknown"),
        (lambda p: KnowledgeGraph.from_tsv(p / "a.tsv", on_bad="x"), UsageError, "on_bad='x' is unknown"),
        (lambda p: KnowledgeGraph.from_tsv(p / "a.tsv", mentions="m"), UsageError, "mentions belong to"),
        (lambda p: KnowledgeGraph.from_tsv(p / "broken.gz"), DataError, "broken.gz cannot be read"),
        (lambda p: KnowledgeGraph.from_wordnet(p), DataError, "index.noun cannot be read"),
        (lambda p: KnowledgeGraph.from_wordnet(p / "broken.gz"), DataError, "broken.gz cannot be read"),
        (lambda p: read_wordnet(p / "half.gz"), DataError, "half.gz, line 2: 'x"),
        (lambda p: KnowledgeGraph.from_triples(ROWS).filtered(stop_words="x"), UsageError, "stop_words='x' is no list"),
        (lambda p: KnowledgeGraph.from_triples(ROWS).filtered(predicates=["x"]), UsageError, "no predicate 'x'"),
        (lambda p: KnowledgeGraph.from_triples(ROWS).filtered(allow="Tim"), UsageError, "'Tim' is one text"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, call, kind, wrong):
    (tmp_path / "a.tsv").write_text("a\tb\tc\n")
    (tmp_path / "broken.gz").write_bytes(b"no gzip")
    (tmp_path / "half.gz").write_bytes(gzip.compress(b"animal\tcat:1\t\nx\ty\t@7\n"))
    (tmp_path / "zlib.gz").write_bytes(gzip.compress(b"")[:10] + b"\xff" * 40)  # a header, and no deflated data
    assert wrong in said(lambda: call(tmp_path), kind)


# --- finding --------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(text=texts(14), rows=graphs, wide=st.booleans())
def test_find_is_the_longest_window_from_left_to_right(text, rows, wide):
    graph, known = KnowledgeGraph.from_triples(rows), dictionary(rows)
    if wide:  # as if there were more words than characters in Unicode
        learn = KnowledgeGraph._learn
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(KnowledgeGraph, "_learn", lambda self, spelled, width: learn(self, spelled, 2))
            graph = KnowledgeGraph.from_triples(rows)
        assert graph._codes.width == 2
    found = graph.find(text)
    assert [(match.start, match.end) for match in found] == [(start, end) for start, end, _ in matches(text, known)]
    for match in found:
        assert key(text[match.start : match.end]) == list(known)[match.subject]


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(texts(), st.text(max_size=20)))
def test_words_are_cut_alike_by_both_patterns_and_by_hand(text):
    if text.isascii():
        assert whole_word().findall(text) == PLAIN_WORD.findall(text)
    assert [found.span() for found in whole_word().finditer(text)] == cut(text)
    assert "".join(split_words(text)) == "".join(text.split())


def test_codes_stay_apart_when_a_word_needs_two(monkeypatch):
    monkeypatch.setattr(words_module, "_ROOM", 1000)
    codes = Codes(width=2)
    names = [f"w{i}" for i in range(3000)]
    assert codes.learn(names[:2]) == codes[names[0]] + codes[names[1]]
    codes.learn(names)
    codes.clear()
    found = [codes[name] for name in names]
    assert len(set(found)) == 3000 and {len(code) for code in found} == {2} and codes["other"] == "\0\0"
    assert not {code[0] for code in found} & {code[1] for code in found}
    assert not any("\ud800" <= character <= "\udfff" for code in found for character in code)
    with pytest.raises(OverflowError):
        Codes().learn(names)


def test_no_match_inside_a_word_and_none_lost_behind_one():
    graph = KnowledgeGraph.from_triples([(name, "p", "o") for name in ("new", "new car", "cartoon", "cook", "it")])
    names = lambda text: [text[match.start : match.end] for match in graph.find(text)]  # noqa: E731
    assert names("A new cartoon, renewed: with a cookbook; IT!") == ["new", "cartoon", "IT"]
    assert names("new\n car") == ["new\n car"]
    ka = KnowledgeGraph.from_triples([("क", "is a", "letter"), ("कवि", "is a", "poet"), ("كتب", "is", "word")])
    marked = "कि क कविता कवि كُتُب كتب"  # vowel signs are part of their word
    assert [marked[match.start : match.end] for match in ka.find(marked)] == ["क", "कवि", "كتب"]


def test_coverage_counts():
    graph = KnowledgeGraph.from_triples(ROWS)
    found = graph.coverage(["Tim Cook met Tim Cook in Beijing.", "nothing here", ""])
    assert (found.n_texts, found.n_words, found.n_matches, found.texts_hit) == (3, 10, 3, 1)
    assert (found.words_hit, found.subjects_hit, found.n_subjects) == (5, 2, 2)
    assert found.top == (("Tim Cook", 2), ("Beijing", 1)) and found.hit_rate == 1 / 3 and found.word_rate == 0.5
    assert "1 (33.3%)" in found.table().to_string()
    assert KnowledgeGraph.from_triples([]).coverage([]).hit_rate == 0
    words = [["Tim", "Cook", "met", "Tim", "Cook", "in", "Beijing."], ["nothing", "here"], []]
    assert graph.coverage(words) == found  # named-entity data comes split into words


def test_the_fingerprint_tells_where_a_part_ends():
    rows = ("a", "b\tc", "d"), ("a\tb", "c", "d")
    assert len({KnowledgeGraph.from_triples([row]).fingerprint for row in rows}) == 2


# --- filters --------------------------------------------------------------------------------------------------------


def kept(graph, **filters):
    return [tuple(triple) for triple in graph.filtered(**filters).triples()]


def test_filters_one_by_one():
    rows = [("in", "is a", "state"), ("London", "is a", "city"), ("London", "lies in", "England"),
            ("York", "is a", "city"), ("London", "has", "bridges"), ("New York", "lies in", "America")]  # fmt: skip
    graph = KnowledgeGraph.from_triples(rows)
    london = [rows[1], rows[2], rows[4]]
    assert kept(graph) == [rows[0], *london, rows[3], rows[5]] == [tuple(triple) for triple in graph.triples()]
    assert kept(graph, stop_words="english") == [*london, rows[3], rows[5]]
    assert kept(graph, stop_words=["LONDON", "nowhere"]) == [rows[0], rows[3], rows[5]]
    assert kept(graph, min_length=5) == [*london, rows[5]]
    assert kept(graph, min_degree=2) == london and kept(graph, max_degree=2) == [rows[0], rows[3], rows[5]]
    assert kept(graph, predicates=["lies in"]) == [rows[2], rows[5]] == kept(graph, predicates="lies in")
    assert kept(graph, without_predicates=["is a", "has"]) == [rows[2], rows[5]]
    assert kept(graph, predicates=["is a"], min_degree=2) == []  # degrees count what the predicates left
    assert kept(graph, allow=["york", "in"]) == [rows[0], rows[3]] and kept(graph, allow=[]) == []
    assert kept(graph, deny=["new york", "London"]) == [rows[0], rows[3]]
    smaller = graph.filtered(allow=["York"])
    assert [smaller.find("from New York")[0][:2], smaller.name] == [(9, 13), "triples (filtered)"]
    assert smaller.filtered(min_length=2).fingerprint == smaller.fingerprint != graph.fingerprint


def test_a_graph_travels_to_another_process():
    graph = KnowledgeGraph.from_triples(ROWS)
    graph.find("warm it up")
    again = pickle.loads(pickle.dumps(graph))
    assert again.fingerprint == graph.fingerprint and again.find("Tim Cook") == graph.find("Tim Cook")


# --- WordNet --------------------------------------------------------------------------------------------------------

DATA = """  1 This line is part of the licence and begins with two spaces
00000010 03 n 01 entity 0 001 ~ 00000020 n 0000 | that which is
00000020 05 n 02 Cat 0 true_cat 0 003 @ 00000010 n 0000 #m 00000030 n 0000 + 00000099 v 0101 | a pet; "the | cat"
00000030 14 n 01 cat 1 001 @i 00000010 n 0000 | a kind of boat family
"""
INDEX = """  1 This line is part of the licence
cat n 2 2 @ #m 2 1 00000030 00000020
entity n 1 1 ~ 1 1 00000010
true_cat n 1 2 @ #m 1 0 00000020
"""


def test_a_wordnet_by_hand(tmp_path):
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    synsets = read_wordnet(tmp_path)
    assert [(s.lexname, s.lemmas, s.relations) for s in synsets] == [
        ("Tops", (("entity", 1, True),), ()),
        ("animal", (("Cat", 2, False), ("true cat", 1, False)), (("is a", 0), ("member of", 2))),
        ("group", (("cat", 1, True),), (("instance of", 0),)),
    ]
    assert list(triples(synsets)) == [
        ("cat", "instance of", "entity"), ("Cat", "is a", "entity"), ("true cat", "is a", "entity"),
    ]  # fmt: skip
    graph = KnowledgeGraph.from_wordnet(tmp_path, predicates=("member of",))
    assert list(graph.triples()) == [("Cat", "member of", "cat"), ("true cat", "member of", "cat")]
    assert read_wordnet(write_table(synsets, tmp_path / "t.tsv.gz")) == synsets
    (tmp_path / "index.noun").write_text(INDEX.replace("cat n 2", "cat n 3"))
    assert "index.noun, line 2" in said(lambda: read_wordnet(tmp_path))
    (tmp_path / "index.noun").write_text(INDEX)
    (tmp_path / "data.noun").write_text(DATA.replace("0 003 @", "0 009 @"))
    assert "data.noun, line 3" in said(lambda: read_wordnet(tmp_path))
    assert "no predicate 'x'" in said(lambda: KnowledgeGraph.from_wordnet(predicates=["x"]))


def test_the_packaged_wordnet(wordnet):
    assert wordnet.n_subjects == 117_796 and wordnet.n_triples == 148_672
    assert wordnet.predicates == ("is a", "instance of")
    assert wordnet.lookup("anticoagulant")[0].object == "medicine"
    assert wordnet.lookup("Bonn") == (("Bonn", "instance of", "city"),)
    # knowledge noise (card): a function word with a branch, gone with the filter
    assert ("IN", "instance of", "American state") in wordnet.lookup("in")
    assert wordnet.filtered(stop_words="english").lookup("in") == ()
    assert not any(wordnet.filtered(stop_words=FUNCTION_WORDS).lookup(word) for word in ("it", "at", "will"))


def test_the_packaged_table_is_written_anew_as_it_is(tmp_path):
    from workbench.data import folder

    packaged = folder("kbert") / TABLE
    again = write_table(read_wordnet(), tmp_path / "again.gz")
    assert gzip.decompress(again.read_bytes()) == gzip.decompress(packaged.read_bytes())
    assert packaged.stat().st_size < 2**20
    licence = (folder("kbert") / "WORDNET_LICENSE.txt").read_text()
    assert "Permission to use, copy, modify and distribute" in licence and "Princeton University" in licence


LINE_ENDS = ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", " \n　", "\n\n"]


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_in_chinese_and_japanese_no_entity_crosses_a_line_end(end):
    graph = KnowledgeGraph.from_triples(
        [("北京大学", "是", "学校"), ("北京", "是", "城市"), ("学生", "是", "人"), ("Tim Cook", "is", "CEO"),
         ("A股", "是", "股票"), ("カメラ", "は", "機械")]
    )  # fmt: skip

    def found(text):
        return [text[match.start : match.end] for match in graph.find(text)]

    assert found(f"北京{end}大学{end}生") == ["北京"]  # the shorter one, at its own line's end
    assert found(f"大学{end}北京大学生") == ["北京大学"]
    assert found(f"A{end}股 A股") == ["A股"] and found(f"カメ{end}ラ") == []
    assert found(f"Tim{end}Cook 北京") == [f"Tim{end}Cook", "北京"]  # a space is a space, where words have them
    assert found("北 京") == ["北 京"]  # white space inside a line parts nothing
    assert graph.coverage([f"北京{end}大学"]).n_words == 4
    for words in ([f"北京{end}", "大学"], ["北京", f"{end}大学"], [f"北京{end}大学"]):
        item = inject([words], graph, bert_tokenizer())[0]
        assert [triple.object for _, _, triple in item.triples] == ["城市"]
