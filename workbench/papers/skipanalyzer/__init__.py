"""SkipAnalyzer: an analyser's warnings triaged and mended by a language model, beside what does it without one.

Mohajer, Aleithan, Harzevili, Wei, Belle, Pham, Wang, "SkipAnalyzer: A Tool for Static Code Analysis with Large Language
Models", arXiv 2310.18532v2.

What is here: the methods of a tree of Java, warnings as SARIF in and out, Eclipse's analyser with its coverage, and the
controls that read no more than words. The model's own part (detect, filter, patch) is still to come.
"""

from ...lazy import from_stub

__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
