"""Where a model is asked, and what opens the place: by its name, the profile of the settings, and their address.

Comes in: a model's name and settings. Goes out: a place, and the arguments of its backend. Nothing is connected. A key
goes only where it was meant to: what the environment holds for OpenAI is never sent to anybody else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import providers
from ..errors import AuthenticationError, ConfigurationError
from ..settings import SETTINGS
from . import endpoint
from .families import role_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..config import Value
    from ..providers import Profile

# How a server is reached, whoever it is.
_WAY = ("user_agent", "proxy", "max_connections", "max_redirects", "http_options", "queries_per_second")
_CONNECTION = ("api_key", "base_url", "organization", "project", "headers", *_WAY)
# Ours alone, so whoever sets it means the profile that was chosen, too.
_OWN_URL, _OWN_KEY = "LLM_MAGIC_BASE_URL", "LLM_MAGIC_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model is asked.

    Attributes:
        model: Its name as the server knows it.
        profile: What is known of the server, None for one that is only known by its address.
        is_chosen: A setting names the profile; else the model's name does, or the address.
        has_address: The address is one that was given, not the profile's own.
    """

    model: str
    profile: Profile | None = None
    is_chosen: bool = False
    has_address: bool = False


def chosen(look_up: Callable[[str], Value]) -> Profile | None:
    """The profile that the settings name, None where they name none.

    Raises:
        ConfigurationError: There is none of that name, or the user's file of profiles does not fit.
    """
    providers.read_file(look_up("profiles").value)
    name = look_up("profile").value
    return providers.named(name) if name else None


def place_of(model: str, look_up: Callable[[str], Value], environ: Mapping[str, str]) -> Place:
    """Where a model is asked.

    An address that was given is asked for models of any name. Without one: NAME/MODEL asks that profile, then the
    profile of the settings is asked, then the environment's address, then the profile whose models' names begin so,
    and OpenAI for all others.

    Raises:
        ConfigurationError: There is no profile of the name in the settings, or the user's file does not fit.
    """
    profile, address = chosen(look_up), look_up("base_url")
    is_given = address.value is not None and (
        address.origin != "environment" or (profile is not None and bool(environ.get(_OWN_URL)))
    )
    here = profile or (providers.at(address.value) if address.value else None)
    named, rest = _named(model)
    if named is not None and named == here and named.name != "openai":
        # Its own name before one of its models; some routers have models that are called so.
        model = named.model_here(rest)
    elif (
        named is not None and not is_given and _leads_away(named, here, environ, has_address=address.value is not None)
    ):
        return Place(model=named.model_here(rest), profile=named)
    if profile is not None:
        return Place(model=model, profile=profile, is_chosen=True, has_address=is_given)
    if address.value is not None:
        return Place(model=model, profile=here, has_address=True)
    return Place(model=model, profile=providers.for_model(model) or providers.named("openai"))


def options_of(place: Place, look_up: Callable[[str], Value], environ: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of the backend for a place.

    Raises:
        AuthenticationError: It needs a key, and there is none.
        ConfigurationError: A setting about it does not fit.
    """
    found = {name: look_up(name) for name in _CONNECTION}
    options: dict[str, Any] = {name: item.value for name, item in found.items() if item.value is not None}
    profile = place.profile
    if profile is not None and profile.name != "openai" and (place.is_chosen or not place.has_address):
        _keep_meant(options, found)
        _open(options, place, profile, environ)
    elif "api_key" not in options and "base_url" not in options:
        raise AuthenticationError(
            f"No key for {place.model}.",
            hint="set OPENAI_API_KEY in the environment, or base_url for a server of your own; "
            "-m local asks the local model",
        )
    elif found["api_key"].origin in ("environment", "default"):
        variables = SETTINGS["api_key"].variables()
        options["key_name"] = next((name for name in variables if environ.get(name)), variables[0])
        is_ours = "api_key" in options and options["key_name"].startswith("LLM_MAGIC_")
        if profile is not None and profile.name != "openai" and not is_ours:
            # An address that is known, and its provider's own key: OpenAI's was not meant for it.
            variable, key = profile.key(environ)
            options |= {"key_name": variable, "api_key": key} if key is not None else {}
        if isinstance(options.get("api_key"), str):
            options["api_key"] = list(endpoint.keys_in(options["api_key"], options["key_name"]))
    if (adapted := _adapted(profile, look_up)) is not None:
        options["profile"] = adapted
    return options


def way_of(look_up: Callable[[str], Value]) -> dict[str, Any]:
    """The arguments of a backend that knows its own address: how it is reached, and a key that was given."""
    found = {name: look_up(name) for name in ("api_key", "organization", "headers", *_WAY)}
    options = {name: item.value for name, item in found.items() if item.value is not None}
    _keep_meant(options, found)
    return options


def _keep_meant(options: dict[str, Any], found: Mapping[str, Value]) -> None:
    """Leave out what the environment holds for OpenAI."""
    for name, item in found.items():
        if item.origin == "environment" and name not in ("base_url", *_WAY):
            options.pop(name, None)


def _open(options: dict[str, Any], place: Place, profile: Profile, environ: Mapping[str, str]) -> None:
    """Fill in a profile's address and key."""
    if not place.has_address:
        options["base_url"] = profile.url(environ)
        if not options["base_url"]:
            raise ConfigurationError(f"The profile {profile.name!r} has no address.", hint="set base_url")
    variable, key = profile.key(environ)
    if key is None and place.is_chosen and environ.get(_OWN_KEY):
        variable, key = _OWN_KEY, environ[_OWN_KEY]
    if key is not None:
        options.setdefault("api_key", key)
    options |= {"name": profile.name} | ({"key_name": variable} if variable else {})
    if profile.needs_key and not options.get("api_key") and not place.has_address:
        raise AuthenticationError(
            f"No key for {place.model}.",
            hint=f"set {variable} in the environment" if variable else "set api_key",
        )


def _named(model: str) -> tuple[Profile | None, str]:
    """The profile that a model's name begins with, and the rest of the name."""
    name, slash, rest = model.partition("/")
    return (providers.find(name) if slash and rest else None), rest


def _leads_away(named: Profile, here: Profile | None, environ: Mapping[str, str], *, has_address: bool) -> bool:
    """NAME/MODEL asks the profile NAME, though something else is configured."""
    if here is not None and here.model_names != "plain":
        return False  # a router: its models' names begin with their makers'
    if not has_address:
        return True
    # The environment's address may be a proxy whose models are called so: it is asked unless the profile can be.
    return named.name != "openai" and (not named.needs_key or named.key(environ)[1] is not None)


def _adapted(profile: Profile | None, look_up: Callable[[str], Value]) -> Profile | None:
    """The profile with what the settings say of its quirks; None where nothing is known but the address."""
    changes: dict[str, Any] = {
        name: value
        for name in ("system_messages", "names", "begins_thinking", "text_calls")
        if (value := look_up(name).value) is not None
    }
    if (text := look_up("roles").value) is not None:
        try:
            changes["roles"] = role_map(text)
        except ValueError as exc:
            raise ConfigurationError(f"{text!r} does not fit roles.", hint="write system=developer,user=human") from exc
    if (text := look_up("stop_tokens").value) is not None:
        changes["stop_tokens"] = tuple(text.split())
    if not changes:
        return profile
    profile = profile or providers.Profile(name="openai", title="a server of one's own")
    return replace(profile, quirks=replace(profile.quirks, **changes))
