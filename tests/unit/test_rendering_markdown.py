"""Answers as HTML: what Markdown means is there, what could act is not."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.rendering import answer_html, markdown_html
from llm_magic.rendering.clean import clean, unix_lines
from tests.fakes.hostile import HOSTILE
from tests.fakes.markup import ANSWERS, BIDI_CONTROLS, judge, texts

SIZE_LIMIT = 2.8
ENDLESS = [
    "[",
    "![",
    "*a ",
    "**a",
    "`a",
    "<a",
    "&a",
    "\\(",
    "$a",
    "$$a",
    "\\$",
    "> ",
    "- ",
    "> - ",
    "- a\n",
    "1. ",
    "|a",
    "#",
    "~~a",
    "[a]: b\n",
    "[^a]",
    "[^a]: ",
    "[^a]: b\n",
    "[a](",
    "a\n===\n",
    "![![",
    "-[a](a[*",
    "\n",
    "\u202e",
    "😀",
]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("a *b* **c** ~~d~~ `e`", "<p>a <em>b</em> <strong>c</strong> <s>d</s> <code>e</code></p>\n"),
        ("# a\n## b", "<h1>a</h1>\n<h2>b</h2>\n"),
        ("a  \nb\nc", "<p>a<br>\nb\nc</p>\n"),
        ("> a\n\n---", "<blockquote>\n<p>a</p>\n</blockquote>\n<hr>\n"),
        ("3. a\n4. b", '<ol start="3">\n<li>a</li>\n<li>b</li>\n</ol>\n'),
        (
            "- [ ] a\n- [x] b\n- [X] c\n- [y] d",
            "<ul>\n<li>☐ a</li>\n<li>☑ b</li>\n<li>☑ c</li>\n<li>[y] d</li>\n</ul>\n",
        ),
        ("[x] is no task, nor is\n\n- [x](http://a.b)", None),
        ("```\na < b\n```", '<div class="highlight"><pre><code>a &lt; b\n</code></pre></div>\n'),
        ("    a\n", '<div class="highlight"><pre><code>a\n</code></pre></div>\n'),
        ("&copy; &#x41; \\*", "<p>© A *</p>\n"),
    ],
)
def test_markdown_html_renders_what_markdown_means(text: str, html: str | None) -> None:
    """CommonMark with strikethrough and tasks, as blocks without anything around them."""
    if html is None:
        assert "☑" not in markdown_html(text)
    else:
        assert markdown_html(text) == html


def test_markdown_html_aligns_tables_without_style() -> None:
    """A column's alignment is an attribute: styles are for nobody."""
    html = markdown_html("| a | b | c |\n|:--|:-:|--:|\n| 1 | *2* |")

    assert re.findall(r"<t[hd] [^>]*>", html) == [
        '<th align="left">',
        '<th align="center">',
        '<th align="right">',
        '<td align="left">',
        '<td align="center">',
        '<td align="right">',
    ]
    assert "style" not in html


@pytest.mark.parametrize(
    "url", ["http://a.invalid/x?y=1&z", "https://a.invalid", "mailto:a@b.invalid", "HTTP://A.invalid"]
)
def test_markdown_html_links_to_the_web_and_to_mail(url: str) -> None:
    """A link to where a browser goes by itself is kept, and tells nobody where it was followed."""
    html = markdown_html(f"[text]({url})")

    href = url.replace("&", "&amp;")
    assert html == f'<p><a href="{href}" target="_blank" rel="noopener noreferrer">text</a></p>\n'


@pytest.mark.parametrize(
    "url",
    [
        "javascript:x",
        "JaVaScRiPt:x",
        "java&Tab;script:x",
        "javascript&colon;x",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:x",
        "/lab?reset",
        "//a.invalid/x",
        "#id",
        "lab/tree",
        "ftp://a.invalid",
        "httpx://a.invalid",
    ],
)
@pytest.mark.parametrize("form", ["[text]({})", "[text][1]\n\n[1]: {}", "[text](<{}> 'title')", "[**text**]({})"])
def test_markdown_html_links_nowhere_else(url: str, form: str) -> None:
    """The text of any other link is shown, and leads nowhere."""
    html = markdown_html(form.format(url))

    assert "href" not in html
    assert judge(html).text.strip() == "text"


