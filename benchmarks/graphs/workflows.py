"""Benchmarks of the three workflows of examples/workflows, from the files to what would be saved."""

from __future__ import annotations

from typing import Any

from .. import examples, inputs
from ..suite import Suite


class Workflows(Suite):
    """Reading is measured with the rest, and writing is not: nothing of the result leaves the workers."""

    params = (examples.names(),)
    param_names = ("workflow",)

    def inputs(self, workflow: str) -> None:
        self.scene = examples.scene("suites" if self.size == "default" else self.size)

    def build(self, workflow: str) -> Any:
        return examples.lazy(workflow, self.scene)

    def expected(self, workflow: str) -> Any:
        # What the values must be is written in tests/oracles.py, which computes them from the files alone.
        return inputs.loaded(self.build(workflow))
