"""Front ends as a real ipykernel sees them: the requests are those of each front end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tests.kernel.harness import Kernel, run_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.conftest import StartKernel

pytestmark = pytest.mark.kernel
_DETECT = "from llm_magic import frontend\nfound = frontend.detect(get_ipython(), secret=b'secret')"
_VSCODE_ID = "vscode-notebook-cell:/home/ada/My%20Notes.ipynb#W0sZmlsZQ%3D%3D"


def detected(kernel: Kernel, code: str = _DETECT, **request: Any) -> dict[str, Any]:
    """What the kernel finds in a cell that is run like this."""
    kernel.run(code, **request).checked()
    return dict(kernel.value("{name: getattr(found, name) for name in found.__dataclass_fields__}"))


@pytest.mark.parametrize(
    ("request_", "kind", "path"),
    [
        ({"cell_id": "abc", "allow_stdin": True}, "jupyter", "live"),
        ({"cell_id": _VSCODE_ID, "allow_stdin": True}, "vscode", "live"),
        ({"metadata": {"colab": {"cell_id": "xyz"}}, "allow_stdin": True}, "colab", "live"),
        ({"allow_stdin": True}, "console", "print"),
        ({"allow_stdin": False}, "nbclient", "final"),
        ({"metadata": {"cellId": None, "colab": "?"}, "allow_stdin": True}, "colab", "live"),
    ],
)
def test_front_end_is_told_by_its_request(
    module_kernel: Kernel, request_: dict[str, Any], kind: str, path: str
) -> None:
    """Each front end is known by what it sends, and shows answers the way it can."""
    found = detected(module_kernel, **request_)

    assert (found["kind"], found["path"]) == (kind, path)
    assert found["run_id"]


def test_cell_identity_is_stable_and_hashed(module_kernel: Kernel) -> None:
    """The same cell has the same identity in every run, others have others, and none is the id itself."""
    first, again = detected(module_kernel, cell_id="abc"), detected(module_kernel, cell_id="abc")
    other = detected(module_kernel, cell_id="abd")
    colab = detected(module_kernel, metadata={"colab": {"cell_id": "abc"}})

    assert first["cell_id"] == again["cell_id"] == colab["cell_id"]
    assert first["run_id"] != again["run_id"]
    assert other["cell_id"] != first["cell_id"]
    assert len(first["cell_id"]) == 16
    assert "abc" not in first["cell_id"]


def test_cell_identity_is_of_one_secret(module_kernel: Kernel) -> None:
    """Who does not know the secret cannot tell which cell it is."""
    other = _DETECT.replace("b'secret'", "b'another'")

    assert detected(module_kernel, cell_id="abc")["cell_id"] != detected(module_kernel, other, cell_id="abc")["cell_id"]


def test_cell_identity_outlives_the_kernel_where_ids_are_stable(kernel: Kernel) -> None:
    """After a restart the same cell is the same; VS Code's ids count cells anew, and its cell is found by its code."""
    requests: tuple[dict[str, Any], ...] = (
        {"cell_id": "abc"},
        {"metadata": {"colab": {"cell_id": "abc"}}},
        {"cell_id": _VSCODE_ID},
    )
    before = [detected(kernel, **request) for request in requests]

    kernel.restart()

    after = [detected(kernel, **request) for request in requests]
    assert [one["cell_id"] == other["cell_id"] for one, other in zip(before, after, strict=True)] == [True, True, False]
    assert [one["source"] == other["source"] for one, other in zip(before, after, strict=True)] == [True, True, True]
    assert before[0]["source"] is before[1]["source"] is None
    assert len(before[2]["source"]) == 16


def test_source_is_of_one_notebook_and_one_code(module_kernel: Kernel) -> None:
    """A cell of VS Code's is found again by its notebook and its code, whatever number its window gave it."""
    source = detected(module_kernel, cell_id=_VSCODE_ID)["source"]

    renumbered = _VSCODE_ID.replace("#W0", "#W7")
    assert detected(module_kernel, cell_id=renumbered)["source"] == source
    assert detected(module_kernel, cell_id=_VSCODE_ID.replace("Notes", "Ideas"))["source"] != source
    assert detected(module_kernel, f"{_DETECT} # edited", cell_id=_VSCODE_ID)["source"] != source


def test_cell_without_id_has_no_identity(module_kernel: Kernel) -> None:
    """Neither a console, nor a program that runs notebooks, nor a broken id gives an identity."""
    for request in ({"allow_stdin": True}, {}, {"metadata": {"cellId": ""}}, {"metadata": {"cellId": 3}}):
        assert detected(module_kernel, **request)["cell_id"] is None


