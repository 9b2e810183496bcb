r"""Formulas: found by our own rules, typeset only if every macro in them is on a list.

``$…$``, ``$$…$$``, ``\(…\)``, ``\[…\]``. MathJax has macros that link, fetch, restyle or redefine; a formula that uses one
which is not known to be harmless is shown as code. An unclosed ``$$`` is code too, not a paragraph full of markup.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

MAX_CHARACTERS = 4000
_MACRO = re.compile(r"\\([A-Za-z]+|.)", re.S)
# pandoc's rule: no space inside the dollars, no digit after them; a code span is never read across.
_DOLLAR = re.compile(r"\$(?![\s$])((?:\\.|[^\\$`\n]|\n(?!\n)){0,999}?(?:\\.|[^\\$`\s]))\$(?!\d)", re.S)
_DOUBLE = re.compile(r"\$\$((?:\\.|[^\\$`]){1,3999}?)\$\$", re.S)
_MONEY = re.compile(r"\d[\d.,]*[kKmMbB%]?(\s+[A-Za-z]{2,}|\s*$)")
_CLOSERS = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_SYMBOLS = set(",;:!| {}\\%$&#_>-^'\"`~=.")
_ALLOWED = frozenset(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu nu xi omicron pi varpi
    rho varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi
    Omega digamma aleph beth gimel daleth hbar hslash ell wp Re Im partial nabla infty emptyset varnothing imath jmath
    frac dfrac tfrac cfrac sqrt binom dbinom tbinom over choose sum prod coprod int iint iiint oint bigcup bigcap bigvee
    bigwedge bigoplus bigotimes bigodot biguplus bigsqcup lim limsup liminf sup inf max min arg argmax argmin det dim exp
    gcd hom ker lg ln log Pr sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth deg mod bmod pmod pod
    operatorname limits nolimits displaystyle textstyle scriptstyle scriptscriptstyle
    cdot cdots ldots dots dotsc dotsb dotsm dotsi vdots ddots times div pm mp ast star circ bullet oplus ominus otimes
    oslash odot dagger ddagger amalg cap cup uplus sqcap sqcup vee wedge land lor lnot neg setminus wr diamond triangle
    bigtriangleup bigtriangledown triangleleft triangleright leq le geq ge neq ne equiv sim simeq approx approxeq cong
    propto prec succ preceq succeq ll gg lll ggg subset supset subseteq supseteq subsetneq supsetneq nsubseteq sqsubseteq
    sqsupseteq in ni notin mid nmid parallel nparallel perp asymp bowtie models vdash dashv vDash doteq triangleq coloneqq
    leqslant geqslant lesssim gtrsim nleq ngeq nless ngtr forall exists nexists therefore because top bot angle
    measuredangle sphericalangle triangle square blacksquare Box Diamond lozenge flat natural sharp clubsuit diamondsuit
    heartsuit spadesuit checkmark prime backprime degree complement
    to gets leftarrow rightarrow uparrow downarrow leftrightarrow updownarrow Leftarrow Rightarrow Uparrow Downarrow
    Leftrightarrow longleftarrow longrightarrow longleftrightarrow Longleftarrow Longrightarrow Longleftrightarrow mapsto
    longmapsto hookleftarrow hookrightarrow implies impliedby iff leadsto nearrow searrow swarrow nwarrow
    rightharpoonup rightharpoondown leftharpoonup leftharpoondown rightleftharpoons xrightarrow xleftarrow
    left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm Bigm langle rangle lfloor rfloor
    lceil rceil lvert rvert lVert rVert vert Vert lbrace rbrace lbrack rbrack backslash
    hat widehat tilde widetilde bar overline underline vec overrightarrow overleftarrow dot ddot dddot acute grave breve
    check mathring overbrace underbrace overset underset stackrel substack boxed cancel not
    mathbf mathrm mathit mathsf mathtt mathcal mathscr mathfrak mathbb boldsymbol bm pmb bf rm it sf tt cal text textbf
    textit textrm textsf texttt mbox
    begin end hline cr quad qquad phantom hphantom nonumber newline colon lt gt amp
    """.split()
)
_ENVIRONMENTS = frozenset(
    "matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix cases aligned alignedat align align* array gathered gather "
    "gather* split equation equation* eqnarray multline multline*".split()
)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{([^}]*)\}")


