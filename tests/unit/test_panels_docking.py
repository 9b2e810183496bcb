"""Where the panel is shown, by what its page says and by what does not happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_magic.engine import Engine
from llm_magic.panels.docking import Dock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LAB, NOTEBOOK = "JupyterLab", "Jupyter Notebook"


class Later(Engine):
    """An engine whose time the test passes."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[float, Callable[[], object]]] = []

    def later(self, delay_s: float, function: Callable[[], object]) -> None:
        self._waiting.append((delay_s, function))

    def at_once(self) -> None:
        """What waits for nothing is done."""
        self._do(lambda delay_s: delay_s == 0)

    def passes(self) -> None:
        """All waits are over."""
        self._do(lambda _: True)

    def _do(self, is_due: Callable[[float], bool]) -> None:
        due = [function for delay_s, function in self._waiting if is_due(delay_s)]
        self._waiting = [(delay_s, function) for delay_s, function in self._waiting if not is_due(delay_s)]
        for function in due:
            function()


class Output:
    """An output and what it has shown."""

    def __init__(self) -> None:
        self.shown: list[Mapping[str, str]] = []

    def show(self, bundle: Mapping[str, str]) -> None:
        self.shown.append(bundle)

    @property
    def now(self) -> str:
        """What it shows: the panel, or a line."""
        bundle = self.shown[-1]
        assert bundle["text/plain"]
        return "panel" if "view" in bundle else "line"


class Widget:
    """Stands for the panel's widget."""

    def bundle(self, kept: Mapping[str, str]) -> dict[str, str]:
        return {"view": "panel", **kept}


class Sidecar:
    """A dock that is open or closed."""

    def __init__(self, bundle: Mapping[str, Any]) -> None:
        assert bundle == {"view": "panel"}
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class Setting:
    """A dock for one widget, with its outputs, sidecars and time."""

    def __init__(self, *, has_sidecar: bool = True) -> None:
        self.engine = Later()
        self.outputs: list[Output] = []
        self.sidecars: list[Sidecar] = []
        widget: Any = Widget()
        display: Any = self._display
        sidecar = self._sidecar if has_sidecar else None
        self.dock = Dock(widget, self.engine, sidecar=sidecar, display=display)

    def _display(self) -> Output:
        self.outputs.append(Output())
        return self.outputs[-1]

    def _sidecar(self, bundle: Mapping[str, Any]) -> Sidecar:
        self.sidecars.append(Sidecar(bundle))
        return self.sidecars[-1]

    def say(self, application: str) -> None:
        """A page says where it runs."""
        self.dock.note_page(application)
        self.engine.at_once()


def test_in_jupyterlab_it_docks() -> None:
    """The output holds a line from the first to the last; the panel stands beside the notebook."""
    setting = Setting()
    setting.dock.show()
    setting.say(LAB)
    setting.dock.note_view()
    setting.engine.passes()

    (output,) = setting.outputs
    assert ["view" in bundle for bundle in output.shown] == [False, False]
    assert [sidecar.is_open for sidecar in setting.sidecars] == [True]


def test_shown_again_it_docks_anew() -> None:
    """A dock that was closed in the page tells nobody: a second panel() opens another for the same widget."""
    setting = Setting()
    setting.dock.show()
    setting.say(LAB)
    setting.dock.show()

    assert [sidecar.is_open for sidecar in setting.sidecars] == [False, True]
    assert [output.now for output in setting.outputs] == ["line", "line"]


def test_elsewhere_it_stands_in_the_output() -> None:
    """In Notebook the output shows it, at once when it is shown again."""
    setting = Setting()
    setting.dock.show()
    setting.say(NOTEBOOK)
    setting.dock.show()

    assert [output.now for output in setting.outputs] == ["panel", "panel"]
    assert setting.sidecars == []


def test_without_sidecar_it_stands_in_the_output() -> None:
    """Where the package is missing nobody is waited for."""
    setting = Setting(has_sidecar=False)

    setting.dock.show()
    setting.say(LAB)

    assert [output.now for output in setting.outputs] == ["panel"]


def test_where_no_page_says_anything_it_stands_in_the_output() -> None:
    """A front end that is not known is given the widget after a moment."""
    setting = Setting()
    setting.dock.show()

    setting.engine.passes()

    (output,) = setting.outputs
    assert (output.now, len(output.shown)) == ("panel", 2)
    assert setting.sidecars == []


def test_a_slow_page_of_jupyterlab_docks_all_the_same() -> None:
    """A page that says late where it runs has the panel moved from the output to its dock."""
    setting = Setting()
    setting.dock.show()
    setting.engine.passes()

    setting.say(LAB)
    setting.dock.note_view()
    setting.engine.passes()

    assert [output.now for output in setting.outputs] == ["line"]
    assert [sidecar.is_open for sidecar in setting.sidecars] == [True]


def test_a_dock_that_shows_nothing_is_given_up() -> None:
    """A server may lack the part of sidecar that runs in the page: the output shows the panel then."""
    setting = Setting()
    setting.dock.show()
    setting.say(LAB)
    assert setting.outputs[0].now == "line"

    setting.engine.passes()

    assert setting.outputs[0].now == "panel"


def test_two_outputs_at_once_are_both_settled() -> None:
    """Shown twice before the page has said anything, the last one has the panel, and neither waits for ever."""
    setting = Setting()
    setting.dock.show()
    setting.dock.show()
    setting.say(NOTEBOOK)
    setting.engine.passes()

    assert [output.now for output in setting.outputs] == ["panel", "panel"]
