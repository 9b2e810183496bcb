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
from llm_magic.rendering.clean import clean_prompt
from tests.fakes.conversations import PARTS

ALLOWED = {
    "details": {"class"},
    "div": {"class"},
    "img": {"alt", "class", "height", "src", "width"},
    "pre": set(),
    "span": {"class"},
    "summary": set(),
}


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
    """A table is folded under its label, a file is its label, where it stands in the question."""
    table = TextPart(text="\na <b>\n1  2", label="df: <DataFrame> 1 × 2")
    file = FilePart(data=b"%PDF-", media_type="application/pdf", filename='"x".pdf')

    html = prompt_html(user(TextPart(text="Is "), table, TextPart(text=" in "), file, TextPart(text="?")))

    assert html == (
        '<div class="llm-magic-prompt mathjax_ignore tex2jax_ignore">Is <details class="llm-magic-attached"><summary>'
        "df: &lt;DataFrame&gt; 1 × 2</summary><pre>\n\na &lt;b&gt;\n1  2</pre></details>"
        ' in <span class="llm-magic-chip">file "x".pdf, 0 kB</span>?</div>'
    )


def test_a_picture_is_a_small_picture() -> None:
    """A photo is shown as a thumbnail of a few kB, with its label as description."""
    photo = picture(1600, 1200)
    html = prompt_html(user(photo))

    ((_, attributes),) = [element for element in Seen(html).elements if element[0] == "img"]
    source = attributes["src"]
    assert source is not None
    assert source.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as shown:
        assert shown.size == (int(attributes["width"] or 0), int(attributes["height"] or 0)) == (160, 120)
    assert len(html) < 11_000
    assert (attributes["alt"] or "").startswith("image 1600 × 1200")


def test_pictures_alone() -> None:
    """Over an answer stand the pictures it is about, and no other part; nothing where there are none."""
    photo = picture(40, 30)
    picture_alone = prompt_html(user(photo)).partition(">")[2].removesuffix("</div>")

    assert pictures_html(user(TextPart(text="x"))) == ""
    assert pictures_html(user(TextPart(text="x"), photo)) == f'<div class="llm-magic-pictures">{picture_alone}</div>\n'
    many = pictures_html(user(*[photo] * 23))
    assert many.count("<img") == 20
    assert Seen(many).text.strip().endswith("3 more pictures")


def test_a_picture_elsewhere_is_named_by_its_host() -> None:
    """What the server fetches is not fetched here."""
    shown = prompt_html(user(ImagePart(url="https://example.org/a/b.png?key=1")))

    assert Seen(shown).text == "image at example.org"
    assert Seen(prompt_html(user(ImagePart(url="http://[")))).text == "image"


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
    assert [tag for tag, _ in Seen(pictures_html(user(part))).elements] == ["div", "span"]


def test_what_a_picture_file_holds_beside_the_picture_is_not_shown() -> None:
    """Where a photo was taken, or whatever else its file says, is neither on the page nor in the notebook."""
    information = PngInfo()
    information.add_text("comment", "secret" * 10_000)

    html = prompt_html(user(picture(8, 8, pnginfo=information)))

    assert len(html) < 2_000
    assert "<img" in html


@pytest.mark.parametrize(
    "attack",
    [
        '<img src="data:text/html;base64,PHNjcmlwdD4=">',
        '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
        '<img src="data:image/png;base64,AAAA\x0b" onerror="alert(1)">',
        '<img src="https://example.org/x.png">',
        '<img src="//example.org/x.png">',
        '<a href="data:text/html,x">x</a><script>x</script><style>x</style>',
        '<div style="position:fixed" id="x" class="jp-Dialog llm-magic-prompt" data-x="1">x</div>',
    ],
)
def test_the_second_wall_stands_alone(attack: str) -> None:
    """Had the first wall a hole, nothing would come through it but text and small pictures."""
    for tag, attributes in Seen(clean_prompt(attack)).elements:
        assert set(attributes) <= ALLOWED[tag]
        assert "src" not in attributes
        assert attributes.get("class", "llm-magic-prompt") == "llm-magic-prompt"


def test_prompts_of_several_messages_say_who_speaks() -> None:
    """Loaded conversations may ask with the words of others."""
    call = ToolCall(id="1", name="<b>", arguments="{}")
    messages = (Message(role="assistant", tool_calls=(call,)), Message(role="tool", parts=(TextPart(text="42"),)))

    assert Seen(prompt_html(messages)).text == "assistant calls <b>tool 42"


def test_a_gigantic_text_is_cut() -> None:
    """A pasted book is sent, and shown in part; so is a file."""
    assert "é … 30,000 characters more" in prompt_html(user(TextPart(text="é" * 50_000)))
    assert "é … 2,000 characters more" in prompt_html(user(TextPart(text="é" * 10_000, label="file x.txt")))


@given(st.lists(PARTS, max_size=4))
def test_whatever_was_asked_is_safe(parts: list[Part]) -> None:
    """No element, attribute or address but those made here, whatever parts hold."""
    for tag, attributes in Seen(prompt_html(user(*parts))).elements:
        assert set(attributes) <= ALLOWED[tag]
        if "src" in attributes:
            assert re.fullmatch(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+", attributes["src"] or "")
