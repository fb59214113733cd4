"""How much this program reads: what the system counts, whatever library it goes through."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

COUNTER = Path("/proc/self/io")


class Count:
    """Bytes that were read; known when the counting is over."""

    bytes = 0


@contextlib.contextmanager
def counted() -> Iterator[Count]:
    """Count the bytes that all threads of this program read meanwhile; what is mapped into memory does not count."""
    count, before = Count(), _read()
    yield count
    count.bytes = _read() - before


def _read() -> int:
    (line,) = (line for line in COUNTER.read_text().splitlines() if line.startswith("rchar:"))
    return int(line.split()[1])
