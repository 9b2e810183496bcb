"""``%config LLMMagic``: the table of settings as traits, so that Jupyter's own configuration reaches them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..settings import SETTINGS

if TYPE_CHECKING:
    from traitlets.config import Configurable

    from ..setting import Setting


def make_traits(settings: dict[str, Any], **arguments: Any) -> Configurable:
    """A configurable named LLMMagic whose traits write into ``settings``.

    Secrets are left out: ``%config`` prints every value, and a configuration file is no place for a key.
    """
    from traitlets.config import Configurable as Base

    class LLMMagic(Base):
        """Settings of llm_magic; see %chat config for values and origins."""

        def _write(self, change: Any) -> None:
            row = SETTINGS[change["name"]]
            settings[row.name] = row.checked(change["new"])

    traits = {row.name: _trait(row) for row in SETTINGS.values() if row.kind != "secret"}
    made = type("LLMMagic", (LLMMagic,), {"__doc__": LLMMagic.__doc__, **traits})(**arguments)
    for name in traits:
        if getattr(made, name) is not None:
            settings[name] = getattr(made, name)
    made.observe(made._write, names=list(traits))  # noqa: SLF001  # its own method
    return made  # type: ignore[no-any-return]  # traitlets is untyped


def _trait(row: Setting) -> Any:
    import traitlets

    kinds: dict[str, Any] = {
        "text": traitlets.Unicode,
        "address": traitlets.Unicode,
        "integer": traitlets.Int,
        "number": traitlets.Float,
        "flag": traitlets.Bool,
        "headers": traitlets.Dict,
        "object": traitlets.Dict,
        "facts": traitlets.Dict,
        "budget": traitlets.Any,
        "texts": lambda **kwargs: traitlets.Union([traitlets.Unicode(), traitlets.List()], **kwargs),
    }
    # None means "not set here", so that the environment and the defaults below still count.
    # By its name: the first argument of a Dict is something else, and its default an empty one.
    return kinds[row.kind](default_value=None, allow_none=True, help=row.help).tag(config=True)
