"""Reading the line of a magic: options, prompt, commands, and the help made from the same table."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.generate import PAGES, generated
from llm_magic.errors import ConfigurationError
from llm_magic.magics.command_table import COMMANDS, GROUPS
from llm_magic.magics.help import help_text
from llm_magic.magics.options import AskOptions, Attachment, Parsed, parse
from llm_magic.magics.table import FORMS, OPTIONS, usage_line
from llm_magic.magics.words import quote, read_word
from llm_magic.settings import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

# Text in which options, quotes and brackets are likely, and any other text.
_PIECES = st.sampled_from(
    [
        *(flag for row in OPTIONS for flag in row.flags),
        "--",
        "-",
        "=",
        " ",
        "\n",
        "'",
        '"',
        "\\",
        *"()[]{}",
        "x",
        "1",
        ";",
    ]
)
_LINES = st.lists(_PIECES | st.text(max_size=3), max_size=12).map("".join)


def options(line: str, magic: Any = "llm") -> AskOptions:
    return parse(magic, line).options


def prompt(line: str, body: str | None = None) -> str:
    return parse("llm", line, body).prompt


def refused(line: str, magic: Any = "llm") -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(magic, line)
    text = str(caught.value)
    assert "\n" not in text
    return text


# The prompt


def test_line_without_options_is_the_prompt() -> None:
    """Without options nothing is set, and the line is the prompt as it stands."""
    assert parse("llm", "What's in 'it' -- and --why;") == Parsed(
        options=AskOptions(), prompt="What's in 'it' -- and --why;"
    )


@pytest.mark.parametrize("text", ["-5 + 3 is?", "- item", "-", "--- title", "---", "-> go", "-(a)", "--5", "—m x"])
def test_dash_that_is_no_option_begins_the_prompt(text: str) -> None:
    """A dash before a digit, a space, a dash or a sign is prompt."""
    assert prompt(text) == text
    assert prompt(f"-m x {text}") == text


def test_prompt_after_options_keeps_every_character() -> None:
    """Quotes, dashes, spacing and semicolons after the options stay."""
    rest = """say  "--keep"  to -m 'them' ;  """

    assert prompt(f"  -m x   --quiet {rest}") == rest


def test_double_dash_ends_options() -> None:
    """What follows -- is prompt, options or not; one space divides them."""
    parsed = parse("llm", "--fresh --  --keep -m x")

    assert parsed.options == AskOptions(is_fresh=True)
    assert parsed.prompt == " --keep -m x"


def test_line_and_body_are_joined() -> None:
    """Text on the line is the first line, the body follows; only the newline IPython adds is dropped."""
    assert prompt("-m x Look:", "  a\n\nb \n") == "Look:\n  a\n\nb "
    assert prompt("-m x", "a\n\n") == "a\n"
    assert prompt("", "\n -m is no option here\n") == "\n -m is no option here"
    assert prompt("Look", "\n") == "Look"
    assert prompt("", "") == ""


@given(st.text())
def test_prompt_after_double_dash_is_verbatim(text: str) -> None:
    """For any prompt, -- before it gives it back unchanged."""
    assert parse("llm", f"-- {text}") == Parsed(options=AskOptions(), prompt=text)


@given(_LINES, st.none() | st.text())
def test_parse_raises_only_configuration_errors(line: str, body: str | None) -> None:
    """Whatever is typed is read or refused, and what is read ends with the end of line and body."""
    for magic in ("chat", "llm"):
        try:
            parsed = parse(magic, line, body)
        except ConfigurationError:
            continue
        whole = line if body is None else f"{line}\n{body.removesuffix(chr(10))}"
        assert whole.strip("\n").endswith(parsed.prompt.strip("\n"))


# Values


@pytest.mark.capability("B20")
def test_every_option_is_read() -> None:
    """Each option of the table fills its place."""
    given_options = options(
        "-m gpt-x -c side -s 'Be brief.' -i fig -f a.pdf -i https://x/y.png --as json --into answer --fresh "
        "--keep --raw -p top_p=0.5 --temperature 0.2 --max-tokens 50 --seed 7 --stop END --stop 'two words' "
        "--detail low --timeout 2.5 --dry-run --no-stream --quiet  Why?"
    )

    assert given_options == AskOptions(
        settings={
            "model": "gpt-x",
            "system": "Be brief.",
            "top_p": 0.5,
            "temperature": 0.2,
            "max_tokens": 50,
            "seed": 7,
            "detail": "low",
            "stream": False,
        },
        params={"stop": ["END", "two words"]},
        conversation="side",
        attachments=(
            Attachment(kind="image", source="fig"),
            Attachment(kind="file", source="a.pdf"),
            Attachment(kind="image", source="https://x/y.png"),
        ),
        form="json",
        into="answer",
        timeout_s=2.5,
        is_fresh=True,
        is_kept=True,
        is_raw=True,
        is_dry_run=True,
        is_quiet=True,
    )


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: row.name)
def test_every_row_is_understood(row: Any) -> None:
    """No row of the table is only help: each is taken in each of its forms."""
    value = {"KEY=VALUE": "a=1", "NUMBER": "1", "COUNT": "1", "SECONDS": "1", "AMOUNT": "1"}.get(row.metavar, "x")
    value = row.choices[0] if row.choices else value
    forms = [f"{flag} {value}" for flag in row.flags] + [f"--{row.name}={value}"] if row.metavar else list(row.flags)

    read = [options(form) for form in forms]

    assert read[0] != AskOptions()
    assert all(each == read[0] for each in read)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("plain", "plain"),
        ("'two words'", "two words"),
        ('"two words"', "two words"),
        ('"say \\"hi\\" \\\\ \\n"', 'say "hi" \\ \\n'),
        ("'it is \"so\"'", 'it is "so"'),
        ('don"\'"t', "don't"),
        (r"C:\new\table.csv", r"C:\new\table.csv"),
        (r"'C:\my files\t.csv'", r"C:\my files\t.csv"),
        (r"\\server\share", r"\\server\share"),
        ("fig.crop((0, 0, 10, 10))", "fig.crop((0, 0, 10, 10))"),
        ("df[df['a b'] > 1].head( 3 )", "df[df['a b'] > 1].head( 3 )"),
        ("f(')')[1]", "f(')')[1]"),
        ("{'a': [1, 2]}['a']", "{'a': [1, 2]}['a']"),
        ("(", "("),
        ("]", "]"),
        ("(]", "(]"),
        ("- ", "-"),
        ("-5", "-5"),
    ],
)
def test_value_is_read_as_meant(typed: str, value: str) -> None:
    """Quotes as in a shell, brackets as in Python, backslashes as in Windows."""
    parsed = parse("llm", f"--stop {typed} and the rest")

    assert parsed.options.params["stop"] == [value]
    assert parsed.prompt == "and the rest"


@given(st.text(min_size=1))
def test_quoting_round_trip(text: str) -> None:
    """Any text, quoted, is read back as it was, and the line goes on behind it."""
    line = f"{quote(text)} rest"
    word = read_word(line, 0)

    assert word.text == text
    assert line[word.end :] == " rest"
    assert options(f"--system={quote(text)} rest").settings["system"] == text


@given(st.text(alphabet="([{}])'\" x", min_size=1, max_size=2000))
def test_brackets_and_quotes_are_read_or_refused(text: str) -> None:
    """Any mess of brackets and quotes is a word or an error that says so."""
    with contextlib.suppress(ConfigurationError):
        assert 0 < read_word(text.lstrip() or "x", 0).end <= len(text)


def test_huge_unbalanced_value_is_read_quickly() -> None:
    """A hundred thousand open brackets are one word."""
    assert read_word("(" * 100_000, 0).text == "(" * 100_000


def test_empty_system_prompt_is_given() -> None:
    """Empty quotes mean no system prompt, which is not the same as none given."""
    assert options("-s '' x").settings == {"system": ""}
    assert options("--system= x").settings == {"system": ""}
    assert options("x").settings == {}


@pytest.mark.capability("B3")
@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("knob=5", 5),
        ("knob=true", True),
        ("knob=null", None),
        ("knob=", ""),
        ("knob=a=b", "a=b"),
        ("knob=NaN", "NaN"),
        ("knob=1e999", "1e999"),
        ("knob='two words'", "two words"),
        ('knob={"type": "json_object", "n": [1, 2]}', {"type": "json_object", "n": [1, 2]}),
        ("'knob=[1, \"a b\"]'", [1, "a b"]),
        ("knob=" + "[" * 100_000, "[" * 100_000),
    ],
)
def test_parameter_is_json_or_text(typed: str, value: object) -> None:
    """A parameter's value is JSON where it parses, else text."""
    assert options(f"-p {typed} x").params == {"knob": value}


