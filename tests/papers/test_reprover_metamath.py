"""The Metamath reader: against a literal verifier, hand-computed frames, and every way to break a database.

Databases found on this machine (see `databases_here`) are read too; without them nothing is skipped, because every
test has our own database first.
"""

import random

import metamath_example as example
import pytest
from hypothesis import given, settings, strategies as st
from metamath_oracle import Wrong, code, compress, verify

from workbench.errors import DataError
from workbench.papers import reprover
from workbench.papers.reprover.corpus.metamath import KEEP, _number

BASE = """$c ( ) => wff |- $.
$v p q $.
wp $f wff p $.
wq $f wff q $.
imp $a wff ( p => q ) $.
"""


def read(folder, text, name="own.mm"):
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return list(reprover.read_metamath(path))


def check(assertions) -> tuple[int, dict[str, set[str]]]:
    """Verify all complete proofs: how many, and the assertions that each applied."""
    known, applied = {}, {}
    for one in assertions:
        if one.kind == "$p" and None not in one.steps:
            applied[one.label] = verify(one, known)
        known[one.label] = one
    return len(applied), applied


# --------------------------------------------------------------------------------------------- against the verifier
@pytest.mark.parametrize("compressed", [False, True], ids=["normal", "compressed"])
def test_every_proof_of_our_database_verifies_from_what_was_read(tmp_path, compressed):
    count, applied = check(read(tmp_path, example.database(compressed=compressed)))
    assert count == 10 and applied["same"] == {"keep", "share", "detach", "w.imp"}


def test_both_formats_give_the_same(tmp_path):
    normal, compressed = (read(tmp_path, example.database(compressed=one)) for one in (False, True))
    for one, two in zip(normal, compressed, strict=True):
        assert (one.label, one.statement, one.hypotheses) == (two.label, two.statement, two.hypotheses)
        names = [{step for step in each.steps if isinstance(step, str)} for each in (one, two)]
        assert names[0] == names[1] and {h.label for h in one.optional} == {h.label for h in two.optional}
    assert any(KEEP in one.steps for one in compressed) and not any(KEEP in one.steps for one in normal)


def test_small_real_databases_verify_too(tmp_path):
    (tmp_path / "own.mm").write_text(example.database(compressed=True))
    for path in [tmp_path / "own.mm", *(p for p in example.databases_here() if p.stat().st_size < 600_000)]:
        count, applied = check(reprover.read_metamath(path))
        typed = {one.label for one in reprover.read_metamath(path) if one.statement[0] == "|-"}
        for theorem in reprover.metamath_corpus(path).theorems:
            uses = {use.full_name for use in theorem.tactics[0].uses}
            assert uses == applied[theorem.full_name] & typed, (path, theorem.full_name)
        assert count >= len(reprover.metamath_corpus(path).theorems), path


@pytest.mark.slow
def test_large_real_databases_verify_too(tmp_path):
    (tmp_path / "own.mm").write_text(example.database(compressed=False))
    for path in [tmp_path / "own.mm", *example.databases_here()]:
        count, applied = check(reprover.read_metamath(path))  # one wrong proof raises
        assert count == len(applied) and (count >= 10 or path.name != "own.mm")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("wp wp wp w.imp keep", "wp wp w.imp wp keep"),
        ("twice.1 $.\n$}", "wp $.\n$}"),
        ("  $d x p $.\n  gone", "  gone"),
        ("every x ! p ) $= wp w.not tx idle", "every x ! p ) $= wp tx idle"),
        ("( ! p => ( p => q ) ) $=", "( ! p => ( q => q ) ) $="),
        ("detach.2 $e |- ( p => q )", "detach.2 $e |- ( q => p )"),
    ],
    ids=["order", "hypothesis", "distinct", "missing step", "statement", "rule"],
)
def test_the_verifier_can_say_no(tmp_path, old, new):
    text = example.database(compressed=False)
    assert text.count(old) == 1
    with pytest.raises(Wrong):
        check(read(tmp_path, text.replace(old, new)))