@pytest.mark.parametrize(
    ("text", "chip"),
    [
        ("![a *b*](http://evil.invalid:80/x.png?secret)", "[image: a *b* (evil.invalid)]"),
        ("![](//evil.invalid/x)", "[image (evil.invalid)]"),
        ("![a](data:image/png;base64,AAAA)", "[image: a]"),
        ("![a](http://[::1/x)", "[image: a]"),
        ("![a](local.png)", "[image: a]"),
        ("![a][1]\n\n[1]: http://user@evil.invalid/x", "[image: a (evil.invalid)]"),
        ('![<b>"](http://evil.invalid/ "title")', '[image: <b>" (evil.invalid)]'),
    ],
)
def test_markdown_html_names_an_image_instead_of_fetching_it(text: str, chip: str) -> None:
    """A picture becomes a chip of text: what it shows, and the host that would have been asked."""
    html = markdown_html(text)

    assert judge(html).text.strip() == chip
    assert "src" not in html
    assert '<span class="llm-magic-image">' in html


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_outputs_become_harmless(text: str) -> None:
    """Of every hostile output only text and allowed markup is left, also within an answer."""
    assert judge(answer_html(markdown_html(text))).faults == []
    assert judge(markdown_html(f"- > {text}\n\n| a |\n|---|\n| {text} |\n")).faults == []


@settings(deadline=None)
@given(texts(*HOSTILE, max_size=12) | st.text())
def test_any_text_becomes_harmless(text: str) -> None:
    """However hostile pieces meet: no element, attribute or class but the few that are allowed."""
    assert judge(markdown_html(text)).faults == []


@settings(deadline=None)
@given(texts(*HOSTILE, max_size=12) | st.text(st.sampled_from("<>/=\"'` abi!-\x00\u202e&;")))
def test_the_second_wall_stands_alone(text: str) -> None:
    """Handed hostile text as if it were rendered, the cleaner lets nothing through that is not allowed."""
    assert [fault for fault in judge(clean(unix_lines(text))).faults if "never closed" not in fault] == []


@pytest.mark.parametrize(
    "name", ["title", "lang", "id", "name", "style", "class", "dir", "tabindex", "data-x", "onclick"]
)
def test_the_second_wall_drops_attributes(name: str) -> None:
    """Attributes that are nobody's business are taken from every element."""
    assert clean(f'<p {name}="x">a <a {name}="x" href="/x">b</a></p>').count("x") == 0


@settings(deadline=None)
@given(texts(max_size=20))
def test_the_second_wall_changes_nothing_of_ours(text: str) -> None:
    """What the renderer writes passes the cleaner as it is: the first wall holds by itself."""
    html = markdown_html(text)

    assert clean(html) == html


@pytest.mark.parametrize("control", BIDI_CONTROLS)
def test_markdown_html_shows_bidirectional_controls(control: str) -> None:
    """Text cannot be shown in another order than it has, wherever it stands."""
    name = f"&lt;U+{ord(control):04X}&gt;"

    html = markdown_html(f"a{control}b `c{control}d` &#{ord(control)}; ![{control}](x)\n\n```\n{control}\n```\n")

    assert control not in html
    assert html.count(name) == 5


def test_markdown_html_replaces_other_controls() -> None:
    """Control characters, also those written as entities, are replaced; so are halves of characters."""
    assert markdown_html("a\x00b\x1bc&#27;d\x85e\ud800f") == "<p>a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf</p>\n"
    assert markdown_html("\ud83d\ude00") == "<p>😀</p>\n"


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_markdown_html_knows_every_line_end(newline: str) -> None:
    """Lines may end as they do on any system."""
    text = "# a\n\n```py\nx = 1\n```\n- b\n- c\n"

    assert markdown_html(text.replace("\n", newline)) == markdown_html(text)