def is_typeset(tex: str) -> bool:
    r"""Whether a formula may be handed to MathJax: short, no control characters, nothing but known macros.

    >>> is_typeset(r"\frac{a}{b}"), is_typeset(r"\href{javascript:x}{y}")
    (True, False)
    """
    if len(tex) > MAX_CHARACTERS or any(ord(c) < 32 and c not in "\n\t" for c in tex):  # noqa: PLR2004
        return False
    # \text{\(…\)} would leave and enter math by delimiters of its own.
    if any(closer in tex for closer in ("\\)", "\\]", "\\(", "\\[")):
        return False
    if not all(name in _ALLOWED or name in _SYMBOLS or name.isspace() for name in _MACRO.findall(tex)):
        return False
    environments = _ENVIRONMENT.findall(tex)
    opened = len(re.findall(r"\\(?:begin|end)(?![A-Za-z])", tex))
    return len(environments) == opened and all(name in _ENVIRONMENTS for name in environments)


def math_html(tex: str, *, is_display: bool) -> str:
    """A formula: marked for MathJax if it may be typeset, else as code."""
    if not is_typeset(tex):
        return f"<code>{escape(tex, quote=False)}</code>"
    start, end = ("\\[", "\\]") if is_display else ("\\(", "\\)")
    return f'<span class="tex2jax_process mathjax_process">{start}{escape(tex, quote=False)}{end}</span>'


def add_math(md: MarkdownIt) -> None:
    """Teach a parser formulas."""
    md.inline.ruler.before("escape", "llm_paren_math", _paren)
    md.inline.ruler.before("escape", "llm_dollar_math", _dollar)
    md.block.ruler.before("fence", "llm_block_math", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    md.add_render_rule("llm_math", _render_inline)
    md.add_render_rule("llm_math_block", _render_block)


def _render_inline(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    return math_html(tokens[index].content, is_display=tokens[index].markup != "$")


def _render_block(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    if not token.meta["is_closed"]:
        return f"<p><code>{escape(token.content, quote=False)}</code></p>\n"
    return f"<p>{math_html(token.content, is_display=True)}</p>\n"


def _push(state: StateInline, tex: str, markup: str) -> None:
    token = state.push("llm_math", "", 0)
    token.content, token.markup = tex, markup


def _paren(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
    opener = state.src[state.pos : state.pos + 2]
    if opener not in ("\\(", "\\["):
        return False
    closer = _CLOSERS[opener]
    end = state.src.find(closer, state.pos + 2, state.pos + 2 + MAX_CHARACTERS)
    if end < 0 or end > state.posMax - 2 or not state.src[state.pos + 2 : end].strip():
        return False
    if not silent:
        _push(state, state.src[state.pos + 2 : end], "$" if opener == "\\(" else "$$")
    state.pos = end + 2
    return True


def _dollar(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
    source, place = state.src, state.pos
    if source[place] != "$" or (place and source[place - 1].isalnum()):
        return False
    is_double = source.startswith("$$", place)
    found = (_DOUBLE if is_double else _DOLLAR).match(source, place)
    if not found or found.end() > state.posMax or (not is_double and _MONEY.match(found[1])):
        return False
    if not silent:
        _push(state, found[1], "$$" if is_double else "$")
    state.pos = found.end()
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
    """``$$`` or ``\\[`` at the start of a line, to its closer at the end of one; a blank line leaves it unclosed."""
    place = state.bMarks[start] + state.tShift[start]
    opener = state.src[place : place + 2]
    if state.is_code_block(start) or opener not in ("$$", "\\["):
        return False
    closer = _CLOSERS[opener]
    lines = [state.src[place + 2 : state.eMarks[start]]]
    if closer in lines[0] and not lines[0].rstrip().endswith(closer):
        return False
    line = start + 1
    while not lines[-1].rstrip().endswith(closer) and line < end:
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
        if not text.strip() or state.sCount[line] < state.blkIndent:
            break
        lines.append(text)
        line += 1
    body = "\n".join(lines).rstrip()
    is_closed = body.endswith(closer)
    tex = body.removesuffix(closer)
    if is_closed and not tex.strip():
        return False
    if silent:
        return True
    state.line = line
    token = state.push("llm_math_block", "", 0)
    token.content, token.map, token.meta = tex, [start, line], {"is_closed": is_closed}
    return True
