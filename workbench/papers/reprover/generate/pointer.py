"""The small generator's network: an encoder-decoder that writes a piece of its vocabulary or copies one of its source.

p(piece) = g · softmax(vocabulary) + (1 - g) · the attention on the source's pieces that spell it; g in (0, 1) is
computed from the decoder's state (the pointer-generator of See et al. 2017, on a transformer). Copying is what a
name outside the vocabulary, and every hypothesis, needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from .pieces import END, PAD, PARTS, PREMISES, START, STATE, UNKNOWN, Source, Vocabulary

LONGEST = 40  # pieces of a tactic at most
NEVER = -1e4  # in place of a log-probability of -inf, whose gradient is no number
LEAST = -30.0  # a log-probability below counts as this: a piece can neither be written nor copied


@dataclass(frozen=True)
class Shape:
    """Width of a state, of the feed-forward part, heads, layers of encoder and decoder, dropout in training."""

    width: int = 64
    inner: int = 128
    heads: int = 4
    encoder: int = 2
    decoder: int = 1
    dropout: float = 0.1


@dataclass
class Read:
    """A batch of sources as tensors, (B, S); ``copy`` has numbers of the extended vocabulary: V + i is new piece i."""

    pieces: torch.Tensor
    parts: torch.Tensor  # (B, S, PARTS)
    segments: torch.Tensor
    places: torch.Tensor
    copy: torch.Tensor
    new: list[list[str]]  # of each source: the pieces that the vocabulary lacks


def tensors_of(vocabulary: Vocabulary, sources: Sequence[Source]) -> Read:
    """Pad and number a batch of sources."""
    longest = max(len(source.pieces) for source in sources)

    def padded(rows) -> torch.Tensor:
        return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])

    numbers = [[vocabulary.number(piece) for piece in source.pieces] for source in sources]
    new = [
        list(dict.fromkeys(piece for piece, number in zip(source.pieces, row) if number == UNKNOWN))
        for source, row in zip(sources, numbers)
    ]
    copy = [
        [len(vocabulary) + lacking.index(piece) if number == UNKNOWN else number
         for piece, number in zip(source.pieces, row)]
        for source, row, lacking in zip(sources, numbers, new)
    ]  # fmt: skip
    none = [0] * PARTS
    parts = [
        [*(vocabulary.parts_of(piece) for piece in source.pieces), *[none] * (longest - len(source.pieces))]
        for source in sources
    ]
    return Read(
        padded(numbers), torch.tensor(parts), padded([source.segments for source in sources]),
        padded([source.places for source in sources]), padded(copy), new,
    )  # fmt: skip


class Pointer(nn.Module):
    """Sources and the beginning of a tactic in, log-probabilities of the next piece out."""

    def __init__(self, vocabulary: Vocabulary, shape: Shape) -> None:
        super().__init__()
        self.shape, self.writable, width = shape, vocabulary.writable, shape.width
        options = {"dim_feedforward": shape.inner, "dropout": shape.dropout, "batch_first": True, "norm_first": True}
        self.piece = nn.Embedding(len(vocabulary), width, padding_idx=PAD)
        self.part = nn.Embedding(len(vocabulary.parts), width, padding_idx=0)
        self.segment = nn.Embedding(PREMISES + 1, width)
        self.place = nn.Embedding(STATE, width)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(width, shape.heads, **options), shape.encoder, nn.LayerNorm(width),
            enable_nested_tensor=False,
        )  # fmt: skip
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(width, shape.heads, **options), shape.decoder, nn.LayerNorm(width)
        )
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.gate, self.bias = nn.Linear(width, 1), nn.Parameter(torch.zeros(self.writable))
        for embedding in (self.piece, self.part, self.segment, self.place):
            nn.init.normal_(embedding.weight, std=width**-0.5)
            if embedding.padding_idx is not None:
                nn.init.zeros_(embedding.weight[embedding.padding_idx])

    def encode(self, read: Read) -> torch.Tensor:
        """(B, S, H)."""
        embedded = self.piece(read.pieces) + self.part(read.parts).sum(2)
        embedded = embedded + self.segment(read.segments) + self.place(read.places)
        return self.encoder(embedded, src_key_padding_mask=read.pieces == PAD)

    def forward(self, memory: torch.Tensor, read: Read, pieces: torch.Tensor, parts: torch.Tensor):
        """What is behind each of ``pieces`` (B, T).

        Returns
        -------
        Log-probabilities of the next piece if it is written, (B, T, W), of its place if it is copied, (B, T, S), each
        with the gate's in it: all together they sum to 1.
        """
        length, pads = pieces.shape[1], read.pieces == PAD
        embedded = self.piece(pieces) + self.part(parts).sum(2) + self.place.weight[:length]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        states = self.decoder(embedded, memory, tgt_mask=later, memory_key_padding_mask=pads)  # (B, T, H)
        logits = states @ self.piece.weight[: self.writable].T + self.bias  # (B, T, W)
        attention = self.query(states) @ self.key(memory).transpose(1, 2) / self.shape.width**0.5  # (B, T, S)
        attention = attention.masked_fill(pads[:, None], -torch.inf)
        gate = self.gate(states)  # (B, T, 1)
        return logits.log_softmax(-1) + logsigmoid(gate), attention.log_softmax(-1) + logsigmoid(-gate)

    def loss(self, read: Read, pieces: torch.Tensor, parts: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean negative log-probability of ``wanted`` (B, T), numbers of the extended vocabulary; `PAD` is left out."""
        write, copy = self(self.encode(read), read, pieces, parts)
        written = write.gather(2, wanted.clamp(max=self.writable - 1)[..., None]).squeeze(2)
        written = written.masked_fill(wanted >= self.writable, NEVER)
        same = read.copy[:, None] == wanted[..., None]  # (B, T, S)
        copied = copy.masked_fill(~same, NEVER).logsumexp(2)
        total = torch.logaddexp(written, copied)[wanted != PAD]
        return -total.clamp(min=LEAST).mean()

    def spread(self, memory: torch.Tensor, read: Read, pieces: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
        """Natural log-probabilities of the next piece after ``pieces``, over the extended vocabulary: (B, V + new)."""
        write, copy = (one[:, -1].exp() for one in self(memory, read, pieces, parts))
        write[:, [PAD, START, UNKNOWN]] = 0.0  # never written
        more = self.piece.num_embeddings - self.writable + max(map(len, read.new))
        return nn.functional.pad(write, (0, more)).scatter_add(1, read.copy, copy).log()


@torch.no_grad()
def beam(network: Pointer, vocabulary: Vocabulary, sources: Sequence[Source], width: int) -> list[list[tuple]]:
    """The likeliest texts of each source: [(text, log-probability)], best first, no text twice, at most ``width``.

    All sources are decoded together; a source is done when its ``width`` best texts are complete.
    """
    read, rows = tensors_of(vocabulary, sources), len(sources)
    memory = network.encode(read)
    wide = [one.repeat_interleave(width, 0) for one in (read.pieces, read.parts, read.segments, read.places, read.copy)]
    wide = Read(*wide, [new for new in read.new for _ in range(width)])
    memory = memory.repeat_interleave(width, 0)  # (B * W, S, H)
    scores = torch.full((rows, width), -torch.inf)
    scores[:, 0] = 0.0
    texts: list[list[list[str]]] = [[[] for _ in range(width)] for _ in range(rows)]
    pieces = torch.full((rows * width, 1), START)
    parts = torch.zeros(rows * width, 1, PARTS, dtype=torch.long)
    done: list[dict[str, float]] = [{} for _ in range(rows)]
    for step in range(LONGEST):
        following = network.spread(memory, wide, pieces, parts)  # (B * W, E)
        if step == LONGEST - 1:  # nothing but the end can follow
            following[:, torch.arange(following.shape[1]) != END] = -torch.inf
        size = following.shape[1]
        total = (scores[..., None] + following.view(rows, width, size)).view(rows, -1)
        values, chosen = total.topk(2 * width, dim=1)  # enough, although half of them may end here
        origin, number = chosen // size, chosen % size
        kept_from = torch.zeros(rows, width, dtype=torch.long)
        kept, kept_parts = torch.full((rows, width), PAD), torch.zeros(rows, width, PARTS, dtype=torch.long)
        scores = torch.full((rows, width), -torch.inf)
        for row in range(rows):
            least = sorted(done[row].values())[-width] if len(done[row]) >= width else -torch.inf
            alive, grown = 0, []
            for value, at, piece in zip(values[row].tolist(), origin[row].tolist(), number[row].tolist()):
                if alive == width or value <= least:
                    break
                text = texts[row][at]
                if piece == END:
                    whole = "".join(text)
                    if whole.strip():
                        done[row][whole] = max(value, done[row].get(whole, -torch.inf))
                    continue
                new = piece >= len(vocabulary)
                spelt = read.new[row][piece - len(vocabulary)] if new else vocabulary.pieces[piece]
                kept_from[row, alive], kept[row, alive] = at, UNKNOWN if new else piece
                kept_parts[row, alive] = torch.tensor(vocabulary.parts_of(spelt))
                scores[row, alive] = value
                grown.append([*text, spelt])
                alive += 1
            texts[row] = grown + [[]] * (width - alive)
        if not torch.isfinite(scores).any():
            break
        order = (kept_from + width * torch.arange(rows)[:, None]).view(-1)
        pieces = torch.cat([pieces[order], kept.view(-1, 1)], 1)
        parts = torch.cat([parts[order], kept_parts.view(-1, 1, PARTS)], 1)
    return [sorted(some.items(), key=lambda one: -one[1])[:width] for some in done]