# --------------------------------------------------------------------------------------------------- by hand
def test_a_frame_by_hand(tmp_path):
    text = BASE + (
        "${ $v r $. wr $f wff r $. $d p q $. $d p q r $.\n"
        "  a.1 $e |- ( q => q ) $.\n"
        "  ${ b.1 $e |- r $. b $a |- p $. $}\n"
        "  a $a |- ( q => q ) $. $}\n"
        "c $a |- p $.\n${ $v r $. $}\n"
    )
    imp, b, a, c = read(tmp_path, text)
    assert [h.label for h in imp.hypotheses] == ["wp", "wq"] and imp.statement == ("wff", "(", "p", "=>", "q", ")")
    assert [h.label for h in b.hypotheses] == ["wp", "wq", "wr", "a.1", "b.1"]  # order of the database
    assert [h.label for h in b.essential] == ["a.1", "b.1"] and b.distinct == (("p", "q"), ("p", "q", "r"))
    assert [h.label for h in a.hypotheses] == ["wq", "a.1"]  # b.1 and r have left
    assert [h.label for h in c.hypotheses] == ["wp"] and c.distinct == ()
    assert (c.start, c.end) == ((10, 1), (10, 13)) and b.start == (8, 21)


def test_a_compressed_proof_by_hand(tmp_path):
    """1 to 2 are wp, wq (mandatory), 3 is imp; the fourth number is what the first Z keeps."""
    text = BASE + "t $p wff ( ( p => q ) => ( p => q ) ) $= ( imp ) ABCZ\n DC $.\n"
    (_, theorem) = read(tmp_path, text)
    assert theorem.steps == ("wp", "wq", "imp", KEEP, 0, "imp")


@pytest.mark.parametrize(
    ("letters", "number"),
    [("A", 1), ("T", 20), ("UA", 21), ("UT", 40), ("VA", 41), ("YT", 120), ("UUA", 121), ("YYT", 620), ("UUUA", 621)],
)
def test_numbers_are_those_of_appendix_b(letters, number):
    assert _number(letters) + 1 == number and code(number - 1) == letters


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_decoding_undoes_a_literal_compressor(tmp_path_factory, data):
    """The steps need not prove anything: the reader does not verify."""
    many = data.draw(st.integers(0, 150))
    axioms = "".join(f"x{n} $a wff p $.\n" for n in range(many))
    pool = ["wp", "imp", *(f"x{n}" for n in range(many)), None]
    labels = data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=60))
    repeats = {}
    for at in range(len(labels)):
        earlier = [n for n in range(at) if labels[n] is not None and n not in repeats]
        if earlier and data.draw(st.integers(0, 3)) == 0:
            repeats[at] = data.draw(st.sampled_from(earlier))
    text = f"{BASE}{axioms}t $p wff p $= {compress(['wp'], labels, repeats)} $.\n"
    theorem = read(tmp_path_factory.mktemp("mm"), text)[-1]
    kept, found = [], []
    for step in theorem.steps:
        if step == KEEP:
            kept.append(found[-1])
        else:
            found.append(kept[step] if isinstance(step, int) else step)
    assert found == [labels[repeats.get(at, at)] for at in range(len(labels))]


def test_the_reader_streams(tmp_path):
    """What stands before a damaged place is given before the damage is met."""
    path = tmp_path / "own.mm"
    path.write_text(BASE + "bad $a wff ( p\n")
    stream = reprover.read_metamath(path)
    assert next(stream).label == "imp"
    with pytest.raises(DataError, match="line 6: what begins here is open"):
        next(stream)


