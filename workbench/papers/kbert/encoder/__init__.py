"""The encoder: a BERT-like checkpoint that takes soft positions and a visible matrix."""
