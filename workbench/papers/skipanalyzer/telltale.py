"""What would give the answer away in a prompt: comments, and names that say which method is the wrong one.

Test suites label their methods (`bad`, `goodG2B`, `/* FLAW */`), and people write "leak here". Such comments go, and
such names become plain ones, the same in a method, in what it calls and in the warning about it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# words of a name, a string or a comment that say what is right or wrong with a method; "prefix" holds none of them
TELLTALE = frozenset({
    "bad", "good", "flaw", "flaws", "flawed", "fix", "fixes", "fixed", "fixme", "bug", "bugs", "buggy", "leak", "leaks",
    "leaked", "leaky", "leaking", "wrong", "correct", "incorrect", "mistake", "safe", "unsafe", "vulnerable", "vuln",
    "cwe", "juliet", "infer", "npe", "ok", "nok", "fp", "fn", "todo",
})  # fmt: skip
# comment, text block, string, character, name: what stands inside one is not the beginning of another
_PART = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|(?P<text>"""(?:\\.|.)*?(?:"""|\Z)|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\')'
    r"|(?P<name>[A-Za-z_$][\w$]*)",
    re.DOTALL,
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True)
class Anonymous:
    """Texts without what gives the answer away.

    Attributes
    ----------
    code : tuple of str
    prose : str
    names : dict of str to str
        The new name -> the one that stood there.
    """

    code: tuple[str, ...]
    prose: str
    names: dict[str, str]

    def restore(self, text: str) -> str:
        """A text of Java (a patch) with the names that stood there before."""
        return re.sub(r"[A-Za-z_$][\w$]*", lambda found: self.names.get(found[0], found[0]), text)


def tells(text: str) -> bool:
    """Whether a name, a string or a comment holds a word of `TELLTALE`, in camelCase or snake_case too."""
    return any(word.lower() in TELLTALE for word in _WORD.findall(text))


def anonymise(code: Sequence[str], prose: str = "", *, comments: bool = False) -> Anonymous:
    """Take comments and telltale names out of texts of Java, and the same names out of a sentence about them.

    Parameters
    ----------
    code : list of str
        A method, and what else is shown with it. Names are renamed alike in all of them.
    prose : str
        An analyser's message.
    comments : bool
        Keep the comments that hold no telltale word: a patch should not lose them.
    """
    old: dict[str, str] = {}  # the name that stood there -> the new one
    taken = {word for text in (*code, prose) for word in re.findall(r"[\w$]+", text)}

    def name(word: str) -> str:
        if word not in old:
            stem = "Name" if word[0].isupper() else "name"
            number = next(n for n in range(1, len(taken) + 2) if f"{stem}{n}" not in taken)
            old[word] = f"{stem}{number}"
            taken.add(old[word])
        return old[word]

    def plain(found: re.Match) -> str:
        whole = found[0]
        if found["comment"]:
            return whole if comments and not tells(whole) else " " if whole.startswith("/*") else ""
        if not tells(whole):
            return whole
        if found["text"]:
            return _WORD.sub(lambda word: "some" if tells(word[0]) else word[0], whole)
        return name(whole)

    texts = tuple(_tidied(_PART.sub(plain, text), text) for text in code)
    said = re.sub(r"[A-Za-z_$][\w$]*", lambda found: name(found[0]) if tells(found[0]) else found[0], prose)
    return Anonymous(texts, said, {new: word for word, new in old.items()})


def _tidied(text: str, before: str) -> str:
    """A text without the lines that only held a comment."""
    if text == before:
        return text
    lines = [line.rstrip() for line in text.split("\n")]
    empty = {n for n, line in enumerate(before.split("\n")) if not line.strip()}
    same = len(lines) == before.count("\n") + 1
    return "\n".join(line for n, line in enumerate(lines) if line.strip() or (same and n in empty))
