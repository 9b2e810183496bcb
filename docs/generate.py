"""Writes the tables of the documentation anew from the tables of the code: ``python docs/generate.py``.

A page marks where a table stands: ``<!-- generated: options -->``, the table, ``<!-- end -->``. The rest of a
page is written by hand. A test compares the pages with what this makes.
"""  # noqa: INP001  # a script, not a package

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from docs import capabilities  # noqa: E402  # the working tree's, also where one is installed
from llm_magic.config import shown  # noqa: E402
from llm_magic.magics.help import markdown_table, markdown_tables  # noqa: E402
from llm_magic.providers.local_table import LOCAL  # noqa: E402
from llm_magic.providers.table import HOSTED  # noqa: E402
from llm_magic.settings import SETTINGS  # noqa: E402

PAGES = (ROOT / "README.md", ROOT / "docs" / "magics.md", ROOT / "docs" / "providers.md")
_MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def generated(text: str) -> str:
    """A page with its tables as the code has them now."""
    tables = {**markdown_tables(), "settings": settings_table(), "providers": providers_table()}
    return _MARKED.sub(lambda found: f"{found[1]}\n{tables[found[2]]}\n\n{found[3]}", text)


def providers_table() -> str:
    """The profiles: how each is asked for, its key, how its models' names begin, how it was tested."""
    rows = [
        (
            f"`-m {item.name}/…`",
            item.title,
            _variables(item.key_variables) + ("" if item.needs_key else " (none needed)"),
            ", ".join(f"`{prefix}…`" for prefix in item.prefixes),
            item.tested,
        )
        for item in (*HOSTED, *LOCAL)
    ]
    return markdown_table(("asked as", "provider", "key", "models", "tested"), rows)


def settings_table() -> str:
    """The settings: name, what it is, default, environment variables."""
    rows = [
        (
            f"`{row.name}`",
            row.help,
            "" if row.default is None else f"`{shown(row.name, row.default)}`",
            _variables(row.variables()),
        )
        for row in SETTINGS.values()
    ]
    return markdown_table(("setting", "is", "default", "environment"), rows)


def _variables(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    """Write all pages."""
    for page in PAGES:
        page.write_text(generated(page.read_text(encoding="utf-8")), encoding="utf-8")
    capabilities.PAGE.write_text(capabilities.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
