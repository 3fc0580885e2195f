"""`inject` against the card's golden example and against the slow oracle, over sentences and graphs of every kind."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from kbert_oracle import GOLDEN_TEXT, GOLDEN_TRIPLES, TOKENIZERS, literal, word_tokenizer

from workbench.errors import DataError, ModelError, UsageError
from workbench.papers.kbert import KBertSettings, KnowledgeGraph, inject, visible_matrix

# words that meet in the middle of others, in other cases and alphabets, with signs of tokenizers and of braces
WORDS = [
    "Tim", "Cook", "tim", "COOK", "New", "York", "new", "car", "cartoon", "café", "cafe\u0301", "北京", "北", "京人",
    "doctor", "doctor's", "'", "’", "s", "is_a", "[SEP]", "<s>", "{object}", "anticoagulant", "-", ",", "a", "ﬁne",
    "Ｎew", "😀", "²", "\u0301",
]  # fmt: skip
SPACES = [" ", " ", " ", "", "  ", "\n", "\t", "\r\n", "\u2028", " \x85 "]


@st.composite
def texts(draw, most=9):
    words = draw(st.lists(st.sampled_from(WORDS), max_size=most))
    return "".join(word + draw(st.sampled_from(SPACES)) for word in words)


phrase = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
graphs = st.lists(st.tuples(phrase, phrase, phrase), max_size=8)


@pytest.fixture(scope="module", params=list(TOKENIZERS))
def tokenizer(request):
    return TOKENIZERS[request.param]()


def compare(item, wanted):
    assert item.ids.tolist() == wanted["ids"]
    assert item.soft_positions.tolist() == wanted["soft"]
    assert item.segment_ids.tolist() == wanted["segments"]
    assert item.visible.tolist() == wanted["visible"]
    assert item.offsets == wanted["offsets"]


def test_the_golden_example_of_the_card():
    tokenizer = word_tokenizer()
    item = inject([GOLDEN_TEXT], KnowledgeGraph.from_triples(GOLDEN_TRIPLES), tokenizer)[0]
    assert item.tokens == (
        ["[CLS]", "Tim", "Cook", "CEO", "Apple", "is", "visiting", "Beijing", "capital", "China", "is_a", "City", "now"]
    )  # fmt: skip
    assert item.soft_positions.tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 6, 7, 6]
    rows = """
        1 1 1 0 0 1 1 1 0 0 0 0 1
        1 1 1 1 1 1 1 1 0 0 0 0 1
        1 1 1 1 1 1 1 1 0 0 0 0 1
        0 1 1 1 1 0 0 0 0 0 0 0 0
        0 1 1 1 1 0 0 0 0 0 0 0 0
        1 1 1 0 0 1 1 1 0 0 0 0 1
        1 1 1 0 0 1 1 1 0 0 0 0 1
        1 1 1 0 0 1 1 1 1 1 1 1 1
        0 0 0 0 0 0 0 1 1 1 0 0 0
        0 0 0 0 0 0 0 1 1 1 0 0 0
        0 0 0 0 0 0 0 1 0 0 1 1 0
        0 0 0 0 0 0 0 1 0 0 1 1 0
        1 1 1 0 0 1 1 1 0 0 0 0 1"""
    assert item.visible.astype(int).tolist() == [[int(n) for n in row.split()] for row in rows.strip().split("\n")]
    assert item.injected.nonzero()[0].tolist() == [3, 4, 8, 9, 10, 11]
    found = [(list(branch), list(owner), tuple(triple)) for branch, owner, triple in item.triples]
    assert found == [
        ([3, 4], [1, 2], GOLDEN_TRIPLES[0]), ([8, 9], [7], GOLDEN_TRIPLES[1]), ([10, 11], [7], GOLDEN_TRIPLES[2]),
    ]  # fmt: skip
    assert [GOLDEN_TEXT[slice(*span)] if span else None for span in item.offsets] == [
        None, "Tim", "Cook", None, None, "is", "visiting", "Beijing", None, None, None, None, "now",
    ]  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(texts(), min_size=1, max_size=4), triples=graphs, branches=st.integers(0, 3),
       soft=st.booleans(), matrix=st.booleans(),
       template=st.sampled_from(["{predicate} {object}", "{object}", "{predicate}{object}"]))  # fmt: skip
def test_a_text_is_what_the_literal_version_makes_of_it(tokenizer, rows, triples, branches, soft, matrix, template):
    graph = KnowledgeGraph.from_triples(triples)
    batch = inject(
        rows, graph, tokenizer, max_branches=branches, soft_position=soft, visible_matrix=matrix, template=template
    )
    for text, item in zip(rows, batch):
        compare(
            item, literal(text, triples, tokenizer, max_branches=branches, soft=soft, matrix=matrix, template=template)
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(texts(6), texts(6)), min_size=1, max_size=3), triples=graphs)
def test_a_pair_is_what_the_literal_version_makes_of_it(tokenizer, rows, triples):
    first, second = map(list, zip(*rows))
    batch = inject(first, KnowledgeGraph.from_triples(triples), tokenizer, pairs=second)
    for text, pair, item in zip(first, second, batch):
        compare(item, literal(text, triples, tokenizer, pair=pair))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(texts(), min_size=1, max_size=3), triples=graphs, longest=st.integers(4, 40))
def test_what_is_too_long_is_what_the_literal_version_leaves(tokenizer, rows, triples, longest):
    batch = inject(rows, KnowledgeGraph.from_triples(triples), tokenizer, max_length=longest)
    wanted = [literal(text, triples, tokenizer, max_length=longest) for text in rows]
    for item, one in zip(batch, wanted):
        compare(item, one)
        assert len(item) <= longest
    assert batch.dropped == sum(one["dropped"] for one in wanted)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from([word for word in WORDS if word.strip("\u0301")]), max_size=8), triples=graphs)
def test_a_text_split_into_words_reads_as_the_text(tokenizer, words, triples):
    """Where no word is a sign of the tokenizer itself, the two ways of giving a text come to the same."""
    words = [word for word in words if word not in ("[SEP]", "<s>")]
    graph = KnowledgeGraph.from_triples(triples)
    split, whole = inject([words], graph, tokenizer)[0], inject([" ".join(words)], graph, tokenizer)[0]
    assert split.ids.tolist() == whole.ids.tolist()
    assert split.visible.tolist() == whole.visible.tolist()
    begins = np.cumsum([0] + [len(word) + 1 for word in words])
    for word, here, there, injected in zip(split.words, split.offsets, whole.offsets, split.injected):
        assert (word == -1) == (there is None) and (here is None) == (there is None)
        assert not (injected and word != -1)
        if there is not None:
            assert there == (here[0] + begins[word], here[1] + begins[word])


def test_trunk_is_never_cut_to_make_room_for_knowledge(tokenizer):
    """The reference fills up with branches and cuts the end of the sentence, labels with it."""
    graph = KnowledgeGraph.from_triples([("doctor", "treats", "disease " * 30), ("drug", "is", "aspirin")])
    text = "the doctor reads about the new drug in New York today"
    plain = inject([text], None, tokenizer)[0]
    for longest in range(len(plain), len(plain) + 20):
        item = inject([text], graph, tokenizer, max_length=longest)[0]
        assert item.ids[~item.injected].tolist() == plain.ids.tolist()
        assert len(item) <= longest
    shorter = inject([text], graph, tokenizer, max_length=len(plain) - 1)
    assert shorter.truncated == 1 and len(shorter[0]) == len(plain) - 1


def test_second_branches_go_before_first_ones():
    tokenizer = word_tokenizer()
    graph = KnowledgeGraph.from_triples([("Tim", "is", "CEO"), ("Tim", "is", "City"), ("now", "is", "China")])
    batch = inject(["Tim is now"], graph, tokenizer, max_length=8)
    assert batch[0].tokens == ["[CLS]", "Tim", "is", "CEO", "is", "now", "is", "China"] and batch.dropped == 1


def test_each_switch_of_the_ablation_does_what_it_says():
    """The reference has no switch for soft positions."""
    tokenizer, graph = word_tokenizer(), KnowledgeGraph.from_triples(GOLDEN_TRIPLES)
    both = inject([GOLDEN_TEXT], graph, tokenizer)[0]
    hard = inject([GOLDEN_TEXT], graph, tokenizer, soft_position=False)[0]
    open_ = inject([GOLDEN_TEXT], graph, tokenizer, visible_matrix=False)[0]
    assert both.ids.tolist() == hard.ids.tolist() == open_.ids.tolist()
    assert hard.soft_positions.tolist() == list(range(13)) and hard.visible.tolist() == both.visible.tolist()
    assert open_.visible.all() and open_.soft_positions.tolist() == both.soft_positions.tolist()
    assert not both.visible.all()


def test_english_is_not_split_into_letters(tokenizer):
    item = inject(
        ["the doctor is in New York"], KnowledgeGraph.from_triples([("New York", "is_a", "City")]), tokenizer
    )[0]
    assert item.ids[~item.injected].tolist() == tokenizer("the doctor is in New York")["input_ids"]
    branch = tokenizer(" is_a City", add_special_tokens=False)["input_ids"]
    assert item.ids[item.injected].tolist() == branch and len(branch) < len("is_aCity")


def test_a_data_set_does_not_grow_with_the_square_of_the_length():
    """The reference keeps a dense matrix for every sentence of the data set."""
    tokenizer, graph = word_tokenizer(), KnowledgeGraph.from_triples(GOLDEN_TRIPLES)
    sizes = []
    for times in (4, 40):
        text = " ".join([GOLDEN_TEXT] * times)
        batch = inject([text] * 10, graph, tokenizer, max_length=2000)
        sizes.append((batch.starts[-1], batch.nbytes))
    (short, small), (long_, large) = sizes
    assert long_ > 9 * short and large / long_ <= 1.05 * small / short < 20


def test_the_tokenizer_is_left_as_it_was(tokenizer):
    inner = tokenizer.backend_tokenizer
    inner.enable_truncation(7, stride=1, strategy="only_first", direction="left")
    inner.enable_padding(length=9, pad_id=1, pad_token="x", direction="left")
    before = inner.truncation, inner.padding
    item = inject(["Tim Cook is visiting the doctor in New York"], None, tokenizer)[0]
    assert len(item) > 9
    assert (inner.truncation, inner.padding) == before
    inner.no_truncation()
    inner.no_padding()


def test_remembered_words_follow_a_tokenizer_that_learns():
    tokenizer = TOKENIZERS["bert"]()
    text = "the doctor reads"
    before = inject([text], None, tokenizer)[0].ids.tolist()
    tokenizer.add_tokens(["doctor"])
    after = inject([text], None, tokenizer)[0].ids.tolist()
    assert before != after == tokenizer(text)["input_ids"]


def test_nothing_and_little(tokenizer):
    assert len(inject([], None, tokenizer)) == 0 and list(inject([], None, tokenizer)) == []
    graph = KnowledgeGraph.from_triples([])
    batch = inject(["", " ", "Tim"], graph, tokenizer)
    assert [item.ids.tolist() for item in batch] == [tokenizer(text)["input_ids"] for text in ("", " ", "Tim")]
    assert batch[-1].ids.tolist() == batch[2].ids.tolist() and batch[0].triples == []
    with pytest.raises(IndexError):
        batch[3]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda t: inject("one text", None, t), DataError, "not one text"),
        (lambda t: inject(["a"], "graph.tsv", t), DataError, "is no knowledge graph"),
        (lambda t: inject(["a", 3], None, t), DataError, "text 2 is 3, not a text"),
        (lambda t: inject(["a", "b \ud83d"], None, t), DataError, "text 2 holds half a character, U+D83D"),
        (lambda t: inject([["a", "\udc80"]], None, t), DataError, "text 1 holds half a character, U+DC80"),
        (lambda t: inject(["a"], None, t, pairs=["\ud83d"]), DataError, "text 1 holds half a character"),
        (lambda t: inject(["a"], None, t, max_length=None), UsageError, "max_length=None makes no sense"),
        (lambda t: inject(["a"], None, t, max_branches=1.5), UsageError, "max_branches=1.5 makes no sense"),
        (lambda t: inject(["a"], None, t, max_length=2**15), UsageError, "max_length=32768 makes no sense"),
        (lambda t: KBertSettings(max_length="9"), UsageError, "max_length='9' makes no sense"),
        (lambda t: inject([["a", ""]], None, t), DataError, "is no list of words"),
        (lambda t: inject([["a"], "b"], None, t), DataError, "text 2, 'b', is no list"),
        (lambda t: inject(["a"], None, t, pairs=[]), DataError, "1 texts and 0 second texts"),
        (lambda t: inject(["a"], None, t, max_length=2), UsageError, "max_length=2"),
        (lambda t: inject(["a"], None, t, max_branches=-1), UsageError, "max_branches=-1"),
        (lambda t: inject(["a"], None, t, template="{thing}"), UsageError, "'{thing}' makes no branch"),
        (lambda t: inject(["a"], None, object()), ModelError, "load a fast tokenizer"),
        (lambda t: inject(["a"], None, t)[0].words, UsageError, "were not split into words"),
        (lambda t: KBertSettings(penalty=1.0), UsageError, "penalty=1.0 hides nothing"),
        (lambda t: KBertSettings(epochs=0), UsageError, "epochs=0 makes no sense"),
    ],
)
def test_what_is_wrong_is_said(call, error, said):
    with pytest.raises(error) as raised:
        call(word_tokenizer())
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_visible_matrix_by_hand():
    owner, branch = np.array([0, 1, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 0, 3])
    seen = [[1, 1, 0, 0, 1, 0], [1, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0],
            [0, 1, 0, 1, 0, 0], [1, 1, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1]]  # fmt: skip
    assert visible_matrix(owner, branch).astype(int).tolist() == seen
