"""What the command line writes: tables, progress and plain lines, also where no terminal reads them."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence

import rich.console
import rich.progress
import rich.table

PIPED_WIDTH = 200
ROUNDED_UP = 999.5  # three digits would be four from here on

Step = Callable[[float, str], None]  # share done, from 0 to 1, and what is being done


def _console() -> rich.console.Console:
    # A file or a pipe has no width: tables must not be folded there as if it were a narrow terminal.
    return rich.console.Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def say(text: str = "") -> None:
    """Write a line."""
    _console().print(text, markup=False, soft_wrap=True)


def heading(text: str) -> None:
    """Write a line that stands out."""
    _console().print(f"\n{text}", style="bold", markup=False)
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Write a table; all but the first `left` columns are numbers and stand on the right."""
    drawn = rich.table.Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        drawn.add_column(name, justify="left" if number < left else "right", no_wrap=number > 0, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    _console().print(drawn, markup=False)


@contextlib.contextmanager
def progress(label: str, lines: bool = True) -> Iterator[Step]:
    """Show how far something has come: a bar on a terminal, else a line for each tenth, or none."""
    if not sys.stdout.isatty():
        yield _lines(label) if lines else lambda share, doing: None
        return
    columns = (
        rich.progress.TextColumn("{task.fields[label]}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("{task.description}", style="dim"),
    )
    with rich.progress.Progress(*columns, console=_console(), transient=True) as bar:
        task = bar.add_task("", total=1.0, label=label)
        yield lambda share, doing: bar.update(task, completed=share, description=doing)


def _lines(label: str) -> Step:
    written = -1

    def step(share: float, doing: str) -> None:
        nonlocal written
        if int(share * 10) > written:
            written = int(share * 10)
            say(f"{label}: {share:4.0%}  {doing}")
            sys.stdout.flush()

    return step


def seconds(value: float | None) -> str:
    """A duration as people read it."""
    if value is None or math.isnan(value):
        return "–"
    if not value:
        return "0 s"
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if value * factor < ROUNDED_UP:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s" if value < ROUNDED_UP else f"{value:.0f} s"


def size(value: float | None) -> str:
    """A number of bytes as people read it."""
    if value is None or math.isnan(value):
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if value < ROUNDED_UP:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def number(value: float | None) -> str:
    """A count as people read it."""
    return "–" if value is None or math.isnan(value) else f"{value:,.0f}"