def test_parameter_that_is_a_setting_joins_it() -> None:
    """-p temperature and --temperature are one thing."""
    assert options("-p temperature=1 x") == options("--temperature 1 x")
    assert "given twice" in refused("--temperature 1 -p temperature=2 x")
    assert "given twice" in refused("-p stop=a --stop b x")
    assert "given twice" in refused("--stop b -p stop=a x")
    assert "given twice" in refused("-p knob=1 -p knob=2 x")


# What is refused


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--temprature 1 x", "Unknown option '--temprature'.  Hint: did you mean --temperature?"),
        ("--max_tokens 1 x", "did you mean --max-tokens?"),
        ("-model x", "did you mean --model?"),
        ("-M x", "did you mean -m?"),
        ("--xyzzy x", "put -- before a prompt that begins with a dash"),
        ("--fresh, please", "Unknown option '--fresh,'"),
        ("-mNAME x", "Unknown option '-mNAME'"),
        ("-m=NAME x", "-m takes its value after a space"),
        ("--fresh=yes x", "--fresh takes no value"),
        ("-m", "-m needs a value.  Hint: -m/--model NAME"),
        ("--model   ", "--model needs a value"),
        ("--model= x", "--model needs a value"),
        ("-m '' x", "-m needs a value"),
        ("-m --fresh x", "written --model=VALUE"),
        ("-m -- x", "-m needs a value"),
        ("-m a -m b x", "-m is given twice"),
        ("-m a --model b x", "--model is given twice"),
        ("--fresh --fresh x", "--fresh is given twice"),
        ("--as xml x", "one of text, markdown, json, code"),
        ("--detail big x", "'big' does not fit --detail"),
        ("--into 2x y", "'2x' is not a variable's name"),
        ("--into class y", "'class' is not a variable's name"),
        ("--into a.b y", "'a.b' is not a variable's name"),
        ("--temperature hot x", "temperature is a number of at least 0"),
        ("--temperature -1 x", "at least 0"),
        ("--temperature nan x", "does not fit temperature"),
        ("--max-tokens 1.5 x", "max_tokens is a whole number"),
        ("--timeout 0 x", "a number of seconds above 0"),
        ("--timeout inf x", "a number of seconds above 0"),
        ("--timeout soon x", "'soon' does not fit --timeout"),
        ("-p top_p x", "-p takes KEY=VALUE"),
        ("-p =1 x", "-p takes KEY=VALUE"),
        ("-p n=0 x", "n is how many answers to ask for"),
        ("-p stream=true x", "write --no-stream or %chat config stream=VALUE"),
        ("-p model=x y", "write -m/--model NAME or %chat config model=VALUE"),
        ("-p max_retries=1 y", "write %chat config max_retries=VALUE"),
        ("-p seed=soon y", "seed is a whole number"),
        ("-s 'no end", "A quote (') is not closed"),
        ('-s "no end \\"', 'A quote (") is not closed'),
    ],
)
def test_refusal_says_what_to_type(line: str, said: str) -> None:
    """What cannot be read is refused in one line that names the way out."""
    assert said in refused(line)


