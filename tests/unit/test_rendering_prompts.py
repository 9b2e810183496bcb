"""What was asked, as safe HTML."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from llm_magic.content import FilePart, ImagePart, Message, Part, TextPart, ToolCall
from llm_magic.images import image_from_bytes
from llm_magic.rendering import pictures_html, prompt_html
from llm_magic.rendering.prompts import THUMBNAIL_EDGE_PX
from tests.fakes.conversations import PARTS

ALLOWED = {"div": {"class"}, "span": {"class"}, "img": {"class", "src", "alt", "title"}}


class Seen(HTMLParser):
    """Elements with their attributes, and the text beside them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def user(*parts: Part) -> tuple[Message, ...]:
    return (Message(role="user", parts=parts),)


def picture(width: int, height: int, **options: object) -> ImagePart:
    encoded = io.BytesIO()
    Image.effect_noise((width, height), 64).save(encoded, "PNG", **options)
    return image_from_bytes(encoded.getvalue())


def test_typed_text_is_shown_as_it_is() -> None:
    """Markup, spaces and line ends are the user's own characters."""
    html = prompt_html(user(TextPart(text="if a < b:\n    **x**  $y$\r\n\u202e")))

    assert Seen(html).text == "if a < b:\n    **x**  $y$\n<U+202E>"
    assert "tex2jax_ignore" in html


def test_attachments_are_named_in_their_places() -> None:
    """A table or a file is its label, where it stands in the question."""
    table = TextPart(text="a b\n1 2", label="df: <DataFrame> 1 × 2")
    file = FilePart(data=b"%PDF-", media_type="application/pdf", filename='"x".pdf')

    seen = Seen(prompt_html(user(TextPart(text="Is "), table, TextPart(text=" in "), file, TextPart(text="?"))))

    assert seen.text == 'Is df: <DataFrame> 1 × 2 in file "x".pdf, 0 kB?'
    assert [attributes.get("class") for tag, attributes in seen.elements if tag == "span"] == ["llm-magic-chip"] * 2


def test_a_picture_is_a_small_picture() -> None:
    """A photo is shown as a thumbnail of a few kB, with its label as description."""
    photo = picture(1600, 1200)
    html = prompt_html(user(photo))

    ((_, attributes),) = [element for element in Seen(html).elements if element[0] == "img"]
    source = attributes["src"]
    assert source is not None
    assert source.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as shown:
        assert max(shown.size) == THUMBNAIL_EDGE_PX
    assert len(html) < 40_000
    assert (attributes["alt"] or "").startswith("image 1600 × 1200")
    assert pictures_html(user(TextPart(text="x"), photo)) in html


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(data=b"<svg onload=alert(1)>", media_type="image/svg+xml"),
        ImagePart(data=b"GIF89a broken", media_type='image/gif" onerror="alert(1)'),
        ImagePart(url='https://example.org/x.png"onload="alert(1)'),
    ],
)
def test_what_is_no_picture_of_ours_is_only_named(part: ImagePart) -> None:
    """Nothing is fetched, and nothing of a loaded conversation is taken for a picture unless it is one."""
    html = prompt_html(user(part))

    assert [tag for tag, _ in Seen(html).elements] == ["div", "span"]
    assert pictures_html(user(part)) == html[html.index("<span") : html.index("</div>")]


def test_a_small_picture_with_a_large_file_is_only_named() -> None:
    """What a picture's file holds beside the picture is not sent to the page."""
    information = PngInfo()
    information.add_text("comment", "x" * 100_000)

    assert "<img" not in prompt_html(user(picture(8, 8, pnginfo=information)))


def test_prompts_of_several_messages_say_who_speaks() -> None:
    """Loaded conversations may ask with the words of others."""
    call = ToolCall(id="1", name="<b>", arguments="{}")
    messages = (Message(role="assistant", tool_calls=(call,)), Message(role="tool", parts=(TextPart(text="42"),)))

    assert Seen(prompt_html(messages)).text == "assistant calls <b>tool 42"


def test_a_gigantic_text_is_cut() -> None:
    """A pasted book is sent, and shown in part."""
    html = prompt_html(user(TextPart(text="é" * 50_000)))

    assert "é … 30,000 characters more" in html


@given(st.lists(PARTS, max_size=4))
def test_whatever_was_asked_is_safe(parts: list[Part]) -> None:
    """No element, attribute or address but those made here, whatever parts hold."""
    for tag, attributes in Seen(prompt_html(user(*parts))).elements:
        assert set(attributes) <= ALLOWED[tag]
        if "src" in attributes:
            assert re.fullmatch(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+", attributes["src"] or "")
