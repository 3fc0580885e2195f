"""K-BERT: triples of a knowledge graph woven into a sentence, for any BERT-like checkpoint.

Liu, Zhou, Zhao, Wang, Ju, Deng, Wang, "K-BERT: Enabling Language Representation with Knowledge Graph", AAAI 2020. Facts
and their sources: data/kbert/README.md.

1. Find the graph's subjects in the text (`KnowledgeGraph.find`).
2. Put up to two triples ("branches") behind each: the sentence tree, flattened (`inject`).
3. Soft positions: the trunk counts as if there were no branches; a branch counts on from its word.
4. Visible matrix: a branch sees itself and its word, its word sees it, nobody else does; an additive mask in every
   layer (`visible_matrix`, `KnowledgeCollator`).
5. Train and use the encoder as ever (`KBert`).

Deviations from the reference code, each with a regression test:
- Branches follow the graph's order, not PYTHONHASHSEED; a bad line is an error with its number.
- Too long a text loses branches first, whole ones; its own tokens are cut only if they are too many alone.
- Subjects of several words are found (leftmost-longest, on word boundaries); text is tokenised as the model's tokenizer
  does it, English not by letters.
- The T x T matrix exists for one batch at a time, in the collator; a data set grows with T, not with T squared.
- Both devices have a switch; entity scores know types (`entity_scores`), the reference's do not (`boundary_scores`).
- Injected tokens carry no NER label, where the reference labels them [ENT] and trains on that.
"""

from ...lazy import from_stub

__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
