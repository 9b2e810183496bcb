"""Which backend answers for a model: entry points, routing by name, and the rule for those without a key.

Backends are found by the entry point group ``llm_magic.backends``; ours come through the same door. A backend
is kept by its configuration, so that its connections are used again.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import catalog
from ..errors import ConfigurationError, did_you_mean
from . import choosing, configuration, endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..config import Value
    from .base import Backend

GROUP = "llm_magic.backends"
_OURS = {"openai": "openai:OpenAIBackend", "azure": "azure:AzureOpenAIBackend", "local": "local:LocalBackend"}
_AZURE = "azure"
_SALT = os.urandom(16)
Factory: TypeAlias = "Callable[..., Backend]"
_registered: dict[str, Factory] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who is asked for which model.

    Attributes:
        backend: Who.
        model: Which, as the backend knows it.
    """

    backend: Backend
    model: str


def register_backend(name: str, factory: Factory) -> None:
    """Make a backend known by name: ``-m NAME/MODEL`` asks it for MODEL.

    Args:
        name: Letters, digits, ``_`` and ``-``.
        factory: Called without arguments when the backend is first asked.

    Raises:
        ConfigurationError: The name does not fit.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigurationError(f"{name!r} is no name for a backend.", hint="letters, digits, _ and -")
    _registered[name] = factory


def backend_names() -> tuple[str, ...]:
    """The names of all backends known, sorted."""
    return tuple(sorted({*_registered, *_entry_points()}))


def factory(name: str) -> Factory:
    """What makes the backend of that name.

    Raises:
        ConfigurationError: There is none.
    """
    if name in _registered:
        return _registered[name]
    points = _entry_points()
    if name not in points:
        raise ConfigurationError(f"There is no backend {name!r}.", hint=did_you_mean(name, backend_names()))
    loaded: Factory = points[name].load()
    return loaded


def load_backend(source: Mapping[str, Any] | str | os.PathLike[str]) -> Backend:
    """The backend that a configuration describes.

    Args:
        source: ``{"provider": NAME, "config": {…}}``, or the path of a TOML file that holds it. NAME is a registered
            backend's; the configuration is what it is made with.

    Raises:
        ConfigurationError: It is none, the provider is unknown, or an argument does not fit.
        AuthenticationError: A variable it refers to is not set.
    """
    provider, config = configuration.read(source)
    make = factory(provider)
    from_config = getattr(make, "from_config", None)
    if from_config is not None:
        made: Backend = from_config({"provider": provider, "config": config})
        return made
    try:
        return make(**config)
    except TypeError as exc:
        raise ConfigurationError(f"The configuration of {provider!r} does not fit: {exc}.") from exc


@functools.cache
def _entry_points() -> Mapping[str, Any]:
    # Ours are there from a source tree, too, where no package is installed.
    own = [EntryPoint(name=name, value=f"{__package__}.{place}", group=GROUP) for name, place in _OURS.items()]
    return {point.name: point for point in (*own, *entry_points(group=GROUP))}


def model_name(look_up: Callable[[str], Value]) -> str:
    """The model that is asked, as it is named; no backend is made to find out. See :meth:`Registry.resolve`.

    Raises:
        ConfigurationError: The profile of the settings is unknown.
    """
    named: str | None = look_up("model").value
    if named is not None:
        return named
    if profile := choosing.chosen(look_up):
        return profile.model or catalog.DEFAULT_MODEL
    is_local = look_up("api_key").value is None and look_up("base_url").value is None
    return catalog.LOCAL_MODEL if is_local else catalog.DEFAULT_MODEL


class Registry:
    """The backends of one session.

    Args:
        environ: Where the keys of routed providers are read.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._backends: dict[tuple[Any, ...], Backend] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Registry({len(self._backends)} backends)"

    def resolve(self, look_up: Callable[[str], Value]) -> Choice:
        """Backend and model for the settings in force.

        Without a model named, a key, an address and a profile: the local model. A model named: the local one by its
        own name, a registered backend's by NAME/MODEL, else as ``choosing.py`` says; one without its key is never the
        local model.

        Raises:
            AuthenticationError: The model's provider needs a key, and there is none.
            ConfigurationError: No model is named behind the slash; a profile is unknown, or does not fit.
        """
        model = model_name(look_up)
        name, slash, rest = model.partition("/")
        if model in ("local", catalog.LOCAL_MODEL):
            return self._local(look_up, catalog.LOCAL_MODEL)
        if slash:
            if not rest.strip():
                raise ConfigurationError(f"{model!r} names no model.", hint=f"{name}/MODEL, as in ollama/qwen3")
            if name == "local":
                return self._local(look_up, rest)
            if name == _AZURE and name not in _registered:
                return self._azure(look_up, rest)
            if name != "openai" and name in {*_registered, *_entry_points()}:
                return Choice(backend=self._kept(("backend", name), factory(name)), model=rest)
        place = choosing.place_of(model, look_up, self._environ)
        if place.profile is not None and place.profile.name == _AZURE and not place.has_address:
            return self._azure(look_up, place.model)
        options = choosing.options_of(place, look_up, self._environ)
        # Everything was looked up already: the backend reads nothing of the environment but what it is referred to.
        environ = {name: self._environ[name] for name in _referred(options.values()) if name in self._environ}
        identity = tuple((name, _digest(value)) for name, value in sorted(options.items()))
        backend = self._kept(
            ("openai", *identity, _digest(environ)), lambda: factory("openai")(environ=environ, **options)
        )
        return Choice(backend=backend, model=place.model)

    def profile_name(self, look_up: Callable[[str], Value]) -> str:
        """What is known of the place that is asked: a profile's name, a backend's, or "" for an address of one's own.

        Raises:
            ConfigurationError: A profile is unknown, or does not fit.
        """
        model = model_name(look_up)
        name = model.partition("/")[0]
        if model == catalog.LOCAL_MODEL or name == "local":
            return "local"
        if "/" in model and name != "openai" and name in {*_registered, *_entry_points()}:
            return name
        profile = choosing.place_of(model, look_up, self._environ).profile
        return profile.name if profile else ""

    async def stop(self, name: str) -> None:
        """Close the backends of that name; the next ask opens them again."""
        for backend in [item for item in self._backends.values() if item.name == name]:
            await backend.aclose()

    async def aclose(self) -> None:
        """Close all backends; they may be used again afterwards."""
        for backend in list(self._backends.values()):
            await backend.aclose()

    def _local(self, look_up: Callable[[str], Value], model: str) -> Choice:
        path = look_up("local_model").value
        backend = self._kept(("local", path), lambda: factory("local")(model_path=path))
        return Choice(backend=backend, model=getattr(backend, "model", model))

    def _azure(self, look_up: Callable[[str], Value], model: str) -> Choice:
        """By the resource that the environment names, reached as the settings say."""
        options = choosing.way_of(look_up)
        identity = tuple((name, _digest(value)) for name, value in sorted(options.items()))
        backend = self._kept((_AZURE, *identity), lambda: factory(_AZURE)(environ=self._environ, **options))
        return Choice(backend=backend, model=model)

    def _kept(self, identity: tuple[Any, ...], make: Callable[[], Backend]) -> Backend:
        with self._lock:  # asks are planned in the caller's thread and on the engine's loop
            if identity not in self._backends:
                self._backends[identity] = make()
            return self._backends[identity]


def _referred(values: Iterable[Any]) -> set[str]:
    """The variables that settings refer to."""
    found: set[str] = set()
    for value in values:
        match value:
            case str():
                found |= {variable for variable in (endpoint.referred(value),) if variable}
            case list() | tuple():
                found |= _referred(value)
            case dict():
                found |= _referred(value.values())
    return found


def _digest(value: Any) -> str:
    """What tells configurations apart, and tells nothing of a key."""
    return hashlib.sha256(_SALT + repr(value).encode()).hexdigest()
