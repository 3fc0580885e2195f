"""A patch as a unified diff that `git apply` takes: the file's ends of lines, its indentation, odd names of files."""

import difflib
import re
from collections.abc import Iterable

from ..sources import Method

CONTEXT = 3  # lines around a change


def diff(file_text: str, method: Method, patch: str, others: Iterable[Method] = ()) -> str:
    """The change of a file that puts a patch in the place of a method.

    Parameters
    ----------
    file_text : str
        The whole file as it is, its ends of lines kept (read bytes and decode; or open with ``newline=""``).
    method : Method
        From `sources.parse_methods` of this text: its bytes say where it stands, its file how the file is called.
    patch : str
        The whole patched method.
    others : iterable of Method, optional
        Methods of the file that have diffs of their own: the lines around the change do not reach into them, so that
        all diffs of the file apply one after another, in any order.

    Returns
    -------
    str
        Write it with its ends of lines kept too. Empty if nothing changes.
    """
    lines = re.findall(rb"[^\n]*\n|[^\n]+", file_text.encode())  # only a line feed ends a line, as for git
    low, high = max(0, method.start - 1 - CONTEXT), method.end + CONTEXT
    for other in others:
        if other.end < method.start:
            low = max(low, other.end)
        elif other.start > method.end:  # git takes a change without a line behind it for the file's end
            high = max(method.end + 1, min(high, other.start - 1))
    before, start = b"".join(lines[low:high]), sum(map(len, lines[:low]))
    first, last = method.first - start, method.last - start
    after = before[:first] + placed(file_text, method, patch).encode() + before[last:]
    changes = list(difflib.unified_diff(_lines(before.decode()), _lines(after.decode()), n=CONTEXT))[2:]
    if not changes:
        return ""
    head = "".join(f"{mark} {_quoted(f'{side}/{method.file}')}\n" for mark, side in (("---", "a"), ("+++", "b")))
    unended = "\n\\ No newline at end of file\n"
    changes = [_moved(line, low) if line.startswith("@@") else line for line in changes]
    return head + "".join(line if line.endswith("\n") else line + unended for line in changes)


def _moved(header: str, by: int) -> str:
    """The head of a hunk, ``by`` lines further down."""
    return re.sub(r"([-+])(\d+)", lambda found: f"{found[1]}{int(found[2]) + by}", header)


def placed(file_text: str, method: Method, patch: str) -> str:
    """A patch with the indentation and the ends of lines of the place that it goes to; its first line has none."""
    data = file_text.encode()
    start = data.rfind(b"\n", 0, method.first) + 1
    indent = re.match(r"[ \t]*", data[start : method.first].decode())[0]
    lines = patch.replace("\r\n", "\n").strip().split("\n")
    own = re.match(r"[ \t]*", lines[-1])[0] if len(lines) > 1 else ""  # of its closing brace
    lines[1:] = [indent + line.removeprefix(own) if line.strip() else "" for line in lines[1:]]
    crlf = data.count(b"\r\n", max(start - 2, 0), method.last)
    end = "\r\n" if crlf > data.count(b"\n", max(start - 2, 0), method.last) / 2 else "\n"
    return end.join(lines)


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one, as for git."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _quoted(path: str) -> str:
    """A path as git writes it: in quotes with octal bytes if it is odd, with a tab behind it if it holds a blank."""
    if re.search(r'["\\\x00-\x1f\x7f-\uffff]', path) or any(ord(one) > 0x7F for one in path):
        escaped = "".join(
            f"\\{chr(byte)}" if chr(byte) in '"\\' else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
            for byte in path.encode()
        )
        return f'"{escaped}"'
    return f"{path}\t" if " " in path else path
