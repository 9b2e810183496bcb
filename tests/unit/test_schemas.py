"""Types that are asked for: from what a user names to a schema, and from an answer's text to a value."""

from __future__ import annotations

import builtins
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from llm_magic.errors import ConfigurationError, ContentError, SchemaError
from llm_magic.fitting import checked, problems
from llm_magic.frames import fields_frame
from llm_magic.schemas import Schema, schema_of, unwrapped, wrapper_of
from tests.fakes.kinds import PERSON, Cat, Currency, Dog, Invoice, Line, Owner, Place, Point, Strict

_texts = st.text(max_size=8)
_lines = st.builds(Line, what=_texts, pieces=st.integers(0, 9), price=st.floats(allow_nan=False, allow_infinity=False))
_invoices = st.builds(
    Invoice,
    number=_texts,
    due=st.none() | st.dates(),
    total=st.decimals(allow_nan=False, allow_infinity=False),
    currency=st.sampled_from(Currency),
    lines=st.lists(_lines, max_size=2),
    parent=st.none() | st.builds(Invoice, number=_texts, total=st.just(Decimal("1.50"))),
)
_places = st.fixed_dictionaries({"city": _texts}, optional={"note": _texts})
_VALUES: list[tuple[Any, Any]] = [
    (Invoice, _invoices),
    (list[Invoice], st.lists(_invoices, max_size=2)),
    (Strict, st.builds(Strict, at=st.datetimes(timezones=st.just(UTC)), is_paid=st.booleans(), count=st.integers())),
    (Owner, st.builds(Owner, pet=st.builds(Cat, kind=st.just("cat"), lives=st.integers()))),
    (Point, st.builds(Point, x=st.integers(), tags=st.lists(_texts, max_size=2))),
    (Place, _places),
    (list[Place], st.lists(_places, max_size=2)),
    (Currency, st.sampled_from(Currency)),
    (Literal["a", 2], st.sampled_from(["a", 2])),
    (int | None, st.none() | st.integers()),
    (tuple[int, str], st.tuples(st.integers(), _texts)),
    (dict[str, int], st.dictionaries(_texts, st.integers(), max_size=3)),
    (Cat | Dog, st.builds(Dog, kind=st.just("dog"), name=_texts)),
]


def wire(schema: Schema, value: Any) -> Any:
    """What a model that does as it is told sends."""
    plain = schema.plain(value)
    return plain if schema.key is None else {schema.key: plain}