# --------------------------------------------------------------------------------------------------- damage
DAMAGE = [
    ("", 'is empty'),
    ("é", "line 6: a character that is not ASCII"),
    ("$( é $)", "line 6: a character that is not ASCII"),
    ("$( a\n\nb", r"line 6: the comment that begins here is never closed; add \$\)"),
    ("$( a $( b $)", r"line 6: '\$\(' inside a comment"),
    ("$)", r"line 6: '\$\)' where a statement should begin"),
    ("$f wff p $.", r"line 6: '\$f' where a statement should begin"),
    ("${ $c k $. $}", r"line 6: \$c inside a block"),
    ("$c => $.", "=> is declared a second time"),
    ("$c p $.", "p is declared a second time"),
    ("$v p $.", "p is declared and still active"),
    ("$v => $.", "=> is declared and still active"),
    ("$v $.", r"\$v without a symbol"),
    ("$c imp $.", "the symbol imp is a label already"),
    ("$d p $.", "at least two variables"),
    ("$d p q p $.", "at least two variables"),
    ("$d p z $.", r"z in \$d is no active variable"),
    ("p $a wff p $.", "the label p is a symbol already"),
    ("a+b $a wff p $.", "'a\\+b' is no label"),
    ("imp $a wff p $.", "the label imp stands for an earlier statement"),
    ("t\n\n p", "line 8: 'p' after the label t"),
    ("t $a $.", r"\$a begins with nothing"),
    ("t $a p => $.", r"\$a begins with p"),
    ("t $a |- z $.", "z is neither a constant nor an active variable"),
    ("${ $v r $. $} t $a |- r $.", "r is neither a constant nor an active variable"),
    ("$v r $. t $a |- r $.", r"the variable r has no active \$f"),
    ("t $e |- p\n u $e |- q $.", r"line 7: '\$e' inside the \$e statement of line 6"),
    ("t $f wff p q $.", r"t: \$f holds a typecode and one variable, not 'wff p q'"),
    ("t $f wff => $.", r"t: \$f holds a typecode and one variable"),
    ("t $f wff p $.", r"the variable p has an active \$f"),
    ("t $p |- p $.", r"'\$\.' inside the \$p statement"),
    ("t $p |- p $= $.", "t has an empty proof"),
    ("t $p |- p $= zz $.", "its proof names zz, which stands nowhere before it"),
    ("t $p |- p $= t $.", "its proof names t, which stands nowhere before it"),
    ("${ h $e |- p $. $} t $p |- p $= h $.", "names the hypothesis h, which is not active here"),
    ("${ h $e |- p $. $} t $p |- p $= ( h ) B $.", "names the hypothesis h, which is not active here"),
    ("t $p |- p $= ( imp $.", "not closed"),
    ("t $p |- p $= ( wp ) A $.", "wp may not stand among"),
    ("t $p |- p $= ( ? ) A $.", "\\? may not stand among"),
    ("t $p |- p $= ( imp ) $.", "does not decode"),
    ("t $p |- p $= ( imp ) AU $.", "does not decode"),
    ("t $p |- p $= ( imp ) Aa $.", "does not decode"),
    ("t $p |- p $= ( imp ) AC $.", "C in its compressed proof counts beyond"),
    ("t $p |- p $= ( imp ) ZA $.", "Z in its compressed proof does not follow a new step"),
    ("t $p |- p $= ( imp ) AZZ $.", "Z in its compressed proof does not follow a new step"),
    ("t $p |- p $= ( imp ) ?Z $.", "Z in its compressed proof does not follow a new step"),
    ("${ $v r $.\n t $a |- p $.\n\n", "line 6: what begins here is open"),
    ("$}", r"\$} without \$\{"),
    ("\nt", "line 7: what begins here is open"),
    ("t $p |- p\n\n$=", "line 6: what begins here is open"),
    ("$[ own.mm", "the file ends inside"),
    ("$[ a b $]", "'b' where .* was expected"),
    ("$[ a$b $]", "is no file's name"),
    ("$[ nothing.mm $]", "there is no such file"),
    ("$[ ../out.mm $]", "leads out of"),
    ("$[ /etc/passwd $]", "leads out of"),
    ("$[ link.mm $]", "leads out of"),
    ("${ $[ other.mm $] $}", r"\$\[ inside a statement or a block"),
    ("t $a $[ other.mm $] wff p $.", r"\$\[ inside a statement or a block"),
    ("$[ other.mm $]", r"other\.mm, line 2: '\$}' where|other\.mm, line 2: \$} without"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), DAMAGE, ids=[str(n) for n in range(len(DAMAGE))])
