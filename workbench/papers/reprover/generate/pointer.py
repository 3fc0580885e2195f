"""The small generator's network: an encoder-decoder that writes a piece of its vocabulary or copies one of its source.

p(piece) = g · softmax(vocabulary) + (1 - g) · the attention on the source's pieces that spell it; g in (0, 1) is
computed from the decoder's state (the pointer-generator of See et al. 2017, on a transformer). Copying is what a
name outside the vocabulary, and every hypothesis, needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import logsigmoid, scaled_dot_product_attention

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


class Decoding:
    """Texts that are being written, ``width`` for each source: all keys and values are computed once.

    A source's are shared by its texts, and a text's grow by a piece a step, so a step costs one piece of each text,
    whatever its length and its source's.
    """

    def __init__(self, network: Pointer, read: Read, width: int) -> None:
        self._network, self._read, self._width = network, read, width
        memory = network.encode(read)  # (B, S, H)
        self._pads = torch.zeros(read.pieces.shape).masked_fill(read.pieces == PAD, -torch.inf)[:, None]  # (B, 1, S)
        self._copied = network.key(memory).transpose(1, 2)  # (B, H, S)
        self._source = [
            [self._heads(one) for one in _projected(layer.multihead_attn, memory, 1)]
            for layer in network.decoder.layers
        ]  # of each layer: keys and values, (B, heads, S, d)
        self._written: list[list[torch.Tensor]] = [[] for _ in network.decoder.layers]  # (B * W, heads, T, d)

    def _heads(self, states: torch.Tensor) -> torch.Tensor:
        """(N, T, H) -> (N, heads, T, d)."""
        return states.unflatten(-1, (self._network.shape.heads, -1)).transpose(1, 2)

    def step(self, pieces: torch.Tensor, parts: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
        """Write one piece more.

        Parameters
        ----------
        pieces : (B * W,), parts : (B * W, PARTS)
        order : (B * W,), optional
            Which text each goes on with; None at the beginning.

        Returns
        -------
        (B * W, V + new)
            Natural log-probabilities of the next piece, over the extended vocabulary.
        """
        network, width = self._network, self._width
        at = self._written[0][0].shape[2] if self._written[0] else 0
        states = network.piece(pieces) + network.part(parts).sum(1) + network.place.weight[at]  # (B * W, H)
        for number, layer in enumerate(network.decoder.layers):
            query, *new = _projected(layer.self_attn, layer.norm1(states)[:, None], 0)  # (B * W, 1, H)
            new = [self._heads(one) for one in new]
            if order is not None:
                new = [torch.cat([old[order], one], 2) for old, one in zip(self._written[number], new)]
            self._written[number] = new
            seen = scaled_dot_product_attention(self._heads(query), *new)  # (B * W, heads, 1, d)
            states = states + layer.self_attn.out_proj(seen.flatten(1))
            (query,) = _projected(
                layer.multihead_attn, layer.norm2(states).unflatten(0, (-1, width)), 0, 1
            )  # (B, W, H)
            seen = scaled_dot_product_attention(
                self._heads(query), *self._source[number], attn_mask=self._pads[:, None]
            )  # (B, heads, W, d)
            states = states + layer.multihead_attn.out_proj(seen.transpose(1, 2).flatten(2).flatten(0, 1))
            states = states + layer.linear2(layer.activation(layer.linear1(layer.norm3(states))))
        states = network.decoder.norm(states).unflatten(0, (-1, width))  # (B, W, H)
        logits = states @ network.piece.weight[: network.writable].T + network.bias  # (B, W, writable)
        attention = network.query(states) @ self._copied / network.shape.width**0.5 + self._pads  # (B, W, S)
        gate = network.gate(states)
        write = (logits.log_softmax(-1) + logsigmoid(gate)).exp()
        copy = (attention.log_softmax(-1) + logsigmoid(-gate)).exp()
        write[..., [PAD, START, UNKNOWN]] = 0.0  # never written
        more = network.piece.num_embeddings - network.writable + max(map(len, self._read.new))
        places = self._read.copy[:, None].expand_as(copy)
        return nn.functional.pad(write, (0, more)).scatter_add(2, places, copy).log().flatten(0, 1)


def _projected(attention: nn.MultiheadAttention, states: torch.Tensor, first: int, end: int = 3):
    """Queries (0), keys (1) and values (2) of ``states``, of them those from ``first`` to ``end``."""
    width = attention.embed_dim
    rows = slice(first * width, end * width)
    return nn.functional.linear(states, attention.in_proj_weight[rows], attention.in_proj_bias[rows]).chunk(
        end - first, -1
    )


@torch.no_grad()
def beam(network: Pointer, vocabulary: Vocabulary, sources: Sequence[Source], width: int) -> list[list[tuple]]:
    """The likeliest texts of each source: [(text, log-probability)], best first, no text twice, at most ``width``.

    All sources are decoded together; a source is done when its ``width`` best texts are complete.
    """
    read, rows = tensors_of(vocabulary, sources), len(sources)
    decoding = Decoding(network, read, width)
    scores = torch.full((rows, width), -torch.inf)
    scores[:, 0] = 0.0
    texts: list[list[list[str]]] = [[[] for _ in range(width)] for _ in range(rows)]
    pieces, order = torch.full((rows * width,), START), None
    parts = torch.zeros(rows * width, PARTS, dtype=torch.long)
    done: list[dict[str, float]] = [{} for _ in range(rows)]
    for step in range(LONGEST):
        following = decoding.step(pieces, parts, order)  # (B * W, E)
        if step == LONGEST - 1:  # nothing but the end can follow
            following[:, torch.arange(following.shape[1]) != END] = -torch.inf
        size = following.shape[1]
        total = (scores[..., None] + following.view(rows, width, size)).view(rows, -1)
        values, chosen = total.topk(2 * width, dim=1)  # enough, although half of them may end here
        origin, number = chosen // size, chosen % size
        kept: list[list[tuple]] = []  # of each source: (score, text it goes on with, piece, its parts)
        for row, (some, origins, numbers) in enumerate(zip(values.tolist(), origin.tolist(), number.tolist())):
            least = sorted(done[row].values())[-width] if len(done[row]) >= width else -torch.inf
            alive, grown = [], []
            for value, at, piece in zip(some, origins, numbers):
                if len(alive) == width or value <= least:
                    break
                text = texts[row][at]
                if piece == END:
                    whole = "".join(text)
                    if whole.strip():
                        done[row][whole] = max(value, done[row].get(whole, -torch.inf))
                    continue
                new = piece >= len(vocabulary)
                spelt = read.new[row][piece - len(vocabulary)] if new else vocabulary.pieces[piece]
                alive.append((value, row * width + at, UNKNOWN if new else piece, vocabulary.parts_of(spelt)))
                grown.append([*text, spelt])
            rest = width - len(alive)
            kept.append(alive + [(-torch.inf, row * width, PAD, [0] * PARTS)] * rest)
            texts[row] = grown + [[]] * rest
        value, at, piece, part = zip(*(one for some in kept for one in some))
        scores = torch.tensor(value).view(rows, width)
        if not torch.isfinite(scores).any():
            break
        order, pieces, parts = torch.tensor(at), torch.tensor(piece), torch.tensor(part)
    return [sorted(some.items(), key=lambda one: -one[1])[:width] for some in done]
