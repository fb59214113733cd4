"""Texts: strict about types, and about letters only if asked to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations import text

SEARCHES = ("text_begins", "text_contains", "text_ends", "text_find")


def test_case_does_not_count_in_any_alphabet() -> None:
    assert text.text_begins("Straße", "STRASSE", case_sensitive=False) is True
    assert text.text_ends("ΣΊΣΥΦΟΣ", "σίσυφος", case_sensitive=False) is True
    assert text.text_contains("ÄÖÜ", "ö", case_sensitive=False) is True
    assert text.text_contains("ÄÖÜ", "ö") is False


def test_positions_are_those_of_the_text_as_it_was_given() -> None:
    assert text.text_find("Straße am See", "SEE", case_sensitive=False) == 10
    assert text.text_find("aßb", "sb", case_sensitive=False) is None
    assert text.text_find("abc", "d") is None
    assert text.text_find("abc", "") == 0


def test_values_are_written_as_json_has_them() -> None:
    assert text.text_concat([None, True, 1, -1.5, "ß", math.inf, -math.inf, math.nan], " ") == (
        "null true 1 -1.5 ß Infinity -Infinity NaN"
    )
    assert text.text_concat(["a", "b"], None) == "anullb"
    assert text.text_concat(np.array([1, 2]), ",") == "1,2"
    assert text.text_concat([]) == ""


@pytest.mark.parametrize("name", SEARCHES)
def test_no_data_comes_back_and_other_types_do_not(name: str) -> None:
    search = DECLARED[name].function
    assert search(None, "a") is None
    assert math.isnan(search(math.nan, "a"))
    bad: list[Any] = [5, True, ["a"], {}, np.array(["a"])]
    for value in bad:
        with pytest.raises(ProcessParameterInvalid):
            search(value, "a")
        with pytest.raises(ProcessParameterInvalid):
            search("a", value)


@pytest.mark.parametrize("bad", [5, "abc", None, {}, [[1]], [{}]], ids=repr)
def test_what_cannot_be_put_together(bad: Any) -> None:
    with pytest.raises(ProcessParameterInvalid):
        text.text_concat(bad)
