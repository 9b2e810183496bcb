"""``llm-magic autoload on|off``: every kernel and terminal IPython of this environment loads the extension.

It merges one entry into IPython's configuration below ``sys.prefix``, writes down in a receipt what it added,
and takes back exactly that. All other content of the files stays, also what is edited in between.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from .errors import ConfigurationError

EXTENSION = "llm_magic"
# IPython reads the first in terminals and kernels alike, then the second in kernels. ``extensions`` would be
# the wrong place: a profile's list of that name replaces the environment's. ``extra_extensions`` is loaded
# beside it, and neither hides the other.
BASE_FILE = "ipython_config.json"
KERNEL_FILE = "ipython_kernel_config.json"
SECTION, TRAIT = "InteractiveShellApp", "extra_extensions"
_RECEIPT = "llm_magic_autoload.json"


def folder() -> Path:
    """Where IPython looks for this environment's configuration."""
    return Path(sys.prefix) / "etc" / "ipython"


def is_on() -> bool:
    """Whether the configuration of this environment loads the extension, by whosever hand.

    Raises:
        ConfigurationError: A file is not JSON.
    """
    return EXTENSION in _entries(_read(folder() / BASE_FILE))


def turn_on() -> list[Path]:
    """Add the extension.

    Returns:
        The files that were changed; none where it was on.

    Raises:
        ConfigurationError: A file is not JSON, or cannot be written.
    """
    receipt = _read(folder() / _RECEIPT) or {
        "files": {},
        "folders": [str(made) for made in (folder(), folder().parent) if not made.exists()],
    }
    changed = []
    for name in (BASE_FILE, KERNEL_FILE):
        path = folder() / name
        config = _read(path)
        if EXTENSION in _entries(config):
            continue
        # The kernel's file matters only where it has a list of its own, which hides the one of the base file.
        if name == KERNEL_FILE and TRAIT not in config.get(SECTION, {}):
            continue
        before = path.read_text(encoding="utf-8") if path.exists() else None
        made = {"section": SECTION not in config, "list": TRAIT not in config.get(SECTION, {})}
        section = config.setdefault(SECTION, {})
        section[TRAIT] = [*section.get(TRAIT, []), EXTENSION]
        after = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        receipt["files"][name] = {"before": before, "after_sha256": _sha256(after), "made": made}
        # The receipt first: a cut in between leaves nothing in a file that `off` does not know.
        _write(folder() / _RECEIPT, json.dumps(receipt, indent=2) + "\n", mode=0o600)
        _write(path, after, mode=0o644)
        changed.append(path)
    return changed


def turn_off() -> list[Path]:
    """Take back what :func:`turn_on` added; an entry the user made stays.

    Returns:
        The files that were changed or removed.

    Raises:
        ConfigurationError: A file is not JSON, or cannot be written.
    """
    receipt, changed = _read(folder() / _RECEIPT), []
    for name, record in receipt.get("files", {}).items():
        path = folder() / name
        if not path.exists():
            continue
        config, text = _read(path), path.read_text(encoding="utf-8")
        # Untouched since: what was there comes back to the byte. Else only the entry goes.
        restored = record["before"] if _sha256(text) == record["after_sha256"] else _without(config, record)
        if restored == text:
            continue
        if restored is None:
            _remove(path)
        else:
            _write(path, restored, mode=0o644)
        changed.append(path)
    _remove(folder() / _RECEIPT)
    for made in receipt.get("folders", []):
        with contextlib.suppress(OSError):  # no longer empty, or gone
            Path(made).rmdir()
    return changed


def _without(config: dict[str, Any], record: dict[str, Any]) -> str | None:
    """The text of a file that was edited since, without what we added; None where nothing is left of it."""
    made, entries = record["made"], _entries(config)
    if EXTENSION in entries:
        entries.remove(EXTENSION)
        if not entries and made["list"]:
            del config[SECTION][TRAIT]
    if not config.get(SECTION, True) and made["section"]:
        del config[SECTION]
    if not config and record["before"] is None:
        return None
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def _entries(config: dict[str, Any]) -> list[Any]:
    entries: list[Any] = config.get(SECTION, {}).get(TRAIT, [])
    return entries


def _read(path: Path) -> dict[str, Any]:
    """A configuration file's content, {} where there is none.

    Raises:
        ConfigurationError: It is not the JSON of a configuration, or cannot be read.
    """
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise ConfigurationError(f"{path} is not JSON: {exc}.", hint="mend it, or move it away") from exc
    section = config.get(SECTION, {}) if isinstance(config, dict) else None
    if not isinstance(section, dict) or not isinstance(section.get(TRAIT, []), list):
        raise ConfigurationError(f"{path} is no IPython configuration.", hint="mend it, or move it away")
    return config


def _write(path: Path, text: str, *, mode: int) -> None:
    """Replace a file's content in one step, with the mode it has; behind a link, the file it leads to."""
    target = path.resolve()
    temporary = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            mode = target.stat().st_mode & 0o777
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except OSError as exc:
        Path(temporary).unlink(missing_ok=True) if temporary else None
        raise _unwritable(path, exc) from exc


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _unwritable(path: Path, exc: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be written: {exc.strerror}.", hint="use an environment of your own (python -m venv)"
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
