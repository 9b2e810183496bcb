"""Token counts add up, and what is not known stays unknown."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.counts import Usage

counts = st.integers(0, 10**9)
usages = st.builds(
    Usage,
    **{
        field.name: st.booleans()
        if field.name == "is_estimate"
        else counts
        if field.default == 0
        else st.none() | counts
        for field in fields(Usage)
    },
)


@given(usages)
def test_usage_round_trip(usage: Usage) -> None:
    """A usage comes back from its dict, also by way of JSON."""
    assert Usage.from_dict(json.loads(json.dumps(usage.to_dict()))) == usage


@given(usages)
def test_to_dict_leaves_out_what_is_unknown(usage: Usage) -> None:
    """A detail the server did not send is not in the dict, and so never read as 0."""
    assert None not in usage.to_dict().values()


@given(usages, usages)
def test_sum_adds_each_count(one: Usage, other: Usage) -> None:
    """Each count is added; a detail is unknown only where both are; an estimate stays one."""
    total = one + other

    assert total == other + one
    assert total.input_tokens == one.input_tokens + other.input_tokens
    assert total.is_estimate == (one.is_estimate or other.is_estimate)
    if one.cached_tokens is None and other.cached_tokens is None:
        assert total.cached_tokens is None
    else:
        assert total.cached_tokens == (one.cached_tokens or 0) + (other.cached_tokens or 0)


@given(usages, usages, usages)
def test_sum_does_not_depend_on_the_order(one: Usage, two: Usage, three: Usage) -> None:
    """Rows of a ledger may be added in any order, beginning with nothing."""
    assert (one + two) + three == one + (two + three)
    assert Usage() + one == one


def test_sum_with_something_else_is_refused() -> None:
    """A usage is added to a usage only."""
    with pytest.raises(TypeError):
        Usage() + 5  # type: ignore[operator]  # that is the point
