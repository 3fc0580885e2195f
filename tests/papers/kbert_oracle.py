"""K-BERT the slow way, written from the card alone: dictionaries, windows and double loops. The tests' oracle.

Nothing here is shared with the package: words are cut by hand, subjects looked for window by window, the tree is a list
of nodes, and visibility is asked of every pair.
"""

import unicodedata
from itertools import pairwise

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, PreTrainedTokenizerFast

GOLDEN_TEXT = "Tim Cook is visiting Beijing now"
GOLDEN_TRIPLES = [("Tim Cook", "CEO", "Apple"), ("Beijing", "capital", "China"), ("Beijing", "is_a", "City")]


def is_cjk(character):
    return any(
        low <= ord(character) <= high
        for low, high in ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3134F))
    )


def cut(text):
    """(start, end) of each word: letters, digits and marks together, CJK and other signs one by one."""
    spans, begin = [], None
    for place, character in enumerate(text + " "):
        inside = character.isalnum() and not is_cjk(character)
        mark = unicodedata.category(character) in ("Mn", "Mc") and ord(character) < 0x10000
        inside = inside or (begin is not None and mark and not is_cjk(character))
        if inside:
            begin = place if begin is None else begin
            continue
        if begin is not None:
            spans.append((begin, place))
            begin = None
        if not character.isspace():
            spans.append((place, place + 1))
    return spans


def form(word):
    return unicodedata.normalize("NFKC", word.replace("\u2019", "'")).casefold()


def key(text):
    return tuple(form(text[start:end]) for start, end in cut(text))


def dictionary(triples):
    """Subject's words -> its different (predicate, object, subject as written), in order."""
    found = {}
    for subject, predicate, object_ in triples:
        values = found.setdefault(key(subject), [])
        if (predicate, object_) not in [value[:2] for value in values]:
            values.append((predicate, object_, subject))
    return found


def matches(text, known):
    """(start, end, values): at each word the longest window that is a subject; then on behind it."""
    spans, found, place = cut(text), [], 0
    longest = max(map(len, known), default=0)
    while place < len(spans):
        for size in range(min(longest, len(spans) - place), 0, -1):
            start, end = spans[place][0], spans[place + size - 1][1]
            window = tuple(form(text[a:b]) for a, b in spans[place : place + size])
            if window in known and not broken(text, spans[place : place + size]):
                found.append((start, end, known[window]))
                place += size
                break
        else:
            place += 1
    return found


def broken(text, spans):
    """Whether a line ends between two of the words, one of which is Chinese or Japanese at that end."""
    return any(
        len(("x" + text[end:start] + "x").splitlines()) > 1 and (is_cjk(text[end - 1]) or is_cjk(text[start]))
        for (_, end), (start, _) in pairwise(spans)
    )


