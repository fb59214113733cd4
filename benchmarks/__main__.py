"""The command line: python -m benchmarks."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from .scaling import arguments

DESCRIPTION = """\
Measure the processes of this package on dask.

Without DASK_SCHEDULER a cluster of processes is started on this machine and closed at the end. With
DASK_SCHEDULER=tcp://HOST:PORT (or tls://, configured through dask) the same suites run on that scheduler and its
workers, which must have this checkout installed. `doctor` tells whether they do.

Results are stored by commit, and by a label of the target: `embedded`, `external`, or what OPENEO_BENCHMARKS_LABEL
says; give each cluster its own. The address is not stored."""

EXAMPLES = """\
examples:
  python -m benchmarks run                        everything, in a few minutes
  python -m benchmarks run --bench ReduceDimension  suites whose names match, all else left out
  python -m benchmarks graph cubes                counts of tasks, without a cluster
  dask scheduler --port 8786 &  dask worker tcp://127.0.0.1:8786 &
  DASK_SCHEDULER=tcp://127.0.0.1:8786 python -m benchmarks workflows
  asv run --bench Arithmetic                      asv itself works too; then: asv publish, asv preview"""


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; the exit status is 0 where that succeeded."""
    asked = _parser().parse_args(arguments)
    if asked.size:
        os.environ["OPENEO_BENCHMARKS_SIZE"] = asked.size
    if asked.ship:
        os.environ["OPENEO_BENCHMARKS_SHIP"] = "1"
    signal.signal(signal.SIGTERM, _end)
    try:
        return _do(asked)
    except KeyboardInterrupt:
        print("\ninterrupted; what was started has been ended", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        if str(error.name).startswith(("benchmarks", "openeo_processes_dask")):
            raise
        print(f"{error}: install the tools of the group `bench` (`make install`)", file=sys.stderr)
        return 2


def _do(asked: argparse.Namespace) -> int:
    # Imported when they are needed: help need not wait for dask, nor bad news of the scheduler for all the rest.
    from . import target
    from .store import StoreError

    try:
        where = target.address()
        if where and asked.command not in ("graph", "kernels", "bounded", "report", "compare"):
            target.reach(where)
        return _job(asked)
    except (target.TargetError, StoreError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


def _job(asked: argparse.Namespace) -> int:
    from . import commands
    from .asv_runs import AsvError
    from .doctor import doctor
    from .scaling import commands as scaling

    jobs: dict[str, Any] = {
        "run": lambda: commands.run(asked.bench, not asked.bench, asked.rounds),
        "workflows": commands.workflows,
        "graph": lambda: _graph(asked),
        "kernels": lambda: _kernels(asked),
        "bounded": lambda: _bounded(asked),
        "doctor": doctor,
        "compare": lambda: _compare(asked),
        "picture": lambda: commands.picture(asked.path),
        **dict.fromkeys(arguments.COMMANDS, lambda: scaling.run(asked)),
    }
    try:
        return jobs[asked.command]()
    except AsvError as error:
        print(f"AsvError: {error}", file=sys.stderr)
        return 2


def _kernels(asked: argparse.Namespace) -> int:
    from . import kernels

    return kernels.show(asked.names, asked.size == "smallest")


def _graph(asked: argparse.Namespace) -> int:
    from . import commands, large

    if asked.bytes:
        return large.large(asked.bytes, asked.names)
    return commands.graph(asked.names, asked.check, asked.update)


def _bounded(asked: argparse.Namespace) -> int:
    from . import bounded

    return bounded.bounded(asked.names, asked.memory)


def _compare(asked: argparse.Namespace) -> int:
    from .comparing.command import compare
    from .comparing.sides import SideError

    if (len(asked.sides) == 2) == bool(asked.peer) or len(asked.sides) not in (0, 2):
        print("compare needs either --peer NAME==VERSION or two commits or targets", file=sys.stderr)
        return 2
    try:
        return compare(asked.peer, asked.sides, asked.rows, asked.bench, asked.rounds)
    except SideError as error:
        print(f"SideError: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(size=None, ship=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = _sized(_target_command(commands, "run", "the workflows on real pixels, all suites, a table and a page"))
    run.add_argument(
        "--bench", action="append", default=[], metavar="REGEX", help="only suites that match, and no workflows"
    )
    run.add_argument("--rounds", type=int, default=2, help="of each case, after a first one (default: %(default)s)")
    _sized(_target_command(commands, "workflows", "the three workflows alone, from files to files"))
    graph = _command(commands, "graph", "exact counts of tasks, edges and bytes of each suite's graph, no cluster")
    _sized(graph)
    graph.add_argument("names", nargs="*", help="parts of the names of suites; all if none is given")
    either = graph.add_mutually_exclusive_group()
    either.add_argument("--check", action="store_true", help="say what differs from benchmarks/budgets.toml; then fail")
    either.add_argument(
        "--update", action="store_true", help="write benchmarks/budgets.toml anew, and say what changes"
    )
    either.add_argument(
        "--bytes", metavar="4TiB", help="build on a cube of this size instead; how long each takes, in how much memory"
    )
    kernels = _command(commands, "kernels", "processes on values beside numpy expressions on one block, no cluster")
    _sized(kernels)
    kernels.add_argument("names", nargs="*", help="parts of the names of processes; all if none is given")
    bounded = _command(commands, "bounded", "whether cubes of ten times a worker's memory pass through each suite")
    bounded.add_argument("names", nargs="*", help="parts of the names of suites; all if none is given")
    bounded.add_argument(
        "--memory", metavar="1GiB", help="the worker's limit; by default 128 MiB beside what its modules take"
    )
    compare = _sized(
        _command(commands, "compare", "this code and a peer, two commits, or two targets, on the same suites in turns")
    )
    compare.add_argument(
        "sides",
        nargs="*",
        metavar="SIDE",
        help="two commits, the older one first; or two targets: `embedded` or an address, which a label may precede"
        " (prod=tcp://HOST:PORT)",
    )
    compare.add_argument("--peer", metavar="NAME==VERSION", help="a package of the same interface, which is installed")
    compare.add_argument("--rows", choices=("targets",), help="the cases that the project has set itself targets for")
    compare.add_argument("--bench", action="append", default=[], metavar="REGEX", help="only cases that match")
    compare.add_argument("--rounds", type=int, default=5, help="of each case on each side (default: %(default)s)")
    _target_command(commands, "doctor", "what is connected, and whether a number measured there would be valid")
    picture = _sized(_target_command(commands, "picture", "a picture of what the workflows made of the real scene"))
    picture.add_argument("path", nargs="?", type=Path, default=Path("results/ndvi.png"), help="default: %(default)s")
    arguments.add(commands, _command, _target_command)
    return parser


def _command(commands: Any, name: str, help: str) -> argparse.ArgumentParser:
    sentence = f"{help[0].upper()}{help[1:]}."
    command: argparse.ArgumentParser = commands.add_parser(name, help=help, description=sentence)
    return command


def _target_command(commands: Any, name: str, help: str) -> argparse.ArgumentParser:
    """A command that uses the target."""
    command = _command(commands, name, help)
    command.add_argument("--ship", action="store_true", help="upload this package to a cluster that lacks it")
    return command


def _sized(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A command that takes its inputs in one of two sizes."""
    command.add_argument("--size", choices=("default", "smallest"), help="of the inputs; stored apart")
    return command


def _end(number: int, frame: Any) -> NoReturn:
    # As Ctrl-C does, so that clusters and processes are ended in order.
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