@pytest.mark.capability("E12")
@given(data=st.data())
@pytest.mark.parametrize(("kind", "values"), _VALUES, ids=[str(kind) for kind, _ in _VALUES])
def test_any_value_comes_back_from_its_json(kind: Any, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    """Bare, in a fence, and with words around it: the same value of the same type."""
    schema, value = schema_of(kind), data.draw(values)
    text = json.dumps(wire(schema, value))

    assert schema.parse(text) == value
    assert schema.parse(f"Here you are:\n```json\n{text}\n```\nAnything else?") == value


@given(value=st.recursive(st.none() | st.integers() | _texts, lambda one: st.lists(one) | st.dictionaries(_texts, one)))
@pytest.mark.parametrize("key", ["items", "value"])
def test_a_wrapped_value_is_unwrapped(key: str, value: Any) -> None:
    """And what is not wrapped stays, unless it looks as if it were."""
    assert unwrapped({key: value}, key) == value
    assert unwrapped(value, None) == value


@pytest.mark.capability("E11")
def test_the_request_names_the_schema() -> None:
    """The protocol's form; a root that is no object is wrapped, and known again by its name."""
    form = schema_of(list[Invoice]).to_response_format()

    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == (
        "json_schema",
        "items_of_Invoice",
        True,
    )
    assert list(form["json_schema"]["schema"]["properties"]) == ["items"]
    assert wrapper_of(form) == "items"
    assert wrapper_of(schema_of(Currency).to_response_format()) == "value"
    assert wrapper_of(schema_of(Invoice).to_response_format()) is None
    assert wrapper_of({"type": "json_object"}) is None
    assert schema_of(dict).to_response_format()["json_schema"]["strict"] is False


def test_names_fit_the_protocol() -> None:
    """Letters, digits, dashes, at most 64, whatever the type is called."""
    long = type("X" * 90, (BaseModel,), {})

    assert schema_of(list[dict[str, int]]).name == "items_of_list_dict_str_int"
    assert len(schema_of(list[long]).name) <= 64  # type: ignore[valid-type]  # made here
    assert schema_of({**PERSON, "title": "Ä Ö"}).name == "answer"
    assert wrapper_of(schema_of({**PERSON, "title": "items_of_value"}).to_response_format()) is None


@pytest.mark.capability("E8")
@pytest.mark.parametrize(
    "value",
    [None, 5, "Invoice", print, lambda: 0, {"a": 1}, {"type": "json_object"}, {"type": {1}}, Invoice.model_construct()],
)
def test_what_is_no_type_is_refused_in_one_line(value: Any) -> None:
    """With what can be one."""
    with pytest.raises(ConfigurationError) as caught:
        schema_of(value)

    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_broken_json_schema_is_refused() -> None:
    """Before anything is asked; what it refers to elsewhere is never fetched."""
    with pytest.raises(ConfigurationError, match="refers to 'A'"):
        schema_of({"$ref": "#/$defs/A"})
    with pytest.raises(ConfigurationError, match="That is no JSON schema: 'nothing' is not valid"):
        schema_of({"type": "object", "properties": {"a": {"type": "nothing"}}})
    elsewhere = schema_of({"type": "object", "properties": {"a": {"$ref": "https://example.org/a"}}})
    assert not elsewhere.is_strict
    with pytest.raises(SchemaError, match="could not be checked"):
        elsewhere.parse('{"a": 1}')


def test_a_schema_is_its_own_schema() -> None:
    """Made once, it may be given again and again."""
    schema = schema_of(Invoice)

    assert schema_of(schema) is schema


@pytest.mark.capability("E12")
def test_problems_are_one_short_line_each() -> None:
    """With the path in the answer, as Python writes it."""
    with pytest.raises(SchemaError) as caught:
        schema_of(list[Invoice]).parse('{"items": [{"number": 1, "lines": [{"what": "x", "unit price": "dear"}]}]}')

    assert caught.value.problems == (
        "items[0].number: Input should be a valid string",
        "items[0].total: Field required",
        "items[0].lines[0].unit price: Input should be a valid number, unable to parse string as a number",
    )
    assert str(caught.value) == (
        "The value does not fit: items[0].number: Input should be a valid string (and 2 more)."
    )
    assert isinstance(caught.value, ContentError)
    assert problems(caught.value) == list(caught.value.problems)
    assert problems(ValueError("odd\nthing"), at="a") == ["a: odd thing"]


@pytest.mark.parametrize(
    ("text", "says"), [("", "there is no text"), ("I cannot.", "this is not JSON"), ('{"a": ', "this is not JSON")]
)
def test_text_without_json_is_a_problem(text: str, says: str) -> None:
    """Nothing, words, and an answer that was cut off."""
    with pytest.raises(SchemaError, match="not JSON") as caught:
        schema_of(Invoice).parse(text)

    assert caught.value.problems == (says,)


def test_a_model_may_leave_the_wrapper_and_quotes_out() -> None:
    """Where nothing but words asked for them."""
    assert schema_of(list[int]).parse("The list: [1, 2]") == [1, 2]
    assert schema_of(Currency).parse("eur") is Currency.EUR
    assert schema_of(int).parse("7") == 7
    assert schema_of(Literal["yes", "no"]).parse('{"value": "no"}') == "no"
    with pytest.raises(SchemaError, match="'eur' or 'usd'"):
        schema_of(Currency).parse("yen")


def test_the_longest_json_that_fits_is_taken() -> None:
    """An example in the words around it is not the answer."""
    text = (
        'As {"city": 1} shows: {"city": "Oslo", "note": "cold"}, not {"city": 2, "note": "a longer one that is wrong"}'
    )

    assert schema_of(Place).parse(text) == {"city": "Oslo", "note": "cold"}


def test_problems_are_those_of_the_longest_json() -> None:
    """Not those of an aside."""
    with pytest.raises(SchemaError) as caught:
        schema_of(Place).parse('{"a": 1} is no place, {"city": 1, "note": "x"} is one')

    assert caught.value.problems == ("city: Input should be a valid string",)


def test_brackets_that_open_nothing_cost_little() -> None:
    """A megabyte of them is read through in no time."""
    with pytest.raises(SchemaError):
        schema_of(Invoice).parse("[{" * 500_000)


@pytest.mark.capability("E12")
def test_null_is_taken_for_left_out() -> None:
    """As the strict form has it; where null means something, and where a value is needed, it stays null."""
    value = checked(Line, {"what": "x", "pieces": None, "unit price": 2})

    assert (value.pieces, value.price) == (1, 2.0)
    assert checked(Invoice, {"number": "1", "total": 1, "due": None, "lines": None}).lines == []
    with pytest.raises(SchemaError) as caught:
        checked(Line, {"what": None, "pieces": None, "unit price": 2})
    assert caught.value.problems[0] == "what: Input should be a valid string"
    sent: dict[str, Any] = {"what": "x", "pieces": None, "unit price": 2}
    checked(Line, sent)
    assert sent["pieces"] is None


@pytest.mark.capability("E8")
def test_a_json_schema_gives_plain_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked by jsonschema where it is installed, else only as a whole."""
    schema = schema_of(PERSON)

    assert schema.parse('{"name": "Ada", "age": null}') == {"name": "Ada"}
    with pytest.raises(SchemaError) as caught:
        schema.parse('{"name": 1}')
    assert caught.value.problems == ("name: 1 is not of type 'string'",)

    real_import = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("jsonschema"):
            raise ImportError(name)
        return real_import(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    assert schema.parse('{"name": 1}') == {"name": 1}
    with pytest.raises(SchemaError, match="not of type 'object'"):
        schema.parse("[1]")


def test_a_check_of_the_users_that_breaks_is_told() -> None:
    """One line with the type's name and the error; not a traceback out of pydantic."""

    class Fragile(BaseModel):
        x: int

        @field_validator("x")
        @classmethod
        def look(cls, value: int) -> int:
            raise KeyError(value)

    with pytest.raises(SchemaError, match="Fragile could not check the value: KeyError: 3"):
        schema_of(Fragile).parse('{"x": 3}')


def test_columns_are_the_fields_of_rows_and_objects() -> None:
    """By the names they have in Python, with what JSON they are."""
    columns = {"what": "string", "pieces": "integer", "price": "number"}

    assert dict(schema_of(list[Line]).columns) == dict(schema_of(Line).columns) == columns
    assert schema_of(list[Line]).is_rows
    assert not schema_of(Line).is_rows
    assert not schema_of(list[int]).is_rows
    assert not schema_of(list[Cat | Dog]).is_rows
    assert dict(schema_of(Strict).columns) == {"at": "date-time", "is_paid": "boolean", "count": "integer"}
    line = Line(what="x", price=2)
    assert schema_of(list[Line]).rows([line]) == [{"what": "x", "pieces": 1, "price": 2.0}]


def test_columns_keep_what_their_kind_cannot_hold() -> None:
    """A number beyond 64 bits, times with and without a zone, members as their values; nothing is lost or guessed."""
    columns = {"n": "integer", "at": "date-time", "kind": "string", "when": "date-time", "none": "boolean"}
    aware, naive = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2)  # noqa: DTZ001  # the point
    rows = [
        {"n": 2**70, "at": aware, "kind": Currency.EUR, "when": aware},
        {"n": 1, "at": aware, "kind": None, "when": naive},
    ]

    frame = fields_frame(columns, rows)

    assert list(frame["n"]) == [2**70, 1]
    assert str(frame["at"].dtype).endswith("UTC]")
    assert list(frame["when"]) == [aware, naive]
    assert frame["kind"][0] == "eur"
    assert str(frame["none"].dtype) == "boolean"
    assert [str(dtype) for dtype in fields_frame(columns, []).dtypes][::2] == ["Int64", "string", "boolean"]


def test_types_that_have_no_hash_are_taken() -> None:
    """Annotated may hold anything."""
    assert checked(Annotated[int, Field(json_schema_extra={"a": []}), ["no hash"]], 3) == 3


def test_typed_dicts_of_typing_are_taken_everywhere() -> None:
    """In lists, dicts, tuples and choices; totality kept."""
    assert checked(dict[str, Place] | None, {"a": {"city": "Oslo"}}) == {"a": {"city": "Oslo"}}
    assert checked(tuple[Place, ...], [{"city": "Oslo"}]) == ({"city": "Oslo"},)
    with pytest.raises(SchemaError, match="city: Field required"):
        checked(Place, {"note": "x"})
    assert checked(Strict, {"at": "2026-01-02T00:00:00Z", "is_paid": True, "count": 1}).at == datetime(
        2026, 1, 2, tzinfo=UTC
    )
    assert checked(Invoice, {"number": "1", "total": "2.10", "due": "2026-01-02"}).due == date(2026, 1, 2)
