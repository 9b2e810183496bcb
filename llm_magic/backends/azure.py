"""Azure OpenAI: the same protocol behind an endpoint of one's own, where a deployment takes the model's place.

In: an endpoint, a deployment, an API version, and a key or a token of Entra ID. Out: a backend like OpenAI's. What is
different lies in the connection: where each path is, and which header opens it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .. import providers
from ..errors import AuthenticationError, ConfigurationError, MissingDependencyError, did_you_mean
from . import credentials, endpoint
from .clients import ARGUMENTS, CLIENT_OPTIONS
from .connection import Call, Connection
from .credentials import Credentials, Key
from .openai import NOT_GIVEN, OpenAIBackend
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ENDPOINT, _VERSION = "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"
_KEY, _TOKEN = "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"  # names of variables
_SCOPE = "https://cognitiveservices.azure.com/.default"
_OPENAIS_OWN = {"base_url", "client", "continues", "key_name", "profile"}
# What is asked of a deployment; all else is asked of the resource. Source: Azure OpenAI REST reference, data plane.
_OF_DEPLOYMENTS = frozenset(
    (
        *("/chat/completions", "/completions", "/embeddings", "/images/generations", "/images/edits"),
        *("/audio/transcriptions", "/audio/translations", "/audio/speech"),
    )
)


class AzureOpenAIBackend(OpenAIBackend):
    """Chat Completions of Azure OpenAI.

    Args:
        azure_endpoint: ``https://NAME.openai.azure.com``; None takes AZURE_OPENAI_ENDPOINT.
        azure_deployment: The deployment that is asked; None for the one that is called like the model asked for.
        api_version: As "2024-10-21"; None takes OPENAI_API_VERSION.
        api_key: As for ``OpenAIBackend``; None takes AZURE_OPENAI_API_KEY.
        azure_ad_token: A token of Entra ID, or "env:NAME"; None takes AZURE_OPENAI_AD_TOKEN, which goes before the
            key's variable.
        azure_ad_token_provider: A function, async or not, that returns a token, called for each request; "default" for
            azure-identity's ``DefaultAzureCredential``.
        organization: Organization billed, or several that are used in turn.
        headers: Sent beside the SDK's own; a User-Agent follows our own.
        name: What ledger and errors call it.
        queries_per_second: Most requests a second.
        max_connections: Most connections at once.
        max_redirects: How often a redirect is followed; None means 3.
        proxy: Address of a proxy, "" for none at all.
        user_agent: Said after our own name; "" tells neither name nor machine.
        http_options: Further arguments of the HTTP client.
        environ: Where the variables are read.
        options: Further arguments of ``AsyncOpenAI``.

    Raises:
        AuthenticationError: There is neither key nor token.
        ConfigurationError: Endpoint or version are missing, or an argument does not fit.
        MissingDependencyError: The default credential is wanted, and azure-identity is not installed.
    """

    provider_name = "azure"

    def __init__(
        self,
        *,
        azure_endpoint: str | None = None,
        azure_deployment: str | None = None,
        api_version: str | None = None,
        api_key: Any = None,
        azure_ad_token: str | None = None,
        azure_ad_token_provider: Callable[[], Any] | str | None = None,
        organization: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        name: str = "azure",
        queries_per_second: float | None = None,
        max_connections: int | None = None,
        max_redirects: int | None = None,
        proxy: str | None = None,
        user_agent: str | None = None,
        http_options: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] = os.environ,
        **options: Any,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in NOT_GIVEN}
        _check_names(options)
        version = _required("api_version", api_version, _VERSION, environ, hint='"2024-10-21", or a later one')
        address = _required("azure_endpoint", azure_endpoint, _ENDPOINT, environ, hint="https://NAME.openai.azure.com")
        query = {**options.pop("default_query", {}), "api-version": version}
        agents = {key: value for key, value in (headers or {}).items() if key.lower() == "user-agent"}
        connection = _AzureConnection(
            base_url=endpoint.base_url(address).removesuffix("/openai") + "/openai",
            headers={key: value for key, value in (headers or {}).items() if key not in agents},
            queries_per_second=queries_per_second,
            transport=Transport(
                max_connections=max_connections,
                max_redirects=max_redirects,
                proxy=proxy,
                user_agent=next(iter(agents.values()), user_agent),
                is_ours_first=True,
                http_options=http_options or {},
            ),
            opened_by=_credentials(
                (api_key, azure_ad_token, azure_ad_token_provider), credentials.names(organization), environ
            ),
            environ=environ,
            options={**options, "default_query": query},
        )
        connection.deployment = azure_deployment
        given |= {"azure_endpoint": azure_endpoint or address, "api_version": version, **options}
        self._begin(connection, given=given, name=name, profile=providers.named("azure"))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        if self._given.get("azure_ad_token_provider") == "default":
            opened_by = self.connection.opened_by
            key = Key(value=DefaultToken(), is_token=True)
            self.connection.opened_by = Credentials((key,), organizations=opened_by.organizations, header="api-key")

    def _found_arguments(self) -> dict[str, Any]:
        provider = self._given.get("azure_ad_token_provider")
        if provider == "default":
            return {"azure_ad_token_provider": provider}
        if provider is not None:
            raise ConfigurationError(
                "azure_ad_token_provider is a function, which cannot be written to a configuration.",
                hint='"default" can, for azure-identity\'s DefaultAzureCredential',
            )
        opened_by = self.connection.opened_by
        is_token = any(key.is_token for key in opened_by.keys)
        return {"azure_ad_token" if is_token else "api_key": opened_by.references()}


class DefaultToken:
    """A token of azure-identity's ``DefaultAzureCredential``, asked for anew for each request; it keeps its own cache.

    Raises:
        MissingDependencyError: The package is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("azure") is None or importlib.util.find_spec("azure.identity") is None:
            raise MissingDependencyError(
                "The default credential of Azure needs azure-identity.", hint='pip install "llm-magic[azure]"'
            )
        self._provider: Callable[[], str] | None = None

    async def __call__(self) -> str:
        """The token. It may take a while, and it blocks: in a thread."""
        return await asyncio.to_thread(self._token)

    def _token(self) -> str:
        if self._provider is None:
            from azure.identity import DefaultAzureCredential, get_bearer_token_provider

            self._provider = get_bearer_token_provider(DefaultAzureCredential(), _SCOPE)
        return self._provider()


