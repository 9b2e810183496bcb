"""Pages that show a widget, without a browser: they apply patches as the page's store does, and answer as it does."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

from llm_magic.views.feed import utf16_units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.kernel.harness import Kernel, Received

_TIMEOUT_S, _SILENCE_S = 60.0, 2.0
_PRESSES = 10


class Store:
    """What a page's store does, in the words of the protocol; texts are lists of UTF-16 units.

    Args:
        whole: The state to begin with.
    """

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self.whole = json.loads(json.dumps(whole))

    def apply(self, patch: Mapping[str, Any]) -> None:
        """Take the next patch."""
        patch = json.loads(json.dumps(patch))
        assert patch["q"] == self.whole["q"] + 1
        self.whole["q"] = patch["q"]
        self._put(self.whole["head"], patch.get("head", {}))
        self.whole["order"] = patch.get("order", self.whole["order"])
        for key, fields in patch.get("turns", {}).items():
            if fields is None:
                del self.whole["turns"][key]
                continue
            turn = self.whole["turns"].setdefault(key, {})
            for section in ("a", "r"):
                if section in fields:
                    self._splice(turn.setdefault(section, []), *fields.pop(section))
                    if not turn[section]:
                        del turn[section]
            self._put(turn, fields)

    @staticmethod
    def _put(into: dict[str, Any], fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            if value is None:
                del into[name]
            else:
                into[name] = value

    @staticmethod
    def _splice(pieces: list[Any], index: int, kept: int, said: Sequence[Any], total: int) -> None:
        said = list(said)
        if kept:
            html = pieces[index] if isinstance(pieces[index], str) else pieces[index][1]
            head = html.encode("utf-16-le")[: 2 * kept].decode("utf-16-le")
            said[0] = head + said[0] if isinstance(pieces[index], str) else [pieces[index][0], head + said[0]]
        pieces[index:] = said
        assert total == sum(utf16_units(one if isinstance(one, str) else one[1]) for one in pieces)


class TurnPage:
    """A page that shows the live view of one turn, driven by hand: over a kernel's own protocol.

    Args:
        kernel: Whose messages it sees, from now on.
        model_id: The widget.
        whole: Its state.

    Attributes:
        store: What it has of the turn.
        said: Messages to it that were no patches.
        states: The states of the turn that it has seen, in order.
        lost: Characters of the answer's HTML in patches that did not arrive.
    """

    def __init__(self, kernel: Kernel, model_id: str, whole: Mapping[str, Any]) -> None:
        self.model_id = model_id
        self.store = Store(whole)
        self.said: list[dict[str, Any]] = []
        self.states: list[str] = [self.turn["s"]]
        self.lost = 0
        self._kernel = kernel
        self._seen = len(kernel.messages)

    @classmethod
    def of_cell(cls, kernel: Kernel, request_id: str) -> Self:
        """The page that sees a cell begin to show its view."""
        opened = kernel.wait_for(_opens_view, parent_id=request_id)
        page = cls(kernel, opened.content["comm_id"], opened.content["data"]["state"]["snap"])
        page._seen = kernel.messages.index(opened) + 1
        return page

    @property
    def turn(self) -> dict[str, Any]:
        """The turn as the page has it."""
        (key,) = self.store.whole["order"]
        return dict(self.store.whole["turns"][key])

    @property
    def html(self) -> str:
        """The answer's HTML as the page has it."""
        return "".join(one if isinstance(one, str) else one[1] for one in self.turn.get("a", ()))

    def say(self, kind: str, **more: Any) -> str:
        """Say something over the control channel; id of the message."""
        whole = self.store.whole
        return self._kernel.send("llm_magic", {"k": kind, "t": whole["t"], "q": whole["q"], **more}, channel="control")

    def stop(self) -> str:
        """Press Stop, and again where nobody acknowledges it; id of the message that was heard."""
        acknowledged = self._acknowledged()
        for _ in range(_PRESSES):
            sent = self.say("stop", turn=self.turn["w"])
            try:
                self._kernel.wait_for(lambda _message: self._acknowledged() > acknowledged, timeout_s=_SILENCE_S)
            except TimeoutError:
                continue
            return sent
        raise TimeoutError("nobody acknowledges a stop")

    def _acknowledged(self) -> int:
        data = [message.content["data"] for message in self._kernel.messages if self._is_told(message)]
        return sum(one["method"] == "custom" and one["content"]["k"] == "ack" for one in data)

    def see(self, condition: Any, *, is_lossy: bool = False) -> None:
        """Take in what comes until a condition of this page holds.

        Args:
            condition: Called with this page.
            is_lossy: Patches do not arrive.

        Raises:
            TimeoutError: It does not come to hold.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            self.look(is_lossy=is_lossy)
            if condition(self):
                return
            try:
                self._kernel.wait_for(lambda _message: bool(self._unseen()), timeout_s=_SILENCE_S)
            except TimeoutError:
                # Into silence a page says again what it needs: on its way there or back, a message may be held up.
                self.say("need")
        raise TimeoutError(f"not within {_TIMEOUT_S} s; the page has {self.store.whole}")

    def look(self, *, is_lossy: bool = False) -> None:
        """Take in what has come so far."""
        for message in self._unseen():
            self._take(message.content["data"], is_lossy=is_lossy)
        self._seen = len(self._kernel.messages)

    def _unseen(self) -> list[Received]:
        return [message for message in self._kernel.messages[self._seen :] if self._is_told(message)]

    def _is_told(self, message: Received) -> bool:
        return message.type == "comm_msg" and message.content["comm_id"] == self.model_id

    def _take(self, data: Mapping[str, Any], *, is_lossy: bool) -> None:
        if data["method"] == "update":
            whole = data["state"].get("snap")
            if whole is not None and whole["q"] >= self.store.whole["q"]:
                self.store = Store(whole)
        elif data["content"]["k"] != "p":
            self.said.append(data["content"])
        elif is_lossy:
            said = [turn["a"][2] for turn in data["content"].get("turns", {}).values() if "a" in turn]
            self.lost += sum(len(one if isinstance(one, str) else one[1]) for pieces in said for one in pieces)
        elif data["content"]["q"] > self.store.whole["q"]:
            self.store.apply(data["content"])
        if self.turn["s"] != self.states[-1]:
            self.states.append(self.turn["s"])


def _opens_view(message: Received) -> bool:
    return message.type == "comm_open" and "snap" in message.content["data"].get("state", {})
