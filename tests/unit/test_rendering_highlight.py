"""Code as HTML: complete, compact, and never slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.rendering import code_html, markdown_html
from llm_magic.rendering.highlight import LANGUAGES, MAX_CHARACTERS, MAX_CPU_S
from tests.fakes.hostile import HOSTILE
from tests.fakes.markup import BIDI_CONTROLS, judge

SNIPPETS = (
    "def f(x):\n",
    "    return 1.5  # why\n",
    '"""doc\n',
    "class A: pass\n",
    "'a\\'b'",
    "/* c */",
    "// c\n",
    "SELECT * FROM t -- c\n",
    '{"a": [1, null]}',
    "<p class='a'>b</p>",
    "<script>var a = `${b}`;</script>",
    "key: value\n",
    "[table]\n",
    "$(echo \"$x\") | grep -v 'y'\n",
    "fn f<'a>() -> u8 {}\n",
    "\n",
    " ",
    "\t",
    "\ufeff",
    "é",
    "\u3000",
    "\\",
    '"',
    "'",
    "`",
    "{",
    "}",
    "(",
    "<",
    "&",
)
SLOW = [
    " \n",
    "a.b",
    "&",
    "aaaa",
    "'",
    '"',
    "/*",
    "{",
    "(",
    "\n",
    "$(",
    "'''0x$aa,",
    "\u3000",
    "//",
    "@",
    "%",
    "1e",
    "<a",
    "s{",
]


def test_code_html_marks_what_helps_reading() -> None:
    """Keywords, strings, comments, numbers and defined names have a class that Jupyter colours; the rest has none."""
    code = 'class A:\n    def f(self):  # one\n        # two\n        return "x" + str(12)\n'

    assert code_html(code, "python") == (
        '<div class="highlight"><pre><code><span class="k">class</span> <span class="nc">A</span>:\n'
        '    <span class="k">def</span> <span class="nf">f</span>(self):  <span class="c"># one\n'
        '        # two</span>\n        <span class="k">return</span> <span class="s">"x"</span> + str('
        '<span class="m">12</span>)\n</code></pre></div>\n'
    )


@pytest.mark.parametrize("info", ["python", "PY", "python3 title=x", " py ", "python{1,2}", "py:file.py"])
def test_fences_name_their_language_in_many_ways(info: str) -> None:
    """The first word after a fence counts, whatever its case and whatever follows."""
    assert '<span class="k">return</span>' in markdown_html(f"```{info}\nreturn\n```")


@pytest.mark.parametrize(
    "language", [None, "", "perl", "nosuch", "../python", "c", "r", "\u202epy", "<script>", "python" * 9]
)
def test_code_of_other_languages_is_plain(language: str | None) -> None:
    """A language that is unknown, or whose lexer can be made to hang, is shown without colours."""
    assert code_html("return 1\n", language) == '<div class="highlight"><pre><code>return 1\n</code></pre></div>\n'


def test_highlighting_is_a_choice() -> None:
    """Without highlighting a fence is plain."""
    assert "span" not in markdown_html("```py\nreturn\n```", highlight=False)


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values())))
@settings(max_examples=40, deadline=None)
@given(code=st.lists(st.sampled_from(SNIPPETS)).map("".join) | st.text() | st.sampled_from(HOSTILE))
def test_highlighted_code_is_complete_and_harmless(language: str, code: str) -> None:
    """Every character of the code is shown, in order, in no other markup than spans with a class."""
    verdict = judge(code_html(code, language))

    assert verdict.faults == []
    assert _shown(verdict.text[:-1]) == _shown(code.replace("\r\n", "\n").replace("\r", "\n"))


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values())))
def test_highlighting_is_bounded_in_time(language: str) -> None:
    """The worst text costs a lexer its moment and little more; what is not reached is plain, not lost."""
    for piece in SLOW:
        code = piece * (MAX_CHARACTERS // len(piece))
        start = time.thread_time()

        html = code_html(code, language)

        assert time.thread_time() - start < 10 * MAX_CPU_S
        assert judge(html).text[:-1] == code


def test_long_code_is_plain() -> None:
    """Beyond its limit, code is not highlighted: colours multiply what is stored and lexed."""
    line = "return 1\n"

    assert "<span" in code_html(line * (MAX_CHARACTERS // len(line)), "python")
    assert "<span" not in code_html(line * (MAX_CHARACTERS // len(line) + 1), "python")


def _shown(text: str) -> str:
    """The text as the renderer shows its control characters."""
    text = re.sub(f"[{BIDI_CONTROLS}]", lambda found: f"<U+{ord(found[0]):04X}>", text)
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", text)