def literal(
    text, triples, tokenizer, *, pair=None, max_branches=2, max_length=256, template="{predicate} {object}", soft=True,
    matrix=True,
):  # fmt: skip
    """ids, soft positions, segments, visible matrix, offsets of one text as lists; how many branches were left out."""
    known = dictionary(triples)
    whole = tokenizer(  # lists: a lone "" as the second text would not count as one
        [text], None if pair is None else [pair], truncation="longest_first", max_length=max_length,
        return_offsets_mapping=True, return_token_type_ids=True,
    )  # fmt: skip
    columns = (whole[name][0] for name in ("input_ids", "token_type_ids", "offset_mapping"))
    trunk = list(zip(*columns, whole.sequence_ids(0)))

    owned, done = [], 0  # (first token, last token, values), in the order of the text
    for side, source in enumerate((text, pair)):
        for start, end, values in matches(source, known) if source is not None else ():
            tokens = [
                place
                for place, (_, _, (a, b), where) in enumerate(trunk)
                if where == side and a < end and b > start and b > a
            ]
            if tokens and tokens[0] >= done:
                owned.append((tokens[0], tokens[-1], values[:max_branches]))
                done = tokens[-1] + 1

    branches = []  # [match, rank, ids]
    for number, (_, _, values) in enumerate(owned):
        for rank, (predicate, object_, _) in enumerate(values):
            said = template.replace("{predicate}", "\0").replace("{object}", "\1")
            said = "".join({"\0": predicate, "\1": object_}.get(character, character) for character in said)
            branches.append([number, rank, tokenizer(" " + said, add_special_tokens=False)["input_ids"]])
    size = len(trunk) + sum(len(branch[2]) for branch in branches)
    dropped = []
    if size > max_length:
        room = max_length - len(trunk)
        for branch in sorted(branches, key=lambda branch: branch[1]):  # first branches first, then as they stand
            if len(branch[2]) <= room:
                room -= len(branch[2])
            else:
                dropped.append(branch)
    kept = [branch for branch in branches if not any(branch is other for other in dropped)]

    nodes = []  # (id, soft, segment, offset, owner or None, branch or None)
    for place, (token, segment, offset, side) in enumerate(trunk):
        owner = next((n for n, (a, b, _) in enumerate(owned) if a <= place <= b), None)
        nodes.append((token, place, segment, offset if side is not None else None, owner, None))
        for number, (_, last, _) in enumerate(owned):
            if last != place:
                continue
            for branch in kept:
                if branch[0] == number:
                    for step, token_ in enumerate(branch[2], 1):
                        nodes.append((token_, place + step, segment, None, number, id(branch)))

    def sees(a, b):
        if not matrix or (a[5] is None and b[5] is None):
            return True
        if a[5] is not None and b[5] is not None:
            return a[5] == b[5]
        return a[4] == b[4] and a[4] is not None

    return {
        "ids": [node[0] for node in nodes],
        "soft": [node[1] for node in nodes] if soft else list(range(len(nodes))),
        "segments": [node[2] for node in nodes],
        "visible": [[sees(a, b) for b in nodes] for a in nodes],
        "offsets": [node[3] for node in nodes],
        "dropped": len(dropped),
    }


# --- small tokenizers of the three common kinds ---------------------------------------------------------------------

CORPUS = [
    "Tim Cook is visiting Beijing now, and the new café in New York sells apples.",
    "A doctor's drug: aspirin (an anticoagulant) thins the blood; the patient reads about it in 北京 today.",
    "is_a City capital China CEO Apple part of treats disease person place company",
]

_WORDS = "[UNK] [CLS] [SEP] Tim Cook CEO Apple is visiting Beijing capital China is_a City now"


def word_tokenizer(pad=3):
    """One token a word, [CLS] in front, the pad token at ``pad``: the card's picture."""
    words = [
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "Tim",
        "Cook",
        "CEO",
        "Apple",
        "is",
        "visiting",
        "Beijing",
        "capital",
        "China",
        "is_a",
        "City",
        "now",
    ]
    words.insert(pad, "[PAD]")
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", words.index("[CLS]"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]")


def bert_tokenizer():
    """WordPiece with BERT's normaliser and splitting, trained on CORPUS."""
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    inner.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=140, special_tokens=special, show_progress=False)
    )
    return BertTokenizer(vocab=inner.get_vocab())


def byte_tokenizer():
    """Byte-level BPE with RoBERTa's frame."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    inner.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=340, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )  # fmt: skip
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return _fast(inner, special)


def piece_tokenizer():
    """Unigram with the metaspace, as XLM-R and CamemBERT have."""
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    inner.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(vocab_size=110, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return _fast(inner, special)


def _fast(inner, special):
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), special))
    inner.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return PreTrainedTokenizerFast(tokenizer_object=inner, cls_token="<s>", sep_token="</s>", **names)


TOKENIZERS = {"bert": bert_tokenizer, "byte": byte_tokenizer, "piece": piece_tokenizer}
