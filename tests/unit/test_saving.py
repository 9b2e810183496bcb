"""Conversations in files: exact, whole or not at all, and one line where something is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_magic.content import ImagePart, Message, TextPart, message
from llm_magic.errors import MissingDependencyError, StoreError
from llm_magic.records import CONNECTION
from llm_magic.saving import load, save
from llm_magic.slots import Conversation
from llm_magic.turns import Turn
from tests.fakes.conversations import conversations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = [".json", ".jsonl", ".md", ".csv", ".parquet"]
LOADED = [".json", ".jsonl", ".csv", ".parquet"]


@pytest.fixture
def talk() -> Conversation:
    """One turn with a picture, and one that is plain."""
    conversation = Conversation(name="main", system="Be brief.", settings={"seed": 7})
    picture = ImagePart(data=bytes(range(256)), media_type="image/png")
    prompts = [Message(role="user", parts=(TextPart(text="What?"), picture)), message("user", "And?\r\nNA\r")]
    for number, prompt in enumerate(prompts):
        slot = conversation.reserve(None)
        seen = conversation.context(slot.id).seen
        conversation.add_version(slot, Turn(id=f"t{number}", prompt=(prompt,), text="A fox.", seen=seen))
    return conversation


@pytest.fixture
def umask() -> Iterator[None]:
    """The usual umask, whatever this process has."""
    former = os.umask(0o022)
    yield
    os.umask(former)


@given(conversation=conversations())
@settings(deadline=None, max_examples=50)
@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_file_round_trip_is_exact(
    suffix: str, conversation: Conversation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A conversation comes back from .json and .parquet as it was, whatever it holds."""
    path = tmp_path_factory.mktemp("files") / f"talk{suffix}"

    assert load(save(conversation, path)) == conversation


