"""Types that tests ask for, of every kind a user may name."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime  # noqa: TC003  # pydantic reads the hints
from decimal import Decimal  # noqa: TC003
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import BaseModel, ConfigDict, Field


class Currency(Enum):
    """What an invoice is in."""

    EUR = "eur"
    USD = "usd"


class Line(BaseModel):
    """One line of an invoice."""

    model_config = ConfigDict(populate_by_name=True)

    what: str
    pieces: Annotated[int, Field(ge=0, description="how many")] = 1
    price: Annotated[float, Field(alias="unit price")]


class Invoice(BaseModel):
    """What somebody has to pay."""

    number: str
    due: date | None = None
    total: Decimal
    currency: Currency = Currency.EUR
    lines: list[Line] = []
    parent: Invoice | None = None
    kind: Literal["bill", "credit"] = "bill"


class Strict(BaseModel):
    """A model that takes no text for a number, and no more than it names."""

    model_config = ConfigDict(strict=True, extra="forbid")

    at: datetime
    is_paid: bool
    count: int


class Cat(BaseModel):
    """One of two."""

    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    """The other."""

    kind: Literal["dog"]
    name: str


class Owner(BaseModel):
    """Somebody with a pet."""

    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Place(TypedDict):
    """A TypedDict of typing, which pydantic does not take before Python 3.12."""

    city: str
    note: NotRequired[str]


@dataclass
class Point:
    """A plain dataclass."""

    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


PERSON: dict[str, Any] = {
    "title": "Person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}