class _AzureConnection(Connection):
    """To one resource.

    Attributes:
        deployment: What is asked; None for the model's own name.
    """

    deployment: str | None = None

    def _path(self, call: Call) -> str:
        if call.path not in _OF_DEPLOYMENTS:
            return call.path
        return f"/deployments/{quote(self.deployment or call.model, safe='')}{call.path}"


def _check_names(options: Mapping[str, Any]) -> None:
    known = CLIENT_OPTIONS | ARGUMENTS - _OPENAIS_OWN | {"azure_endpoint", "azure_deployment", "api_version"}
    for name in options:
        if name not in CLIENT_OPTIONS:
            hint = did_you_mean(name, known | {"azure_ad_token", "azure_ad_token_provider"})
            raise ConfigurationError(f"AzureOpenAIBackend has no argument {name!r}.", hint=hint)


def _required(name: str, given: str | None, variable: str, environ: Mapping[str, str], *, hint: str) -> str:
    value = given or environ.get(variable)
    if not value:
        raise ConfigurationError(f"Azure OpenAI needs {name}.", hint=f"{hint}; {variable} may hold it")
    return endpoint.resolved(value, environ)


def _credentials(
    secrets: tuple[Any, Any, Any], organizations: tuple[str, ...], environ: Mapping[str, str]
) -> Credentials:
    """The one of key, token and provider that is given; else what the environment has, a token first."""
    api_key, token, provider = secrets
    if sum(item is not None for item in secrets) > 1:
        raise ConfigurationError(
            "Azure OpenAI takes one of api_key, azure_ad_token and azure_ad_token_provider.", hint="give one of them"
        )
    keys: tuple[Key, ...]
    if provider is not None:
        if provider != "default" and not callable(provider):
            raise ConfigurationError(f"{provider!r} is no token provider.", hint='a function, or "default"')
        keys, name = (_token(DefaultToken() if provider == "default" else provider),), "azure_ad_token_provider"
    elif token is not None or (api_key is None and environ.get(_TOKEN)):
        found = credentials.keys_of(token if token is not None else f"env:{_TOKEN}", "azure_ad_token", environ)
        keys, name = tuple(_token(key.value, key.variable) for key in found), "azure_ad_token"
    else:
        given = api_key if api_key is not None else f"env:{_KEY}" if environ.get(_KEY) else None
        keys, name = credentials.keys_of(given, "api_key", environ), "api_key"
    if not keys:
        raise AuthenticationError(
            "No key for Azure OpenAI.",
            hint=f"set {_KEY} or {_TOKEN} in the environment, or give azure_ad_token_provider",
        )
    name = next((key.variable for key in keys if key.variable), name)
    return Credentials(keys, organizations=organizations, header="api-key", name=name)


def _token(value: Any, variable: str | None = None) -> Key:
    return Key(value=value, variable=variable, is_token=True)
