"""The command line of sweeps, projections and reports: what may be asked, without what answers it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMANDS = ("sweep", "calibrate", "project", "report")

Maker = Callable[[Any, str, str], argparse.ArgumentParser]

NAME = """suite, with its parameters where it has several: as `graph` lists them, such as
cubes.reduce.ReduceDimensionAcrossChunks-median, or a part of that which no other has"""
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
BINARY_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}


def add(commands: Any, command: Maker, target_command: Maker) -> None:
    """Add the commands to those that there are, with what makes one, and one that uses the target."""
    _sweep(
        target_command(
            commands, "sweep", "the same work on more and more threads (strong), or more work on them (weak)"
        )
    )
    target_command(commands, "calibrate", "what a task, a copy and a transfer cost on the target")
    _project(
        target_command(
            commands, "project", "a lower bound of the time at a size that cannot be run here, or --validate"
        )
    )
    _report(command(commands, "report", "pages and a summary of what is stored, made again"))


def _sweep(parser: argparse.ArgumentParser) -> None:
    parser.description = f"""{parser.description} Runs on the workers of the target that are alike, part of them after
    part, in random order, round by round. A run that took much longer than the fastest of its number of threads is left
    out and done again; a number of threads of which too few agree is rejected. The smallest number comes first and
    last, and the sweep is rejected where these differ by a factor of two."""
    parser.add_argument("name", metavar="NAME", help=NAME)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--strong", dest="mode", action="store_const", const="strong", help="one cube for all")
    mode.add_argument("--weak", dest="mode", action="store_const", const="weak", help="a cube that grows with them")
    parser.add_argument(
        "--threads", default="1,2,4,all", metavar="N,N,…", help="`all` is all that are alike (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=_rounds, default=3, help="at least 3 (default: %(default)s)")
    parser.add_argument(
        "--chunk", type=size, default=8_000_000, metavar="BYTES", help="at most of a chunk (default: 8 MB)"
    )
    parser.add_argument(
        "--least",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="of processor time that a run takes of each of the fewest threads: the work is done over and over on the"
        " same blocks (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="SECONDS", help="of a single run (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order (default: %(default)s)")
    _folder(parser)


def _project(parser: argparse.ArgumentParser) -> None:
    parser.description = f"""{parser.description} The graph of that size is built and counted, and not run; what a task,
    a byte and a transfer cost is measured on the target. Every assumption is printed."""
    parser.add_argument("name", metavar="NAME", help=NAME)
    parser.add_argument("--bytes", type=size, metavar="SIZE", help="of the inputs, such as 4TiB or 500GB")
    parser.add_argument("--threads", type=int, metavar="N", help="that the projected cluster has")
    parser.add_argument(
        "--chunk",
        type=size,
        default=None,
        metavar="BYTES",
        help="at most of a chunk (default: 128 MB; 8 MB to validate)",
    )
    parser.add_argument("--validate", action="store_true", help="project what can be run here, run it, and compare")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.description = f"""{parser.description} One page for each suite, with the newest strong and weak sweep of each
    target side by side."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of the names of suites; all if none is given")
    _folder(parser)
    parser.add_argument("--markdown", action="store_true", help="print the summary for a pull request as well")


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=None, help="where pages go (default: results/scaling)")


def size(text: str) -> float:
    """Read a number of bytes such as 4TiB, 500 GB or 8e6.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kMGTP]i?)?B?\s*", text, re.IGNORECASE)
    units = {unit.lower(): factor for unit, factor in {**UNITS, **BINARY_UNITS}.items()}
    try:
        value = float(found[1]) * units[(found[2] or "").lower()] if found else 0.0
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 8MB, 500GB or 4TiB")
    return value


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 3:
        raise argparse.ArgumentTypeError("at least 3 rounds say how much a time varies")
    return int(text)
