"""``--schema`` in a real kernel: types of the notebook, of a function, and words that are none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernel.conftest import Chat

pytestmark = pytest.mark.kernel
MODEL = """
from pydantic import BaseModel
class Tea(BaseModel):
    what: str
    price: float = 1.5
kind = "Tea"
"""
GREEN = '{"what": "green"}'


@pytest.mark.capability("E8", "E12")
def test_a_cell_asks_for_a_type_of_the_notebook(chat: Chat) -> None:
    """It is shown as a table, and the reply holds a DataFrame; a line in a function sees that function's names."""
    chat.begin()
    chat.run(MODEL, "model").checked()
    cell = f"%%llm -m typed --schema list[Tea] --into found\n{json.dumps([json.dumps({'items': [json.loads(GREEN)]})])}"

    (bundle,) = chat.run(cell, "a").checked().bundles

    assert "<th>what</th>" in bundle["text/html"]
    assert "<td>green</td>" in bundle["text/html"]
    assert chat.kernel.value("found.data.to_dict('list')") == {"what": ["green"], "price": [1.5]}
    assert chat.kernel.value("[type(tea).__name__ for tea in found.parsed]") == ["Tea"]
    asked = json.dumps([GREEN])
    lines = ("def ask():", "    Local = Tea", f"    reply = %llm -m typed --schema Local {asked}", "    return reply")
    chat.run("\n".join((*lines, "in_it = ask()")), "b").checked()
    assert chat.kernel.value("in_it.data.what") == "green"
    chat.run(f"named = %llm -m typed --schema kind {asked}", "c").checked()
    assert chat.kernel.value("named.data.price") == 1.5
    quoted = f"%llm -m typed --schema \"Literal['a', 'b']\" {json.dumps(['b'])}"
    chat.run(f"chosen = {quoted}\nany_json = %llm -m typed --json {asked}", "d").checked()
    assert chat.kernel.value("[chosen.data, any_json.data]") == ["b", {"what": "green"}]


@pytest.mark.capability("E10", "E12")
def test_what_is_no_type_and_what_does_not_fit_are_one_line(chat: Chat) -> None:
    """Nothing is sent for the first; the text of the second is there."""
    chat.begin()
    chat.run(MODEL, "model").checked()
    before = len(chat.server.requests)

    for options, says in (
        ("--schema Tee", "No type named 'Tee' for --schema.  Hint: did you mean Tea?"),
        ("--schema 5", "5 cannot be used as a type"),
        ("--schema list[Tea", "cannot be evaluated"),
        ("--schema Tea --json", "leave one of them out"),
        ("--schema Tea -p response_format={}", "leave one of them out"),
    ):
        (error,) = chat.run(f"%%chat {options}\nhi", "a").errors
        assert says in str(error)
    assert len(chat.server.requests) == before
    (failed,) = chat.run('%%chat -m typed --schema Tea\n["no", "still no"]', "b").errors
    assert "SchemaError: The answer does not fit Tea: this is not JSON" in str(failed)
    assert chat.kernel.value("_reply.text") == "still no"
