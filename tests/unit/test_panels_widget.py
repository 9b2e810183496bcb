"""The panel's script and style as they reach the page: one module, made of files that share their names."""

from __future__ import annotations

import re
from collections import Counter

from llm_magic.panels.widget import SCRIPTS, STYLES, panel_type
from llm_magic.views.widgets import SHARED_SCRIPTS, joined, live_type

_DECLARED = re.compile(r"^(?:const|let|var|class|function|async function)\s+(\w+)", re.MULTILINE)


def test_no_name_is_declared_twice() -> None:
    """Files that are joined share one scope: a name in two of them is a module that does not load at all."""
    texts = [path.read_text(encoding="utf-8") for path in (*SHARED_SCRIPTS, *SCRIPTS)]

    names = Counter(name for text in texts for name in _DECLARED.findall(text))

    assert len(names) > 20
    assert [name for name, count in names.items() if count > 1] == []


def test_the_module_has_no_imports_and_one_export() -> None:
    """A module that waits for another may be too late for the first messages."""
    texts = [path.read_text(encoding="utf-8") for path in (*SHARED_SCRIPTS, *SCRIPTS)]

    assert not any(re.search(r"^(import|await|export (?!default))", text, re.MULTILINE) for text in texts)
    assert ["export default" in text for text in texts] == [False] * (len(texts) - 1) + [True]


def test_it_draws_turns_as_the_live_view_does() -> None:
    """Store and turns are those of the live view."""
    shared = joined(*SHARED_SCRIPTS)

    assert panel_type()._esm.startswith(shared)
    assert live_type()._esm.startswith(shared)
    assert all(path.is_file() for path in STYLES)
