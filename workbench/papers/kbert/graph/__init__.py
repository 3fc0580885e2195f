"""The knowledge graph: where triples come from, how they are kept and found in a text."""