def test_setting_overrules_what_is_found(module_kernel: Kernel) -> None:
    """view=plain prints, view=static and view=live display, whatever the front end."""
    code = (
        "from llm_magic import frontend\n"
        "paths = [frontend.detect(get_ipython(), view=v, secret=b'').path "
        "for v in ('auto', 'plain', 'static', 'live')]"
    )

    for request, path in (({"cell_id": "a"}, "live"), ({"allow_stdin": True}, "print"), ({}, "final")):
        module_kernel.run(code, **request).checked()
        assert module_kernel.value("paths") == [path, "print", "static", "live"]


def test_captured_output_is_updated_at_the_end_only(module_kernel: Kernel) -> None:
    """Under %%capture an answer is one display; after it, all is as before."""
    code = (
        "from IPython.utils.capture import capture_output\n"
        "from llm_magic import frontend\n"
        "with capture_output():\n"
        "    found = frontend.detect(get_ipython(), secret=b'')\n"
        "    forced = frontend.detect(get_ipython(), view='static', secret=b'').path"
    )

    assert detected(module_kernel, code, cell_id="a")["path"] == "final"
    assert module_kernel.value("forced") == "final"
    assert detected(module_kernel, f"%%capture\n{_DETECT}", cell_id="a")["path"] == "final"
    assert detected(module_kernel, cell_id="a")["path"] == "live"


def test_deletions_are_reported_by_the_front_ends_own_ids(module_kernel: Kernel) -> None:
    """A request names the cells that were deleted before it; anything else in their place is nothing."""
    code = "from llm_magic import frontend\nfound = frontend.report(get_ipython())"

    module_kernel.run(code, cell_id="here", metadata={"deletedCells": ["b", "a"]}).checked()
    assert module_kernel.value("(found.raw_id, found.deleted)") == ("here", ("b", "a"))

    for nothing in (None, [], [3], "gone"):
        module_kernel.run(code, metadata={"deletedCells": nothing}).checked()
        assert module_kernel.value("(found.raw_id, found.deleted)") == (None, ())


@pytest.mark.parametrize(
    ("environ", "code", "notebook", "path"),
    [
        ({"JPY_SESSION_NAME": "/home/ada/My Notes.ipynb"}, "", "My Notes.ipynb", "/home/ada/My Notes.ipynb"),
        ({"JPY_SESSION_NAME": r"C:\Users\Ada\t.ipynb"}, "", "t.ipynb", r"C:\Users\Ada\t.ipynb"),
        ({}, "__vsc_ipynb_file__ = '/home/ada/v.ipynb'\n", "v.ipynb", "/home/ada/v.ipynb"),
        ({"JPY_SESSION_NAME": "sub/there is none.ipynb"}, "", "there is none.ipynb", None),
        ({}, "", None, None),
    ],
)
def test_notebook_is_named_as_it_was_told(
    start_kernel: StartKernel, environ: dict[str, str], code: str, notebook: str | None, path: str | None
) -> None:
    """The notebook's file comes from the server or from VS Code: its name without folders, and its full path."""
    found = detected(start_kernel(environ=environ), code + _DETECT)

    assert (found["notebook"], found["notebook_path"]) == (notebook, path)


def test_notebook_named_by_its_place_on_the_server_is_found_beside_the_kernel(start_kernel: StartKernel) -> None:
    """A server may know only the path below its own folder; its kernels start in the notebook's."""
    kernel = start_kernel(environ={"JPY_SESSION_NAME": "sub/mine.ipynb"})
    (kernel.folder / "mine.ipynb").touch()

    found = detected(kernel, f"import os; os.chdir('/')\n{_DETECT}")

    assert found["notebook_path"] == str(kernel.folder / "mine.ipynb")


def test_widget_callback_belongs_to_a_notebook(module_kernel: Kernel) -> None:
    """Code that a comm message runs has no cell, and is shown as a notebook shows it."""
    code = (
        "from comm import get_comm_manager\nfrom llm_magic import frontend\n"
        "def opened(comm, message):\n    global found\n    found = frontend.detect(get_ipython(), secret=b'')\n"
        "get_comm_manager().register_target('t', opened)"
    )
    module_kernel.run(code, cell_id="a").checked()
    module_kernel.send("comm_open", {"comm_id": "1", "target_name": "t", "data": {}}, metadata={"cellId": "a"})

    found = module_kernel.value("(found.kind, found.path, found.cell_id, found.run_id)")

    assert found == ("jupyter", "live", None, None)


def test_nbclient_is_known(tmp_path: Path) -> None:
    """The real nbclient is taken for what it is."""
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    cell["source"] = f"{_DETECT}\nprint(found.kind, found.path, found.cell_id)"
    notebook = nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})  # type: ignore[no-untyped-call]  # nbformat is half typed

    assert run_notebook(notebook, tmp_path).cells[0].outputs[0].text == "nbclient final None\n"
