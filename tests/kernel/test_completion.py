"""Tab in a real kernel: what a front end gets for a ``complete_request``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kernel.harness import Kernel

pytestmark = pytest.mark.kernel
# The magics themselves are not what is tested: any of these names will do.
_EXTENSION = """
from IPython.core.magic import register_line_cell_magic
from llm_magic.magics import completion

@register_line_cell_magic
def chat(line, cell=None): ...

@register_line_cell_magic
def llm(line, cell=None): ...

completion.install(get_ipython(), completion.Sources(
    models=lambda: ["gpt-5.4-mini", "smollm2"],
    conversations=lambda: ["main", "my talk"],
    kept=lambda: ["old", "old talk"],
    versions=lambda: [1, 2],
    namespace=lambda: get_ipython().user_ns,
))

class Telescope:
    mirror = "glass"
    def mirror_size(self): return 1

telescope = Telescope()
tables = {"spectra": 1}
timeit_of_night = "02:00"
"""


@pytest.fixture(scope="module")
def kernel(module_kernel: Kernel) -> Kernel:
    module_kernel.run(_EXTENSION).checked()
    module_kernel.folder.joinpath("telescope.csv").touch()
    module_kernel.folder.joinpath("my plot.png").touch()
    return module_kernel


def completed(kernel: Kernel, code: str, after: str = "") -> list[str]:
    """The code as it would be with each of the offers taken in."""
    reply = kernel.ask("complete_request", {"code": code + after, "cursor_pos": len(code)})
    start, end = reply["cursor_start"], reply["cursor_end"]
    assert end == len(code)
    return [code[:start] + match for match in reply["matches"]]


@pytest.mark.parametrize(
    ("code", "offered"),
    [
        ("%%chat --mod", ["%%chat --model"]),
        ("%%chat -m x --no", ["%%chat -m x --no-stream"]),
        ("x = %llm --fr", ["x = %llm --fresh"]),
        ("y = 1\n%llm --model=gp", ["y = 1\n%llm --model=gpt-5.4-mini"]),
        ("%%llm -c my", ["%%llm -c 'my talk'"]),
        ("%%llm -c 'my", ["%%llm -c 'my talk'"]),
        ("%chat loc", ["%chat local"]),
        ("%chat local st", ["%chat local stop"]),
        ("%chat pick 2.", ["%chat pick 2.1", "%chat pick 2.2"]),
        ("%chat move 2 before ", ["%chat move 2 before 1", "%chat move 2 before 2"]),
        ("%chat config view=st", ["%chat config view=static"]),
        ("%chat save tele", ["%chat save telescope.csv"]),
        ("%llm -i 'my", ["%llm -i 'my plot.png'"]),
        ("%llm -f tele", ["%llm -f telescope", "%llm -f telescope.csv"]),
        ("%llm -i telescope.mirror_", ["%llm -i telescope.mirror_size"]),
        ("%%chat\nWhat is {{ telesc", ["%%chat\nWhat is {{ telescope"]),
        ("%%chat\nWhat is {{ telescope.mirror_", ["%%chat\nWhat is {{ telescope.mirror_size"]),
        ("%llm What is {{ 1 + telescope.mirror_", ["%llm What is {{ 1 + telescope.mirror_size"]),
        ("%llm At {{ timeit", ["%llm At {{ timeit_of_night"]),
        ("%%time\n%%chat\n{{telesc", ["%%time\n%%chat\n{{telescope"]),
    ],
)
def test_tab_completes(kernel: Kernel, code: str, offered: list[str]) -> None:
    """Taking an offer gives the line that was meant, and nothing of IPython's is mixed in."""
    assert completed(kernel, code) == offered


def test_tab_completes_in_the_middle(kernel: Kernel) -> None:
    """What stands after the cursor does not matter: front ends close braces and quotes by themselves."""
    assert completed(kernel, "%%chat\n{{ telesc", after=" }}\nand more") == ["%%chat\n{{ telescope"]
    assert completed(kernel, "%%chat --mod", after="\nprompt") == ["%%chat --model"]


def test_tab_completes_keys_and_all_names(kernel: Kernel) -> None:
    """Keys are offered as IPython does; after {{ alone, the user's own names are, and no others."""
    assert any("spectra" in line for line in completed(kernel, "%%chat\n{{ tables['sp"))
    names = [line.removeprefix("%%chat\n{{ ") for line in completed(kernel, "%%chat\n{{ ")]
    assert {"telescope", "tables", "Telescope"} <= set(names)
    assert not {"In", "Out", "exit", "get_ipython"} & set(names)


def test_tab_elsewhere_is_ipythons(kernel: Kernel) -> None:
    """Other code completes as without us."""
    assert "telescope" in completed(kernel, "telesc")
    assert "telescope.mirror_size" in completed(kernel, "telescope.mirror_")


def test_tab_after_uninstall_is_ipythons(kernel: Kernel) -> None:
    """Unloading takes the offers back, loading again brings them again."""
    kernel.run("completion.uninstall(get_ipython())").checked()
    assert "%%chat --model" not in completed(kernel, "%%chat --mod")

    kernel.run(_EXTENSION).checked()
    assert completed(kernel, "%%chat --mod") == ["%%chat --model"]


def test_failing_source_does_not_break_tab(kernel: Kernel) -> None:
    """A namespace whose values raise when looked at still completes."""
    kernel.run("class Bad:\n    def __getattr__(self, name): raise RuntimeError(name)\nbad = Bad()").checked()

    reply: dict[str, Any] = kernel.ask("complete_request", {"code": "%%chat\n{{ bad.x", "cursor_pos": 15})

    assert reply["status"] == "ok"
    assert completed(kernel, "%%chat\n{{ telesc") == ["%%chat\n{{ telescope"]
