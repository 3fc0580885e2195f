"""``workbench sweep``: run a grid, estimate how long it takes, or print its cells as separate commands."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from ..errors import UsageError
from ..files import expanded
from .base import Out, app, complain, passed_over
from .runs import Backend, BaseUrl, Bits, Model, Params, Profile, Revision, Timeout, gather

SHOWN = 12  # cells that a dry run lists, and failures that a summary names


@app.command()
def sweep(
    paper: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="A paper's name or the path of an .ipynb file; the grid file may name it instead."),
    ] = None,
    axis: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--grid", "-g", metavar="NAME=V1,V2", help="An axis of the grid; may be given many times."),
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Repeat with seed = 0 … N-1.")] = None,
    file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--file", "-f", metavar="YAML", help="Read the grid from a file (docs/runs.md)."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", metavar="N", help="Runs at a time (default: 1; with Ray: what the cluster takes)."
        ),
    ] = None,
    out: Out = None,
    profile: Profile = None,
    param: Params = None,
    model: Model = None,
    bits: Bits = None,
    backend: Backend = None,
    revision: Revision = None,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="Threads of a run (default: cores / jobs; with Ray: 1)."),
    ] = None,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", metavar="N", help="Start nothing new after N failed cells.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Start nothing: show what would run and how long it may take.")
    ] = False,
    print_commands: Annotated[
        bool,
        typer.Option(
            "--print-commands", help="Start nothing: print one command a cell, for a Slurm array (docs/cluster.md)."
        ),
    ] = False,
    warm: Annotated[
        bool,
        typer.Option(
            "--warm",
            help="Reuse kernels: much cheaper for short runs, but what a run changes inside imported modules affects"
            " the next run.",
        ),
    ] = False,
    engine: Annotated[str, typer.Option("--engine", metavar="local|ray", help="Where the runs execute.")] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="ADDRESS", help="Ray: the cluster (auto, HOST:PORT); default: one started here."
        ),
    ] = None,
    gpus_per_run: Annotated[
        float | None, typer.Option("--gpus-per-run", metavar="N", help="Ray: GPUs reserved for a run; 0.5 shares one.")
    ] = None,
    mlflow: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--mlflow", metavar="FILE", help="Copy finished runs into this MLflow database (sqlite)."),
    ] = None,
    copy_to: Annotated[
        str | None, typer.Option("--copy-to", metavar="URL", help="Copy finished runs there (s3://, gs://, file://).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
):
    """Run every combination of a grid once, and continue after a crash.

    Examples:

    [bold]workbench sweep randomness -g concept=01,011 --seeds 5 --jobs 2[/bold]

    [bold]workbench sweep randomness -g model=smollm2,gemma3-270m --seeds 3 --profile smoke --dry-run[/bold]

    [bold]workbench sweep --file grid.yaml --engine ray --address auto --gpus-per-run 1[/bold]

    [bold]workbench sweep randomness -g concept=01,011 --seeds 5 --print-commands > cells.txt[/bold]

    The sweep skips a cell that has a finished run, so the same command continues where it stopped. Start it twice at
    once and the two share the work. Values are read as -p reads them and split at commas outside quotes and brackets:
    -g sizes='\\[1,2],\\[3]' is two lists. Ctrl-C stops in order, a second one at once.

    Exit codes: 0 every cell finished, 1 some cells failed or did not run, 2 wrong usage, 130 interrupted.
    """
    from ..runs.store import entry as store
    from ..runs.sweep import driver as sweeps, grid as grids

    flags = {
        "model": model,
        "bits": bits,
        "backend": backend,
        "revision": revision,
        "base_url": base_url,
        "profile": profile,
    }
    if dry_run and print_commands:
        raise UsageError("--dry-run and --print-commands are two different answers; ask for one of them")
    every = grids.build_all(paper, axis or [], fixed=gather(flags, param), seeds=seeds, file=file)
    sweeps.check(jobs, threads, timeout, max_failures, warm, engine, address, gpus_per_run)
    for asked in every:
        if len(asked) >= grids.MANY:
            complain(f"warning: the grid has {len(asked):,} cells")
    folder = store.runs_folder(out)
    if dry_run:
        for asked in every:
            _dry_run(asked, folder, jobs, threads, engine)
        return
    if print_commands:
        options = ["--timeout", f"{timeout:g}"] if timeout is not None else []
        options += ["--threads", str(threads)] if threads is not None else []
        options += ["--mlflow", str(expanded(mlflow).absolute())] if mlflow is not None else []
        options += ["--copy-to", copy_to] if copy_to is not None else []
        for asked in every:
            _print_commands(asked, folder, options)
        return
    from ..runs.sweep.sinks import CopyTo, MLflow

    sinks = [MLflow(mlflow)] if mlflow is not None else []
    sinks += [CopyTo(copy_to)] if copy_to is not None else []
    worst = 0
    for asked in every:
        summary = sweeps.sweep(
            asked,
            out=folder,
            jobs=jobs,
            threads=threads,
            timeout=timeout,
            max_failures=max_failures,
            warm=warm,
            engine=engine,
            address=address,
            gpus_per_run=gpus_per_run,
            sinks=sinks,
            progress=not quiet,
        )
        _show_summary(summary, asked, folder, quiet)
        worst = max(worst, summary.exit_code)
        if summary.exit_code == 130 or summary.stopped:
            break
    raise typer.Exit(worst)


def _dry_run(grid, folder: Path, jobs: int | None, threads: int | None, engine: str) -> None:
    """Print the cells, which of them are finished, and how long the rest may take."""
    from ..runs.report.words import duration
    from ..runs.store import entry as store
    from ..runs.sweep import driver as sweep, locks as claims
    from ..runs.sweep.plan import describe, estimate

    records, unreadable = store.scan(folder, grid.notebook.name)
    passed_over(unreadable)
    finished = claims.finished(records)
    left = 0
    for number, cell in enumerate(grid.cells()):
        left += cell.key not in finished
        if number < SHOWN:
            state = finished[cell.key].id if cell.key in finished else "to run"
            print(f"{describe(cell.values, cell.values)}: {state}")
    if len(grid) > SHOWN:
        print(f"… and {len(grid) - SHOWN:,} more")
    axes = ", ".join(f"{len(values)} {name}" for name, values in grid.axes.items())
    print(f"{grid.notebook.name}: {len(grid):,} cells ({axes}), {len(grid) - left:,} finished, {left:,} to run")
    guess = estimate(grid, records)
    if guess.seconds is None or not left:
        print("time: nothing is left to run" if not left else f"time: unknown; known is {guess.source}")
        return
    at_a_time = min(left, jobs or 1)
    where = f"{at_a_time} at a time" + ("" if jobs or engine == "local" else "; the cluster may take more")
    if engine == "local":
        where += f", {threads or max(1, sweep.allowed_threads() // at_a_time)} thread(s) each"
    rounds = -(-left // at_a_time)
    print(f"time: about {duration(guess.seconds * rounds)} ({duration(guess.seconds)} a run, {where})")
    print(f"the time of a run is {guess.source}")


def _print_commands(grid, folder: Path, options: list[str]) -> None:
    """Print one command a line for each unfinished cell; everything else goes to standard error."""
    from ..runs.store import entry as store
    from ..runs.sweep import driver as sweep, locks as claims
    from ..runs.sweep.plan import commands

    records, unreadable = store.scan(folder, grid.notebook.name)
    passed_over(unreadable)
    finished = claims.finished(records)
    cells = [cell for cell in grid.cells() if cell.key not in finished]
    sweep.write_manifest(grid, folder)
    for line in commands(grid, cells, out=folder, options=options):
        print(line)
    if not cells:
        print(f"all {len(grid):,} cells are finished: nothing to print", file=sys.stderr)
    else:
        print(
            f"{len(cells):,} commands, {len(grid) - len(cells):,} cells are finished; with the commands in cells.txt:\n"
            f"sbatch --array=1-{len(cells)} --wrap 'sh -c \"$(sed -n ${{SLURM_ARRAY_TASK_ID}}p cells.txt)\"'",
            file=sys.stderr,
        )


def _show_summary(summary, grid, folder: Path, quiet: bool) -> None:
    """Print how the sweep ended."""
    from ..runs.report.words import duration
    from ..runs.store.entry import runs_folder
    from ..runs.sweep.plan import describe

    for cell, outcome in [*summary.halted, *summary.failed][:SHOWN]:
        where = f" (run {outcome.run})" if outcome.run else ""
        complain(f"{outcome.state}: {describe(cell.values, cell.values)}: {outcome.error}{where}")
    if len(summary.halted) + len(summary.failed) > SHOWN:
        complain(f"… and {len(summary.halted) + len(summary.failed) - SHOWN} more")
    for sentence in filter(None, [summary.stopped, summary.uncopied]):
        complain(sentence)
    if quiet:
        return
    passed_over(summary.unreadable)
    parts = [f"{summary.done} run"]
    parts += [f"{summary.before} finished before"] if summary.before else []
    parts += [f"{summary.elsewhere} finished elsewhere meanwhile"] if summary.elsewhere else []
    parts += [f"{len(summary.halted)} stopped by the notebook"] if summary.halted else []
    parts += [f"{len(summary.failed)} failed"] if summary.failed else []
    parts += [f"{summary.left} left"] if summary.left else []
    print(f"{grid.notebook.name}: {summary.cells} cells, {', '.join(parts)}, in {duration(summary.seconds)}")
    if summary.exit_code:
        print("the same command continues with the unfinished cells")
    else:
        print(f"all finished; see them with: workbench report{'' if folder == runs_folder() else f' --out {folder}'}")