def test_damage_is_named_with_file_and_line(tmp_path, text, message):
    folder = tmp_path / "db"
    folder.mkdir()
    (tmp_path / "out.mm").write_text("k $a wff k $.")
    (folder / "link.mm").symlink_to(tmp_path / "out.mm")
    (folder / "other.mm").write_text("$c other $.\n $}")
    with pytest.raises(DataError, match=message) as told:
        read(folder, BASE + text + "\n" if text else "")
    assert str(folder) in str(told.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "no.mm", tmp_path):
        with pytest.raises(DataError, match=f"cannot read {path}"):
            list(reprover.read_metamath(path))
    with pytest.raises(DataError, match=r"not called NAME\.mm"):
        reprover.metamath_corpus(tmp_path / "no.txt")
    (tmp_path / "a.mm").write_text(BASE)
    with pytest.raises(DataError, match="asserts nothing of typecode"):
        reprover.metamath_corpus(tmp_path / "a.mm")
    assert len(reprover.metamath_corpus(tmp_path / "a.mm", typecode="wff").premises) == 1


WORDS = ["$c", "$v", "$f", "$e", "$d", "$a", "$p", "$=", "$.", "${", "$}", "$(", "$)", "$[", "$]", "(", ")", "=>",
         "wff", "|-", "p", "q", "wp", "imp", "own.mm", "t", "u", "AB", "ABC", "Z", "?", "\n"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40), st.integers(0, 60), st.integers(0, 8))
def test_no_text_brings_another_error(tmp_path_factory, soup, at, dropped):
    """Tokens put into, and taken out of, a good database at any place: it is read, or one sentence says why not."""
    tokens = example.database(compressed=True).split(" ")
    at = at * len(tokens) // 60
    text = " ".join([*tokens[:at], *soup, *tokens[at + dropped :]])
    path = tmp_path_factory.mktemp("soup") / "own.mm"
    path.write_text(text)
    try:
        list(reprover.read_metamath(path))
    except DataError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)


# --------------------------------------------------------------------------------------------------- includes
def test_included_files_stand_in_place(tmp_path):
    whole = example.database(compressed=True)
    lines = whole.splitlines(keepends=True)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "head.mm").write_text("".join(lines[:9]) + "$[ own.mm $] $[ parts/head.mm $]")  # ignored
    rest = "".join(lines[9:])
    (tmp_path / "parts" / "rest.mm").write_text(rest)
    found = read(tmp_path, "$( all $)\n$[ parts/head.mm $] $[ parts/head.mm $]\n$[\nparts/rest.mm $( a name $) $]\n")
    (tmp_path / "one").mkdir()
    alone = read(tmp_path / "one", whole)
    assert [(a.label, a.statement, a.steps) for a in found] == [(a.label, a.statement, a.steps) for a in alone]
    places = [place for one in found for place in (one.start, one.end)]
    assert places == sorted(places)  # the order of the database is the order of the places
    (tmp_path / "parts" / "rest.mm").write_text(rest.replace("( q => r ) $.\n  chain", "( q => zz ) $.\n  chain"))
    with pytest.raises(DataError, match=r"parts/rest\.mm, line 29: zz is neither"):
        list(reprover.read_metamath(tmp_path / "own.mm"))


# --------------------------------------------------------------------------------------------------- the corpus
def test_the_corpus_by_hand(tmp_path):
    read(tmp_path, example.database(compressed=True))
    corpus = reprover.metamath_corpus(tmp_path / "own.mm")
    kinds = {premise.full_name: premise.kind for premise in corpus.premises}
    assert [name for name, kind in kinds.items() if kind == "axiom"] == ["detach", "keep", "share", "turn", "idle"]
    assert "w.imp" not in kinds and "either" not in kinds and kinds["open"] == "theorem"  # syntax is no premise
    theorems = {theorem.full_name: theorem for theorem in corpus.theorems}
    assert "open" not in theorems and "either" not in theorems  # incomplete; syntax
    step = theorems["chain"].tactics[0]
    assert step.state_before == "|- ( p => q )\n|- ( q => r )\n|- ( p => r )"
    assert {use.full_name for use in step.uses} == {"weaken", "share", "detach"}
    assert step.annotated.replace("<a>", "").replace("</a>", "") == step.tactic
    asked = {query.theorem.full_name: query for query in reprover.queries(corpus, corpus.theorems)}
    assert "twice" not in asked and len(asked) == 8  # only a hypothesis is cited
    names = [premise.full_name for premise in corpus.premises]
    assert {names[n] for n in asked["leans"].positives} == {"open"}
    mask = corpus.accessible("own.mm", theorems["chain"].start)
    assert [name for name, seen in zip(names, mask) if seen] == names[: names.index("chain")]
    for query in asked.values():
        assert max(query.positives) < names.index(query.theorem.full_name)