def test_aside_options_are_refused_on_chat_with_the_reason() -> None:
    """--fresh and --keep belong to %llm, and %%chat says why and never offers them."""
    assert "%%chat always goes on with the conversation: use %%llm --fresh" in refused("--fresh x", "chat")
    assert "%%chat always keeps its turn" in refused("--keep x", "chat")
    assert "--keep" not in refused("--kee x", "chat")
    assert options("--quiet x", "chat").is_quiet


def test_key_is_never_repeated() -> None:
    """A key given as parameter is refused without being said."""
    said = refused("-p api_key=sk-canary x") + refused("-p sk-canary x")

    assert "OPENAI_API_KEY in the environment" in said
    assert "canary" not in said


# Help and documentation, from the same table


def test_help_tells_of_every_option_and_command() -> None:
    """The help page has every row, and each row has help of its own."""
    page = help_text()

    for row in OPTIONS:
        assert usage_line(row) in page
        assert all(row.help in help_text(flag) for flag in row.flags)
    for group in GROUPS:
        assert f"{group.name}: {group.help}" in page
    for command in COMMANDS:
        assert f"%chat {command.name}".strip() in page
        assert command.help in page
    assert "a row for each message" in help_text("frame")
    assert "Gives a DataFrame." in help_text("frame")
    with pytest.raises(ConfigurationError, match=r"did you mean retry\?"):
        help_text("rety")


def test_table_agrees_with_what_it_stands_for() -> None:
    """Forms are the reply's, settings exist, names and letters are unique."""
    from llm_magic.reply import Form

    assert get_args(Form) == FORMS
    assert all(row.setting in SETTINGS for row in OPTIONS if row.setting)
    flags = [flag for row in OPTIONS for flag in row.flags]
    assert len(set(flags)) == len(flags)
    assert len({row.name for row in COMMANDS}) == len(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documentation_has_not_drifted(page: Path) -> None:
    """The tables of the documentation are what the code makes; ``python docs/generate.py`` mends them."""
    text = page.read_text(encoding="utf-8")

    assert text == generated(text)


def test_generation_changes_only_what_is_marked() -> None:
    """What stands between the marks is replaced, the rest is left."""
    text = "before\n<!-- generated: options -->\nold\n<!-- end -->\nafter\n"

    made = generated(text)

    assert made.startswith("before\n<!-- generated: options -->\n")
    assert made.endswith("<!-- end -->\nafter\n")
    assert "old" not in made
    assert "--temperature" in made