@given(conversation=conversations(has_empty=False, has_turns=True))
@settings(deadline=None, max_examples=50)
def test_csv_round_trip_is_exact(conversation: Conversation, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A conversation with turns comes back from .csv, line ends, quotes and "NA" included."""
    path = tmp_path_factory.mktemp("files") / "talk.csv"

    assert load(save(conversation, path)) == conversation


def test_csv_of_an_empty_conversation_is_an_empty_one(tmp_path: Path) -> None:
    """A .csv has no place for a conversation without turns: it comes back empty, and no error."""
    assert load(save(Conversation(name="new"), tmp_path / "a.csv")).slots == ()


def test_jsonl_holds_the_messages_and_is_named_like_the_file(talk: Conversation, tmp_path: Path) -> None:
    """A .jsonl has what would be sent; messages have no name, so the file's is taken."""
    made = load(save(talk, tmp_path / "trip.jsonl"))

    assert made.name == "trip"
    assert made.system == "Be brief."
    assert [turn.messages() for turn in made.turns] == [turn.messages() for turn in talk.turns]


def test_markdown_is_saved_and_not_loaded(talk: Conversation, tmp_path: Path) -> None:
    """A .md is to read: loading it says what can be loaded."""
    path = save(talk, tmp_path / "talk.md")

    assert path.read_text(encoding="utf-8").startswith("# main\n")
    with pytest.raises(StoreError, match=r"\.md can be saved and not loaded.*\.json, \.jsonl, \.csv, \.parquet"):
        load(path)


@pytest.mark.parametrize("suffix", ALL)
def test_half_a_surrogate_pair_can_be_saved(suffix: str, tmp_path: Path) -> None:
    """A character that a server cut in two does not keep anything from being saved."""
    conversation = Conversation(name="main")
    turn = Turn(id="t", prompt=(message("user", "\ud83d"),), text="\ude00", reasoning="fine")
    conversation.add_version(conversation.reserve(None), turn)

    path = save(conversation, tmp_path / f"talk{suffix}")

    if suffix in LOADED:
        assert load(path).turns[0].text == "\ude00"
        assert load(path).turns[0].prompt_text == "\ud83d"


@pytest.mark.parametrize("suffix", ALL)
def test_keys_are_in_no_file(talk: Conversation, suffix: str, tmp_path: Path) -> None:
    """A key that is among a conversation's settings is in no file."""
    talk.settings = dict.fromkeys(CONNECTION, "sk-canary")

    path = save(talk, tmp_path / f"talk{suffix}")

    assert b"sk-canary" not in path.read_bytes()


@pytest.mark.parametrize("name", ["talk.txt", "talk", "talk.json.gz"])
def test_unknown_suffix_lists_the_known(talk: Conversation, name: str, tmp_path: Path) -> None:
    """An unknown suffix is one line that lists those that are known."""
    with pytest.raises(StoreError, match=r"use \.json, \.jsonl, \.md, \.csv, \.parquet"):
        save(talk, tmp_path / name)
    with pytest.raises(StoreError, match=r"use \.json, \.jsonl, \.csv, \.parquet"):
        load(tmp_path / name)


def test_suffix_may_be_in_capitals(talk: Conversation, tmp_path: Path) -> None:
    """Some systems write suffixes in capitals."""
    assert load(save(talk, tmp_path / "TALK.JSON")) == talk


def test_home_folder_is_found(talk: Conversation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin at the home folder, "~"."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    assert save(talk, "~/talk.json") == tmp_path / "talk.json"
    assert load("~/talk.json") == talk


def test_missing_folder_is_one_line(talk: Conversation, tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with pytest.raises(StoreError, match=r"There is no folder .*nowhere"):
        save(talk, tmp_path / "nowhere" / "talk.json")


def test_folder_as_file_is_one_line(talk: Conversation, tmp_path: Path) -> None:
    """A folder is no file."""
    (tmp_path / "talk.json").mkdir()

    with pytest.raises(StoreError, match="is a folder"):
        save(talk, tmp_path / "talk.json")
    with pytest.raises(StoreError, match="cannot be read"):
        load(tmp_path / "talk.json")


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(StoreError, match=r"talk\.json cannot be read: No such file"):
        load(tmp_path / "talk.json")


@pytest.mark.parametrize("suffix", LOADED)
@pytest.mark.parametrize(
    "data", [b"", b"\x00\xff\xfe", b"{}", b"[]", b'"x', b"a,b\n1,2,3\n", b"PAR1" * 9, b"[" * 100_000]
)
def test_broken_file_is_one_line(suffix: str, data: bytes, tmp_path: Path) -> None:
    """Whatever a file holds, what cannot be loaded is a StoreError of one line that names the file."""
    path = tmp_path / f"talk{suffix}"
    path.write_bytes(data)
    if (suffix, data) in ((".jsonl", b""), (".json", b"[]")):
        assert load(path).slots == ()
        return

    with pytest.raises(StoreError) as caught:
        load(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", LOADED)
@given(data=st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_file_is_a_conversation_or_one_line(
    talk: Conversation, suffix: str, data: st.DataObject, tmp_path: Path
) -> None:
    """A file with any bytes in it changed is a conversation or a StoreError of one line, never anything else."""
    path = save(talk, tmp_path / f"talk{suffix}")
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    length = data.draw(st.sampled_from([0, 1, 4, 50]))
    words = [b"null", b"-1", b"1e999", b"9" * 25, b"[]", b"{}", b'"x"', b",", b"\n", b"\xff", b""]
    path.write_bytes(
        content[:start] + data.draw(st.sampled_from(words) | st.binary(max_size=8)) + content[start + length :]
    )

    said = ""
    try:
        load(path)
    except StoreError as exc:
        said = str(exc)

    assert "\n" not in said
    assert not said or str(path) in said


def test_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """Text in another encoding is named with the line where it shows."""
    path = tmp_path / "talk.jsonl"
    path.write_bytes(b'{"role": "user", "content": "a"}\n{"role": "user", "content": "caf\xe9"}')

    with pytest.raises(StoreError, match=r"talk\.jsonl: line 2 is not text in UTF-8"):
        load(path)


def test_mistake_in_a_json_file_is_found_by_line_and_column(talk: Conversation, tmp_path: Path) -> None:
    """A comma too many in a file of many lines is found, and so is a key that stands twice."""
    path = save(talk, tmp_path / "talk.json")
    text = path.read_text(encoding="utf-8")

    path.write_text(text.replace('"system": "Be brief.",', '"system": "Be brief.",,', 1), encoding="utf-8")
    with pytest.raises(StoreError, match=r"talk\.json: The file is not JSON: .* \(line 6, column 24\)"):
        load(path)
    path.write_text(text.replace('"version": 2,', '"version": 2, "version": 1,', 1), encoding="utf-8")
    with pytest.raises(StoreError, match="has the key 'version' twice"):
        load(path)


def test_json_of_messages_is_loaded(tmp_path: Path) -> None:
    """A .json of messages in OpenAI's format is a conversation called like the file."""
    path = tmp_path / "trip.json"
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for data in (messages, {"messages": messages}):
        path.write_text(json.dumps(data, indent=1), encoding="utf-8")

        made = load(path)

        assert (made.name, made.turns[0].text) == ("trip", "b")


def test_line_says_which_conversation_to_load(tmp_path: Path) -> None:
    """Of several conversations in a .jsonl one is loaded, by its line; other files hold one."""
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(json.dumps({"messages": [{"role": "assistant", "content": text}]}) for text in "abc"))

    assert load(path, line=2).turns[0].text == "b"
    with pytest.raises(StoreError, match=r"talk\.jsonl: There are 3 conversations, at lines 1, 2, 3"):
        load(path)
    with pytest.raises(StoreError, match=r"talk\.json holds one conversation"):
        load(tmp_path / "talk.json", line=2)


def test_csv_with_longer_rows_is_refused(talk: Conversation, tmp_path: Path) -> None:
    """A comma too many in every row does not move all cells by one column."""
    path = save(talk, tmp_path / "talk.csv")
    head, *rows = path.read_text(encoding="utf-8").split('\n"main",')
    path.write_text(head + "".join(f'\n"more","main",{row}' for row in rows), encoding="utf-8")

    with pytest.raises(StoreError, match="rows have more cells than the header"):
        load(path)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_cut_file_is_one_line(talk: Conversation, suffix: str, tmp_path: Path) -> None:
    """A file cut at any place is refused or is a shorter conversation: never a crash."""
    path = save(talk, tmp_path / f"talk{suffix}")
    data = path.read_bytes()

    for cut in range(0, len(data) - 2, max(1, len(data) // 40)):
        path.write_bytes(data[:cut])
        made: list[Conversation] = []
        with contextlib.suppress(StoreError):
            made.append(load(path))
        assert all(suffix == ".csv" and len(item.slots) < 2 for item in made)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_file_may_begin_with_a_byte_order_mark(talk: Conversation, suffix: str, tmp_path: Path) -> None:
    """A text file that an editor saved with its mark is read all the same."""
    path = save(talk, tmp_path / f"talk{suffix}")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert [turn.text for turn in load(path).turns] == ["A fox.", "A fox."]


def test_newer_file_says_so(talk: Conversation, tmp_path: Path) -> None:
    """A file of a later format says that it is, and what to do."""
    path = save(talk, tmp_path / "talk.json")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"version": 3}), encoding="utf-8")

    with pytest.raises(StoreError, match=r"format 3.*pip install -U"):
        load(path)


def test_saving_replaces_in_one_step(talk: Conversation, tmp_path: Path) -> None:
    """Saving again replaces the file and leaves nothing beside it."""
    path = save(Conversation(name="old"), tmp_path / "talk.json")

    save(talk, path)

    assert load(path) == talk
    assert list(tmp_path.iterdir()) == [path]


def test_failed_saving_leaves_the_old_file(talk: Conversation, tmp_path: Path) -> None:
    """A conversation that cannot be written leaves the file that was there, and nothing else."""
    path = save(talk, tmp_path / "talk.json")
    broken = replace(talk, settings={"stop": object()})

    with pytest.raises(StoreError, match="object is not JSON serializable"):
        save(broken, path)

    assert load(path) == talk
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_full_disk_leaves_the_old_file(talk: Conversation, tmp_path: Path) -> None:
    """A write that breaks off in the middle is one line, leaves the old file, and no draft."""
    import resource

    path = save(Conversation(name="old"), tmp_path / "talk.json")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"talk\.json cannot be written: File too large"):
            save(talk, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert load(path).name == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_name_that_the_disk_refuses_is_one_line(talk: Conversation, tmp_path: Path) -> None:
    """A name too long for the disk is one line, and no draft stays."""
    with pytest.raises(StoreError, match="cannot be written"):
        save(talk, tmp_path / f"{'x' * 250}.json")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("mask", "mode"), [(0o000, 0o644), (0o022, 0o644), (0o077, 0o600)])
def test_new_file_is_never_wider_than_0644(talk: Conversation, mask: int, mode: int, tmp_path: Path) -> None:
    """A new file has the umask's mode, and never more than 0644."""
    os.umask(mask)

    path = save(talk, tmp_path / "talk.json")

    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("before", "after"), [(0o600, 0o600), (0o640, 0o640), (0o666, 0o644)])
def test_private_file_stays_private(talk: Conversation, before: int, after: int, tmp_path: Path) -> None:
    """A file that was there has its mode again, if that is no wider than a new one's."""
    path = tmp_path / "talk.json"
    path.touch()
    path.chmod(before)

    save(talk, path)

    assert stat.S_IMODE(path.stat().st_mode) == after


@pytest.mark.skipif(sys.platform == "win32", reason="Windows needs a right for links")
def test_link_stays_a_link(talk: Conversation, tmp_path: Path) -> None:
    """Saving to a link writes what it points to."""
    (tmp_path / "there").mkdir()
    link = tmp_path / "talk.json"
    link.symlink_to(tmp_path / "there" / "real.json")

    save(talk, link)

    assert link.is_symlink()
    assert load(tmp_path / "there" / "real.json") == talk


def test_parquet_without_pyarrow_says_what_to_install(
    talk: Conversation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow, .parquet is one line that names it."""
    path = save(talk, tmp_path / "talk.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    for attempt in (lambda: save(talk, path), lambda: load(path)):
        with pytest.raises(MissingDependencyError, match="pip install pyarrow"):
            attempt()


def test_loading_evaluates_nothing(tmp_path: Path) -> None:
    """Braces in a file stay text."""
    path = tmp_path / "talk.jsonl"
    path.write_text(
        '{"role": "user", "content": "{{ 1/0 }}"}\n{"role": "assistant", "content": "ok"}', encoding="utf-8"
    )

    assert load(path).turns[0].prompt_text == "{{ 1/0 }}"


@pytest.mark.parametrize("module", ["ledger", "export", "saving"])
def test_import_loads_nothing_heavy(module: str) -> None:
    """Importing the tables imports no pandas."""
    heavy = "('pandas', 'numpy', 'pyarrow', 'openai', 'PIL', 'anywidget')"
    code = f"import sys, llm_magic.{module}; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