def synthetic(count: int, seed: int = 0) -> str:
    """A database of ``count`` theorems that share words with what they cite (they are not proved: nobody verifies)."""
    rng = random.Random(seed)
    words = [f"c{n}" for n in range(60)]
    rows, texts = [f"$c |- {' '.join(words)} $.\n"], []
    for n in range(count):
        cited = rng.sample(range(max(0, n - 40), n), min(n, 3))
        text = [rng.choice(words) for _ in range(3)] + [rng.choice(texts[one]) for one in cited for _ in range(2)]
        texts.append(text)
        proof = f"( {' '.join(f't{one}' for one in cited)} ) {'ABC'[: len(cited)]}"
        rows.append(f"t{n} ${'p' if cited else 'a'} |- {' '.join(text)} {f'$= {proof} ' if cited else ''}$.\n")
    return "".join(rows)


def test_splits_retrieval_and_layout_work_unchanged(tmp_path):
    read(tmp_path, synthetic(400))
    corpus = reprover.metamath_corpus(tmp_path / "own.mm")
    again = reprover.load_corpus(reprover.save_corpus(corpus, tmp_path / "kept"))
    assert again == corpus
    for make in (reprover.random_split, reprover.novel_premises_split):
        split = make(corpus.theorems, 40, 60)
        asked = reprover.queries(corpus, split["test"])
        found = {name: reprover.evaluate(corpus, asked, name) for name in ("bm25", "random")}
        assert found["bm25"].rows == reprover.evaluate(again, asked, "bm25").rows
        good = sum(found["bm25"].values("recall@10"))
        many = [corpus.accessible(one.theorem.file_path, one.theorem.start).sum() for one in asked]
        chance = sum(min(1, 10 / n) for n in many)  # of n places in a random order ten are among the first ten
        drawn = [sum(reprover.evaluate(corpus, asked, "random", seed=seed).values("recall@10")) for seed in range(12)]
        assert good > 3 * chance and good > 20
        assert sum(drawn) / 12 == pytest.approx(chance, abs=1.2)  # one draw's deviation is below 1.5
        best = reprover.ceiling(asked)
        for one in found.values():
            for name in ("recall@1", "recall@10"):
                assert all(a <= b for a, b in zip(one.values(name), best.values(name)))
    trained = {use for theorem in split["train"] for use in theorem.tactics[0].uses}
    assert all(set(theorem.tactics[0].uses) - trained for theorem in split["test"])


def test_the_tables_of_a_database(tmp_path):
    from workbench.papers.reprover import figures, study

    read(tmp_path, synthetic(300))
    corpus = reprover.metamath_corpus(tmp_path / "own.mm")
    asked = reprover.database_queries(corpus, 25)
    more = reprover.database_queries(corpus)
    assert all(asked[split] == more[split][:25] and len(more[split]) > 25 for split in reprover.SPLITS)
    overview = study.database_overview(corpus, asked).set_index("what")["value"]
    assert overview["premises"] == 300 and overview["complete proofs"] == 299
    assert overview["proofs asked, random split"] == 25
    rows = study.retrieval_table(corpus, asked, ["bm25"])
    assert len(rows) == 4 and {row["retriever"] for row in rows} == {"bm25"}
    best = {row["split"]: row["recall@10"].value for row in study.ceiling_rows(asked)}
    assert all(row["recall@10"].value <= best[row["split"]] for row in rows)
    assert figures.retrieval_figure(rows).axes[0].get_title(loc="left") == "random (n = 25)"
