"""SkipAnalyzer: an analyser's warnings triaged and mended by a language model, beside what does it without one.

Mohajer, Aleithan, Harzevili, Wei, Belle, Pham, Wang, "SkipAnalyzer: A Tool for Static Code Analysis with Large Language
Models", arXiv 2310.18532v2.

- `detect`, `filter_warnings`, `patches`: a model asked about methods, with any handle (`asking`); `overview.page` runs
  them on our own set beside an analyser, rules, a filter of words and a patcher by rule (`study`).
- `methods`, `scan`: the methods of a tree of Java. `analyse`, `read_sarif`, `with_verdicts`: warnings in and out.
- `validate`, `diff`: a patch in stages, and as a diff.
"""

from ...lazy import from_stub

__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
