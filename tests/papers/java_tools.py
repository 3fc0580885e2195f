"""What the Java suites share: the skip where there is no Java, or no Eclipse compiler."""

import pytest

from workbench.papers.skipanalyzer.compiler import JavaMissing, ecj, java


def java_here() -> bool:
    try:
        return java() is not None and ecj().is_file()
    except JavaMissing:
        return False


needs_java = pytest.mark.skipif(not java_here(), reason="Java and ecj are not installed here")
