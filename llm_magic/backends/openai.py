"""The backend for the OpenAI protocol: Chat Completions of OpenAI and of every server that speaks like it.

Replies are read as JSON, without the SDK's typed objects, which cost seven times as much.
"""

from __future__ import annotations

import contextlib
import copy
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from .. import providers
from ..content import ImagePart
from ..errors import ConfigurationError, did_you_mean
from ..events import Completed, Notice, Opened
from ..providers.profile import PREFIX_FORMS, Profile
from . import configuration, endpoint, failures
from .base import BackendInfo
from .connection import Accepted, Call, Connection
from .dialect import Dialect, is_prefixed
from .inlining import Pictures
from .posting import post
from .reading import read_reply
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from ..events import Event
    from ..providers.profile import Way
    from .base import Continues, Request
    from .connection import Revise
    from .dialect import Body
    from .posting import Posted

NOT_GIVEN = ("self", "environ", "options", "__class__")
_SECRETS = ("api_key", "azure_ad_token")
_PATHS = {"chat": "/chat/completions", "completions": "/completions"}


class OpenAIBackend:
    """Chat Completions.

    Args:
        api_key: The key; "env:NAME" for the variable that holds it ("ENV" for OPENAI_API_KEY); a function (async or
            not) that returns it, called for each request; or a list of these, used in turn. None takes the first of
            LLM_MAGIC_API_KEYS (several, by commas), LLM_MAGIC_API_KEY, OPENAI_API_KEY, MBODI_API_KEY that is set; a
            server of one's own may need none.
        base_url: Address of the server, with or without ``/chat/completions``. None takes the first of
            LLM_MAGIC_BASE_URL, OPENAI_BASE_URL, OPENAI_API_BASE that is set, else OpenAI's.
        organization: Organization billed, or several that are used in turn.
        project: Project billed.
        headers: Sent beside the SDK's own; a header of "" blanks one of them, a value may be "env:NAME".
        client: An ``AsyncOpenAI`` (or Azure's, or anything with its ``post``) that is used as it is.
        name: What ledger and errors call it; None takes the profile's, else "openai".
        profile: The provider, or its name: its address and key are taken where none are given, and how its servers
            depart from OpenAI's. None takes the one behind the address.
        continues: How the server goes on with a partial answer: "ask" where it has to be asked to, as everywhere;
            else how it is told that the last message is the beginning of the answer. "plain" where it takes every
            last message of the assistant's for that (llama.cpp), "prefix" where the message says so (Mistral,
            DeepSeek's beta), "continue_final_message" where the request does (vLLM, SGLang). None: as the profile
            says.
        key_name: What errors call the place the key comes from.
        queries_per_second: Most requests a second, fractions allowed; None for as many as there are.
        max_connections: Most connections at once; None for the SDK's limit.
        max_redirects: How often a redirect is followed; None means 3.
        proxy: Address of a proxy, "" for none at all; None takes the environment's.
        user_agent: The User-Agent header; "" tells neither name nor machine.
        http_options: Further arguments of the HTTP client; the named ones go before them.
        environ: Where the variables are read.
        options: Further arguments of ``AsyncOpenAI``; ``timeout`` and ``max_retries`` go before a request's. ``key``,
            ``org`` and ``retry``, as other wrappers call them, are taken, too.

    Raises:
        AuthenticationError: There is no key, and the server is not one of one's own.
        ConfigurationError: An argument is unknown or does not fit.
    """

    provider_name = "openai"
    connection: Connection
    name: str
    _given: dict[str, Any]

    def __init__(
        self,
        *,
        api_key: Any = None,
        base_url: str | None = None,
        organization: str | Sequence[str] | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        client: Any = None,
        name: str | None = None,
        profile: Profile | str | None = None,
        continues: Way | None = None,
        key_name: str | None = None,
        queries_per_second: float | None = None,
        max_connections: int | None = None,
        max_redirects: int | None = None,
        proxy: str | None = None,
        user_agent: str | None = None,
        http_options: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] = os.environ,
        **options: Any,
    ) -> None:
        # What other wrappers call the same; their name for the source of models is harmless, and dropped.
        options.pop("model_src", None)
        api_key = options.pop("key", None) if api_key is None else api_key
        organization = options.pop("org", None) if organization is None else organization
        if "retry" in options:
            options.setdefault("max_retries", options.pop("retry"))
        # What it was made with, to be written down.
        given = {key: value for key, value in locals().items() if key not in NOT_GIVEN}
        found = providers.named(profile) if isinstance(profile, str) else profile
        if found is not None and found.name != "openai" and client is None:
            base_url = base_url or found.url(environ) or None
            if api_key is None:
                variable, api_key = found.key(environ)
                key_name = key_name or variable or None
            if api_key is None:  # what the environment holds for OpenAI is not for others
                environ = {name: value for name, value in environ.items() if name not in endpoint.OPENAIS_VARIABLES}
        connection = Connection(
            api_key=api_key,
            base_url=base_url,
            organization=organization,
            project=project,
            headers=headers,
            client=client,
            key_name=key_name,
            queries_per_second=queries_per_second,
            transport=Transport(
                max_connections=max_connections,
                max_redirects=max_redirects,
                proxy=proxy,
                user_agent=user_agent,
                http_options=http_options or {},
            ),
            environ=environ,
            options=options,
        )
        self._begin(connection, given=given | options, name=name, profile=found, continues=continues)

    def _begin(
        self,
        connection: Connection,
        *,
        given: Mapping[str, Any],
        name: str | None,
        profile: Profile | None,
        continues: Way | None = None,
    ) -> None:
        self.connection = connection
        self._given = {key: value for key, value in given.items() if value is not None and key not in _SECRETS}
        self._pictures = Pictures()
        self._profile = profile or providers.at(connection.base_url)
        quirks = self._profile.quirks if self._profile else providers.Quirks()
        self._continues = _checked_way(continues or quirks.continues)
        self._dialect = Dialect(
            replace(quirks, continues=continues or quirks.continues),
            has_own_names=self._profile is not None and self._profile.model_names == "own",
        )
        self.name = name or (self._profile.name if self._profile else "openai")

    def __repr__(self) -> str:
        return f"OpenAIBackend(name={self.name!r}, base_url={endpoint.shown_url(self.connection.base_url)!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what it was made with, as far as that may be a secret."""
        return {**self.__dict__, "_given": configuration.harmless(self._given)}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = type(self).__new__(type(self))
        own = {"_given": dict(self._given), "connection": copy.deepcopy(self.connection, memo)}
        made.__dict__.update(self.__dict__, _dialect=copy.deepcopy(self._dialect, memo), **own)
        return made

    def to_config(self) -> dict[str, Any]:
        """What it was made with, as data: ``{"provider": …, "config": {…}}``, secrets as references.

        Raises:
            ConfigurationError: A secret is known by its value only, or an argument is no plain value.
        """
        found = {key: value for key, value in self._found_arguments().items() if value is not None}
        arguments = found | self._given
        if isinstance(profile := arguments.get("profile"), Profile):
            arguments["profile"] = _named(profile)
        return configuration.written(self.provider_name, arguments)

    def to_toml(self) -> str:
        """The same as TOML, for :func:`llm_magic.load_backend`.

        Raises:
            ConfigurationError: As :meth:`to_config`.
        """
        return configuration.to_toml(self.to_config())

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | os.PathLike[str]) -> Self:
        """The backend that :meth:`to_config` wrote down.

        Args:
            config: The whole of it, or the path of a TOML file.

        Raises:
            AuthenticationError: A variable it refers to is not set.
            ConfigurationError: It is another provider's, or an argument does not fit.
        """
        return cls(**configuration.own(config, cls.provider_name))

    def _found_arguments(self) -> dict[str, Any]:
        """What was found in the environment, or is written in another form than it was given: keys by reference."""
        url = self.connection.base_url
        return {
            "api_key": self.connection.opened_by.references(),
            "base_url": None if url == endpoint.OPENAI_URL or "client" in self._given else url,
        }

    def info(self) -> BackendInfo:
        """What is true of the backend as a whole; asks no server."""
        return BackendInfo(
            name=self.name,
            is_local=False,
            base_url=endpoint.shown_url(self.connection.base_url),
            organization=self.connection.organization,
            provider=self._profile.provider if self._profile else None,
            continues=self._continues,
        )

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Send a request and yield what comes back; see ``Backend.stream``.

        Neither a silent server nor a used-up quota is asked again. Nothing is, once a reply has begun.

        Raises:
            BackendError: One of its children; tokens were billed where ``is_billable`` says so.
        """
        if request.are_images_inlined:
            request = replace(request, messages=await self._pictures.inlined(request.messages, self.connection.fetch))
        form = _Form(request, self._dialect)
        accepted: Accepted | None = None
        async with contextlib.aclosing(self.connection.send(_call(request, form.body), revise=form.revise)) as steps:
            async for step in steps:
                if isinstance(step, Accepted):
                    accepted = step
                else:
                    yield step
        assert accepted is not None
        try:
            asked = accepted.asked
            yield Opened(request_id=asked.request_id, retries=accepted.retries, organization=accepted.organization)
            if left_out := ", ".join(form.body.left_out):
                yield Notice(text=f"not sent, as {request.model} does not take it: {left_out}")
            if news := ", ".join(self._dialect.news(request.model)):
                yield Notice(text=f"{request.model} refused and is not sent any more: {news}")
            reply = read_reply(
                accepted.response,
                accepted.asked,
                stall_s=accepted.stall_s,
                begins_thinking=self._dialect.begins_thinking(request.model) and not is_prefixed(request),
                stop_tokens=self._dialect.quirks.stop_tokens,
                text_calls=self._dialect.quirks.text_calls if request.tools else "none",
                n=request.n_answers,
            )
            async with contextlib.aclosing(reply) as events:
                async for event in events:
                    other = isinstance(event, Completed) and self._dialect.other_model(request.model, event.model)
                    if other:
                        yield Notice(text=f"{request.model} was asked, {other} answered")
                    yield event
        finally:
            await accepted.response.aclose()

    def has_path(self, path: str) -> bool:  # noqa: ARG002  # only the server knows
        """It knows of an endpoint at that path; the server may refuse it all the same."""
        return True

    async def post(self, call: Call, *, revise: Revise | None = None) -> Posted:
        """Send a request to an endpoint and read its reply; see ``posting.Posting``."""
        return await post(self.connection, call, revise=revise)

    async def models(self) -> list[Mapping[str, Any]]:
        """The models the server offers, as it describes them.

        Raises:
            BackendError: It does not tell.
        """
        found = await self.connection.get("/models")
        try:
            rows = found["data"] if isinstance(found, dict) else found
            return [{**row, "id": str(row["id"])} for row in rows]
        except (TypeError, KeyError) as exc:
            raise failures.no_model_list(self.connection.asked()) from exc

    async def aclose(self) -> None:
        """Close connections; the next request opens new ones. A client that was given is left alone."""
        await self.connection.aclose()


class _Form:
    """A request's body, and the forms of it that were refused.

    Attributes:
        body: The form to send now.
    """

    def __init__(self, request: Request, dialect: Dialect) -> None:
        self._request, self._dialect = request, dialect
        self._refused: list[frozenset[str]] = []
        self.body: Body = dialect.body(request)

    def revise(self, status: int, words: str) -> Mapping[str, Any] | None:
        """The body to send after a refusal: what was learned from it, unless that was refused already."""
        self._refused.append(self.body.form)
        if not self._dialect.learn(self.body, status=status, words=words):
            return None
        revised = self._dialect.body(self._request)
        if revised.form in self._refused:
            return None
        self.body = revised
        return revised.json


def _call(request: Request, body: Body) -> Call:
    return Call(
        path=_PATHS[request.api],
        body=body.json,
        model=request.model,
        feature="" if request.api == "chat" else "text completions",
        has_image=any(isinstance(part, ImagePart) for item in request.messages for part in item.parts),
        is_streaming=request.is_streaming,
        timeouts=request.timeouts,
        max_retries=request.max_retries,
    )


def _named(profile: Profile) -> str:
    """A profile by its name, where that says it all."""
    if providers.find(profile.name) != profile:
        raise ConfigurationError(
            f"The profile {profile.name!r} was changed, which cannot be written to a configuration.",
            hint="register it with llm_magic.register_profile(), or in a file of profiles",
        )
    return profile.name


def _checked_way(continues: str) -> Continues:
    if continues == "ask":
        return "ask"
    if continues not in PREFIX_FORMS:
        known = ("ask", *PREFIX_FORMS)
        hint = did_you_mean(continues, known, otherwise="one of " + ", ".join(known))
        raise ConfigurationError(f"continues={continues!r} is no way to go on.", hint=hint)
    return "prefix"
