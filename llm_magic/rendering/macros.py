r"""What a formula may use: the macros, symbols and environments of LaTeX that only draw.

Left out on purpose: whatever defines (``\def``), loads (``\require``), links (``\href``), styles (``\class``), numbers
(``\tag``, ``\label``), or moves and sizes freely (``\rule``, ``\hspace``, ``\raise``, ``\llap``, ``\Huge``).

Source: the macro tables of MathJax 3's packages ``base``, ``ams`` and ``boldsymbol``.
"""

_GREEK = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu nu xi omicron pi varpi
rho varrho sigma varsigma tau upsilon phi varphi chi psi omega digamma Gamma Delta Theta Lambda Xi Pi Sigma Upsilon
Phi Psi Omega
"""
_LETTERS = """
aleph beth gimel daleth ell hbar hslash imath jmath wp Re Im eth infty partial nabla emptyset varnothing forall exists
nexists neg lnot top bot angle measuredangle triangle square Box blacksquare Diamond diamondsuit heartsuit clubsuit
spadesuit sharp flat natural degree prime backprime surd checkmark dagger ddagger S P pounds yen
"""
_OPERATORS = """
sum prod coprod int iint iiint iiiint oint bigcup bigcap bigsqcup bigvee bigwedge bigoplus bigotimes bigodot biguplus
pm mp times div cdot ast star circ bullet cup cap setminus smallsetminus wedge vee land lor oplus ominus otimes oslash
odot uplus sqcup sqcap amalg wr bigcirc dotplus ltimes rtimes boxplus boxtimes diamond bigtriangleup bigtriangledown
triangleleft triangleright intercal barwedge veebar
"""
_RELATIONS = """
le leq ge geq leqq geqq leqslant geqslant ll gg lll ggg lt gt ne neq equiv approx approxeq cong sim simeq propto
varpropto asymp doteq doteqdot triangleq coloneqq eqqcolon prec succ preceq succeq in ni notin subset supset subseteq
supseteq subsetneq supsetneq nsubseteq nsupseteq sqsubset sqsupset sqsubseteq sqsupseteq mid nmid parallel nparallel
perp vdash dashv models Vdash vDash Vvdash nvdash nvDash lesssim gtrsim lessgtr nless ngtr nleq ngeq not smile frown
bowtie therefore because ncong trianglelefteq trianglerighteq
"""
_ARROWS = """
to gets rightarrow leftarrow Rightarrow Leftarrow leftrightarrow Leftrightarrow longrightarrow longleftarrow
Longrightarrow Longleftarrow longleftrightarrow Longleftrightarrow mapsto longmapsto uparrow downarrow Uparrow
Downarrow updownarrow Updownarrow nearrow searrow swarrow nwarrow hookrightarrow hookleftarrow rightharpoonup
rightharpoondown leftharpoonup leftharpoondown rightleftharpoons leftrightharpoons iff implies impliedby
rightrightarrows leftleftarrows leftrightarrows rightleftarrows twoheadrightarrow rightarrowtail rightsquigarrow
leadsto nrightarrow nleftarrow nRightarrow nLeftarrow xrightarrow xleftarrow circlearrowleft circlearrowright
upharpoonright restriction
"""
_FUNCTIONS = """
sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth exp log ln lg lim limsup liminf varlimsup varliminf
injlim projlim max min sup inf arg det dim gcd ker hom deg Pr mod bmod pmod operatorname
"""
_LAYOUT = """
frac dfrac tfrac cfrac binom dbinom tbinom sqrt overline underline overbrace underbrace overset underset stackrel
substack left right middle big Big bigg Bigg bigl bigr bigm Bigl Bigr Bigm biggl biggr biggm Biggl Biggr Biggm limits
nolimits displaystyle textstyle scriptstyle quad qquad hline boxed atop choose mathop mathbin mathrel mathord mathopen
mathclose
"""
_ACCENTS = """
hat widehat bar vec dot ddot dddot tilde widetilde acute grave breve check mathring overrightarrow overleftarrow
overleftrightarrow
"""
_DELIMITERS = """
langle rangle lfloor rfloor lceil rceil lvert rvert lVert rVert vert Vert lbrace rbrace lbrack rbrack lgroup rgroup
backslash ulcorner urcorner llcorner lrcorner colon ldots cdots vdots ddots dots dotsb dotsc dotsm dotsi dotso
"""
_FONTS = """
mathbb mathbf mathcal mathfrak mathit mathnormal mathrm mathscr mathsf mathtt boldsymbol bf it rm text textbf textit
textrm textsf texttt textnormal mbox
"""

MACROS = frozenset(
    f"{_GREEK}{_LETTERS}{_OPERATORS}{_RELATIONS}{_ARROWS}{_FUNCTIONS}{_LAYOUT}{_ACCENTS}{_DELIMITERS}{_FONTS}".split()
)
"""Names without the backslash; a star behind a name is allowed."""

SYMBOLS = frozenset("{}|,;:!> \n\t%#&_$")
"""Characters that may follow a backslash; a second backslash is judged with its length."""

ENVIRONMENTS = frozenset(
    """
    matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix cases aligned gathered split array align align* gather
    gather* equation equation*
    """.split()
)
