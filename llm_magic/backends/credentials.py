"""What opens a server: keys and organizations in turn, for each request anew, and where they came from.

A key is a text, a reference to a variable ("env:NAME") or a function. Nothing here is ever shown; what travels in a
pickle or stands in a configuration is references.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ..errors import AuthenticationError, ConfigurationError
from . import endpoint
from .rotation import Rotation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_NAME = "api_key"
_ORGANIZATION = "OpenAI-Organization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key.

    Attributes:
        value: The key, or a function that returns it, called for each request.
        variable: The environment variable it came from, None where it was given as it is.
        is_token: It is a token of an account's, not a key: it is always sent as Bearer.
    """

    value: str | Callable[[], Any] = field(repr=False)
    variable: str | None = None
    is_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one request is opened with.

    Attributes:
        headers: Sent beside all others; empty where nothing has to open it.
        secret: What of it must not be shown, None where there is nothing.
        number: Which of the keys it is.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: str | None = field(default=None, repr=False)
    number: int = 0

    @property
    def organization(self) -> str | None:
        """The organization billed, None where none is named."""
        return self.headers.get(_ORGANIZATION)


class Credentials:
    """Keys and organizations of one server, each used in turn.

    Args:
        keys: In their order; none where a server needs none.
        organizations: Billed in turn, independent of the keys.
        header: The header of the key: Authorization, as Bearer, or another one, bare.
        name: What errors call the place the keys come from.

    Attributes:
        name: The same.
        organizations: The same.
    """

    def __init__(
        self,
        keys: tuple[Key, ...],
        *,
        organizations: tuple[str, ...] = (),
        header: str = "Authorization",
        name: str = _NAME,
    ) -> None:
        self.name, self.organizations = name, organizations
        self._header = header
        self._keys, self._organizations = Rotation(keys), Rotation(organizations)

    def __repr__(self) -> str:
        return f"Credentials({self.name}, {len(self.keys)} keys)"

    def __getstate__(self) -> dict[str, Any]:
        """Where the keys came from, not the keys."""
        variables = {key.variable: key.is_token for key in self.keys if key.variable}
        return {
            "variables": variables or {self.name: False},
            "organizations": self.organizations,
            "header": self._header,
            "name": self.name,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        # The keys of the place it is unpickled in, by the variables they came from: no other may go to a server of
        # one's own.
        found = [
            key
            for variable, is_token in state["variables"].items()
            if os.environ.get(variable)
            for key in from_variable(variable, os.environ, is_token=is_token)
        ]
        Credentials.__init__(
            self,
            tuple(found),
            organizations=state["organizations"],
            header=state["header"],
            name=state["name"],
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy within the process keeps the keys, which a pickle must not hold.
        return type(self)(self.keys, organizations=self.organizations, header=self._header, name=self.name)

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys, the spent ones too."""
        return self._keys.values

    def secrets(self) -> tuple[str, ...]:
        """The keys that are known before they are used."""
        return tuple(key.value for key in self.keys if isinstance(key.value, str))

    async def take(self) -> Taken | None:
        """What the next request is opened with; None where all keys are spent.

        Raises:
            AuthenticationError: A function returned no key.
        """
        headers: dict[str, str] = {}
        if (organization := self._organizations.take()) is not None:
            headers[_ORGANIZATION] = organization[1]
        if not self.keys:
            return Taken(headers=headers)
        taken = self._keys.take()
        if taken is None:
            return None
        number, key = taken
        secret = key.value if isinstance(key.value, str) else await endpoint.called(key.value, self.name)
        if key.is_token or self._header == "Authorization":
            headers["Authorization"] = f"Bearer {secret}"
        else:
            headers[self._header] = secret
        return Taken(headers=headers, secret=secret, number=number)

    def spend(self, number: int) -> bool:
        """Leave out a key whose quota is used up, where there are others; whether to go on with one of them."""
        return len(self.keys) > 1 and self._keys.spend(number)

    def renew(self) -> None:
        """Use all keys again."""
        self._keys.renew()

    def references(self) -> str | list[str] | None:
        """The keys as they may stand in a configuration.

        Raises:
            ConfigurationError: One of them is known by its value only.
        """
        variables = list(dict.fromkeys(self._variable(key) for key in self.keys))
        if not variables:
            return None
        references = [f"{endpoint.REFERENCE}{variable}" for variable in variables]
        return references[0] if len(references) == 1 else references

    def _variable(self, key: Key) -> str:
        if key.variable:
            return key.variable
        if not isinstance(key.value, str):
            raise ConfigurationError(
                "A key that a function returns cannot be written to a configuration.",
                hint='give it as "env:NAME", the variable that holds it',
            )
        if key.value in endpoint.keys_in(os.environ.get(self.name, ""), self.name):
            return self.name
        raise ConfigurationError(
            "A key cannot be written to a configuration.", hint='give it as "env:NAME", the variable that holds it'
        )


def keys_of(given: Any, name: str, environ: Mapping[str, str]) -> tuple[Key, ...]:
    """Keys as they were given: one or a list, each a text, a reference or a function.

    Args:
        given: What was given; None and "" are no key.
        name: What errors call the place it was given.
        environ: Where references lead.

    Raises:
        AuthenticationError: One holds what no key has, or refers to a variable that is not set.
        ConfigurationError: It is something else.
    """
    if isinstance(given, list | tuple):
        return tuple(key for item in given for key in keys_of(item, name, environ))
    if given is None or given == "":
        return ()
    if callable(given):
        return (Key(value=given),)
    if not isinstance(given, str):
        raise ConfigurationError(f"{name} is a {type(given).__name__}.", hint="a text, a list of texts, or a function")
    variable = endpoint.referred(given)
    if variable is not None:
        return from_variable(variable, environ)
    return (Key(value=endpoint.checked_key(given, name)),)


def from_variable(variable: str, environ: Mapping[str, str], *, is_token: bool = False) -> tuple[Key, ...]:
    """The keys that a variable holds.

    Raises:
        AuthenticationError: It is not set, or holds what no key has.
    """
    text = endpoint.resolved(f"{endpoint.REFERENCE}{variable}", environ)
    return tuple(
        Key(value=endpoint.checked_key(key, variable), variable=variable, is_token=is_token)
        for key in endpoint.keys_in(text, variable)
    )


def names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Organizations as they were given: none, one, or several."""
    return tuple(filter(None, (given,) if isinstance(given, str) else given or ()))


def missing(host: str | None, name: str) -> AuthenticationError:
    """The error for a server that wants a key."""
    return AuthenticationError(
        f"No key for {host}.", hint=f"set {name} in the environment, or base_url for a server of your own"
    )