@pytest.mark.parametrize(
    "text", ["> " * 500 + "a", "- " * 500 + "a", "*a " * 500 + "a* " * 500, "[" * 500 + "a" + "](x)" * 500]
)
def test_markdown_html_nests_to_a_limit(text: str) -> None:
    """Blocks and emphasis are nested as deep as a browser draws at once, not deeper."""
    html = markdown_html(text)

    depth = deepest = 0
    for closes in re.findall(r"<(/?)(?!br|hr)[a-z]", html):
        depth += -1 if closes else 1
        deepest = max(deepest, depth)
    assert 1 < deepest < 60
    assert judge(html).faults == []


@pytest.mark.parametrize("piece", ENDLESS)
def test_markdown_html_takes_hostile_length_in_its_stride(piece: str) -> None:
    """What makes parsers slow, 50 kB of it, costs about a second at worst (ten are allowed here)."""
    text = piece * (50_000 // len(piece))
    start = time.thread_time()

    html = markdown_html(text)

    assert time.thread_time() - start < 10
    assert len(html) < 40 * len(text)


def test_typical_answers_stay_small() -> None:
    """On average, the HTML that a notebook keeps is at most 2.8 times the answer."""
    sizes = {
        name: (len(answer_html(markdown_html(text)).encode()), len(text.encode())) for name, text in ANSWERS.items()
    }

    assert len(sizes) >= 10
    assert sum(html / text for html, text in sizes.values()) / len(sizes) <= SIZE_LIMIT
    assert sum(html for html, _ in sizes.values()) <= SIZE_LIMIT * sum(text for _, text in sizes.values())


def test_threads_share_the_renderer() -> None:
    """Answers rendered at the same time do not get into each other."""
    alone = [markdown_html(text) for text in ANSWERS.values()]
    together: list[list[str]] = [[] for _ in range(4)]

    def run(found: list[str]) -> None:
        for _ in range(5):
            found[:] = [markdown_html(text) for text in ANSWERS.values()]

    threads = [threading.Thread(target=run, args=(found,)) for found in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert together == [alone] * 4


def test_importing_the_package_imports_no_parser() -> None:
    """The parser, the cleaner and the highlighter wait for the first answer."""
    code = (
        "import sys, llm_magic.rendering as r; heavy = {'markdown_it', 'nh3', 'pygments'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "r.plain_text('a'); assert not heavy & set(sys.modules); r.markdown_html('```py\\n1\\n```');"
        "assert heavy <= set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        "- " * 40 + "deep",
        "> " * 40 + "deep",
        "1. " * 40 + "deep",
        "> - " * 20 + "deep",
        "".join("  " * depth + f"- level {depth}\n" for depth in range(40)),
        "[^1]: " * 40 + "deep",
    ],
)
def test_what_follows_deep_nesting_is_there(text: str) -> None:
    """Beyond a depth lists and quotes are text; neither they nor the rest of the answer get lost."""
    html = markdown_html(f"{text}\n\nThe *end*\n")

    assert html.endswith("<p>The <em>end</em></p>\n")
    assert all(word in html for word in text.replace("-", "").replace(">", "").split() if word.isalpha())
    assert html.count("<ul>") + html.count("<ol>") <= 10


@pytest.mark.parametrize(
    "text",
    [
        "漢字かな交じり文。**太字**です。",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇪🇺",
        "한국어 조합: 각",
        "e\u0301 and ﷽ and ไทย",
        "x" * 50_000,
        "https://example.com/" + "a" * 5_000,
    ],
)
def test_every_script_and_length_is_kept(text: str) -> None:
    """Joined emoji, composed letters and very long words come out character for character."""
    assert judge(markdown_html(text)).text == text.replace("**", "") + "\n"


def test_emphasis_in_chinese_ends_where_it_should() -> None:
    """Punctuation without blanks around it does not keep stars on the page where CommonMark says so."""
    assert markdown_html("中文**粗体**中文") == "<p>中文<strong>粗体</strong>中文</p>\n"
