"""What docstrings of the three styles say, and that prose never becomes an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.tools.docstrings import read_docstring

GOOGLE = """Find a city.

    Knows them all: also small ones.

    Args:
        name (str): Its name,
            in English.
        country: Its country (two letters): "CH".
        *more: Others.

    Returns:
        The city: a dict.

    Raises:
        name: Not this one.
    """
NUMPY = """Find a city.

    Knows them all: also small ones.

    Parameters
    ----------
    name : str
        Its name,
        in English.
    country : {"CH", "DE"}, optional
        Its country (two letters): "CH".
    more, others
        Others.

    Returns
    -------
    dict
        The city.
    """
SPHINX = """Find a city.

    Knows them all: also small ones.

    :param str name: Its name,
        in English.
    :param country: Its country (two letters): "CH".
    :type country: str
    :keyword more: Others.
    :returns: The city.
    :raises ValueError: Not this one.
    """


@pytest.mark.capability("D3")
@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_the_three_styles_say_the_same(text: str) -> None:
    """Description and parameters are told apart in each style; what follows them is neither."""
    doc = read_docstring(text)

    assert doc.description == "Find a city.\n\nKnows them all: also small ones."
    assert doc.parameters["name"] == "Its name, in English."
    assert doc.parameters["country"] == 'Its country (two letters): "CH".'
    assert doc.parameters["more"] == "Others."
    assert set(doc.parameters) <= {"name", "country", "more", "others"}


@pytest.mark.parametrize(
    ("text", "description", "parameters"),
    [
        (None, "", {}),
        ("", "", {}),
        ("One line.", "One line.", {}),
        ("Args: are words here.", "Args: are words here.", {}),
        ("Do.\n\nArgs:\n", "Do.", {}),
        ("Do.\n\nArgs:\n    a: One.\nBack at the margin.", "Do.", {"a": "One."}),
        (
            "Do.\n\nArguments:\n    a (list[tuple[int, str]]): One.\n\n    b:\n        Two.",
            "Do.",
            {"a": "One.", "b": "Two."},
        ),
        ("Do.\n\n:param a: See :class:`Thing`: it.\nAnd more.", "Do.", {"a": "See :class:`Thing`: it. And more."}),
        ("Do.\n:meta private:\nThen.", "Do.\n:meta private:\nThen.", {}),
        ("Do.\n\nNote\n----\nNothing.\n\nParameters\n----------\na\n", "Do.", {}),
    ],
)
def test_odd_docstrings_are_read_as_far_as_they_go(text: str, description: str, parameters: dict[str, str]) -> None:
    """What fits no style is description; a parameter without words is not in the table."""
    doc = read_docstring(text)

    assert (doc.description, dict(doc.parameters)) == (description, parameters)


@given(st.lists(st.sampled_from([":param a: b", "Args:", "    a: b", "----", "Parameters", "", "  x", "a : int", ":"])))
def test_any_lines_are_read(lines: list[str]) -> None:
    """Whatever stands there, reading ends, and finds no empty words."""
    assert all(read_docstring("\n".join(lines)).parameters.values())
