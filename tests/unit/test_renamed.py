"""A notebook that was renamed: its conversation is found, and nobody else's is taken for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.errors import ConfigurationError
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from pathlib import Path


def session(folder: Path, notebook: Path) -> Session:
    """A session of a notebook."""
    config = Config(environ={"LLM_MAGIC_STORE": str(folder / "store.sqlite3")})
    made = Session(config=config, conversation_type=Conversation, is_kept=True)
    made.note_notebook(notebook.name, str(notebook))
    return made


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """A notebook whose session has ended after one turn."""
    path = tmp_path / "old.ipynb"
    path.write_text("{}")
    first = session(tmp_path, path)
    current = first.current
    assert isinstance(current, Conversation)
    current.session, current.backend, current.model = first, ScriptedBackend([says("kept")]), "m"
    current.ask("hello")
    first.close()
    return path


def test_renamed_notebook_finds_its_conversation(tmp_path: Path, notebook: Path) -> None:
    """No front end tells of a rename: a notebook that is gone from this folder is most likely this one."""
    second = session(tmp_path, notebook.rename(tmp_path / "new.ipynb"))

    (line,) = second.lines()
    resumed = second.resume()
    second.close()

    assert line == "1 turn of old.ipynb, which is not there any more, is kept: %chat resume"
    assert [turn.text for turn in resumed.turns] == ["kept"]


def test_copied_notebook_does_not_take_the_other_ones(tmp_path: Path, notebook: Path) -> None:
    """Where the notebook is still there, its conversation comes by name only."""
    copy = tmp_path / "copy.ipynb"
    copy.write_text("{}")
    second = session(tmp_path, copy)

    assert second.lines() == []
    with pytest.raises(ConfigurationError, match=r"resume main takes up the last one of old\.ipynb"):
        second.resume()
    assert [turn.text for turn in second.resume("main").turns] == ["kept"]
    second.close()
