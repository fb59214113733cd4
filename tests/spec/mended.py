"""Vectors that say plainly what they mean but not in the specification's words, with the slip mended.

Where an expectation itself is wrong nothing can be mended: those stay with the errata.
"""

from __future__ import annotations

import json
from typing import Any

from tests.spec import official

Key = tuple[str, int]
AS_THEY_ARE: tuple[tuple[str, str], ...] = ()  # `from_argument` is read as `from_parameter` in all vectors
CONDITION = ('"process": {"process_graph"', '"condition": {"process_graph"')
LABELLED = ('"returns": [', '"returns": {"type": "labeled-array", "data": [')  # and a bracket at the end
JUNE = ('"2020-01-', '"2020-06-')
ROUNDED = ('"returns"', '"delta": 0.01, "returns"')
TARGET = ('"source"', '"target"')
NODE = (('{"gt": {"process_id"', '{"process_graph": {"gt": {"process_id"'), ('"result": true}}', '"result": true}}}'))

# What is written in a vector's JSON, and what is meant.
SLIPS: dict[Key, tuple[tuple[str, str], ...]] = {
    ("apply", 1): AS_THEY_ARE,
    **{("array_apply", index): AS_THEY_ARE for index in (1, 2, 3, 4)},
    ("array_filter", 0): (CONDITION, ('{"x": 3}', '{"x": 3, "y": 1}')),
    **{("array_filter", index): (CONDITION,) for index in (1, 2, 6)},
    **{("array_filter", index): (CONDITION, LABELLED) for index in (3, 4)},
    ("array_filter", 5): (CONDITION, ('"subtract"', '"gt"')),
    **{("aggregate_temporal", index): (JUNE, ROUNDED) for index in (5, 6, 7, 8)},
    ("aggregate_temporal", 9): (
        JUNE,
        ROUNDED,
        ('"result": true}}, "labels": ["before", "after"]}', '"result": true}}}, "labels": ["before", "after"]'),
    ),
    ("aggregate_temporal", 10): (('"process_id": "mean"', '"process_id": "median"'),),
    **{("aggregate_temporal_period", index): (('"t2"', '"t"'), ROUNDED) for index in (8, 9)},
    **{("count", index): (*NODE, ('"element"', '"x"')) for index in (4, 5)},
    ("merge_cubes", 3): AS_THEY_ARE,
    ("rename_dimension", 5): (('"order: "', '"order"'),),
    **{("rename_labels", index): (TARGET,) for index in (5, 7)},
}


def vector(key: Key) -> dict[str, Any]:
    """A vector as it was meant."""
    written = json.dumps(next(test for test in official.vectors()[key[0]] if test["index"] == key[1]))
    for slip, meant in SLIPS[key]:
        assert slip in written, f"{key}: no {slip} in {written}"
        written = written.replace(slip, meant)
    return json.loads(written + "}" if LABELLED in SLIPS[key] else written)
