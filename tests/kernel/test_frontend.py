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
_DETECT = "from llm_magic import frontend\nfound = frontend.detect(get_ipython())"
_VSCODE_ID = "vscode-notebook-cell:/home/ada/My%20Notes.ipynb#W0sZmlsZQ%3D%3D"


def detected(kernel: Kernel, code: str = _DETECT, **request: Any) -> dict[str, Any]:
    """What the kernel finds in a cell that is run like this."""
    kernel.run(code, **request).checked()
    return dict(kernel.value("{name: getattr(found, name) for name in found.__dataclass_fields__}"))


@pytest.mark.parametrize(
    ("request_", "kind", "path"),
    [
        ({"cell_id": "abc", "allow_stdin": True}, "jupyter", "static"),
        ({"cell_id": _VSCODE_ID, "allow_stdin": True}, "vscode", "static"),
        ({"metadata": {"colab": {"cell_id": "xyz"}}, "allow_stdin": True}, "colab", "static"),
        ({"allow_stdin": True}, "console", "print"),
        ({"allow_stdin": False}, "nbclient", "final"),
        ({"metadata": {"cellId": None, "colab": "?"}, "allow_stdin": True}, "colab", "static"),
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


def test_cell_identity_ends_with_the_kernel(kernel: Kernel) -> None:
    """After a restart the same cell is another one: its conversation is gone."""
    before = detected(kernel, cell_id="abc")["cell_id"]

    kernel.restart()

    assert detected(kernel, cell_id="abc")["cell_id"] != before


def test_cell_without_id_has_no_identity(module_kernel: Kernel) -> None:
    """Neither a console, nor a program that runs notebooks, nor a broken id gives an identity."""
    for request in ({"allow_stdin": True}, {}, {"metadata": {"cellId": ""}}, {"metadata": {"cellId": 3}}):
        assert detected(module_kernel, **request)["cell_id"] is None


def test_setting_overrules_what_is_found(module_kernel: Kernel) -> None:
    """view=plain prints and view=static displays, whatever the front end."""
    code = (
        "from llm_magic import frontend\n"
        "paths = [frontend.detect(get_ipython(), view=v).path for v in ('auto', 'plain', 'static')]"
    )

    for request, path in (({"cell_id": "a"}, "static"), ({"allow_stdin": True}, "print"), ({}, "final")):
        module_kernel.run(code, **request).checked()
        assert module_kernel.value("paths") == [path, "print", "static"]


def test_captured_output_is_updated_at_the_end_only(module_kernel: Kernel) -> None:
    """Under %%capture an answer is one display; after it, all is as before."""
    code = (
        "from IPython.utils.capture import capture_output\n"
        "from llm_magic import frontend\n"
        "with capture_output():\n"
        "    found = frontend.detect(get_ipython())\n"
        "    forced = frontend.detect(get_ipython(), view='static').path"
    )

    assert detected(module_kernel, code, cell_id="a")["path"] == "final"
    assert module_kernel.value("forced") == "final"
    assert detected(module_kernel, f"%%capture\n{_DETECT}", cell_id="a")["path"] == "final"
    assert detected(module_kernel, cell_id="a")["path"] == "static"


def test_deleted_cells_have_the_identity_they_had(module_kernel: Kernel) -> None:
    """A deletion names the cell by the identity it was asked with; anything else in its place is nothing."""
    cell_id = detected(module_kernel, cell_id="gone")["cell_id"]
    code = "from llm_magic import frontend\ndeleted = sorted(frontend.deleted_cells(get_ipython()))"

    module_kernel.run(code, metadata={"deletedCells": ["gone"]}).checked()
    assert module_kernel.value("deleted") == [cell_id]

    for nothing in (None, [], [3], "gone"):
        module_kernel.run(code, metadata={"deletedCells": nothing}).checked()
        assert module_kernel.value("deleted") == []


@pytest.mark.parametrize(
    ("environ", "code", "notebook"),
    [
        ({"JPY_SESSION_NAME": "/home/ada/work/My Notes.ipynb"}, "", "My Notes.ipynb"),
        ({"JPY_SESSION_NAME": r"C:\Users\Ada\t.ipynb"}, "", "t.ipynb"),
        ({}, "__vsc_ipynb_file__ = '/home/ada/v.ipynb'\n", "v.ipynb"),
        ({}, "", None),
    ],
)
def test_notebook_is_named_without_folders(
    start_kernel: StartKernel, environ: dict[str, str], code: str, notebook: str | None
) -> None:
    """The notebook's name comes from the server or from VS Code, never with a folder."""
    assert detected(start_kernel(environ=environ), code + _DETECT)["notebook"] == notebook


def test_widget_callback_belongs_to_a_notebook(module_kernel: Kernel) -> None:
    """Code that a comm message runs has no cell, and is shown as a notebook shows it."""
    code = (
        "from comm import get_comm_manager\nfrom llm_magic import frontend\n"
        "def opened(comm, message):\n    global found\n    found = frontend.detect(get_ipython())\n"
        "get_comm_manager().register_target('t', opened)"
    )
    module_kernel.run(code, cell_id="a").checked()
    module_kernel.send("comm_open", {"comm_id": "1", "target_name": "t", "data": {}}, metadata={"cellId": "a"})

    found = module_kernel.value("(found.kind, found.path, found.cell_id, found.run_id)")

    assert found == ("jupyter", "static", None, None)


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
