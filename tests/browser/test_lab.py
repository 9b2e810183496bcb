"""The rig itself: what it says of a notebook in JupyterLab is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.lab import Lab

pytestmark = pytest.mark.browser

# Goes on when the test has seen the first half.
UPDATES = """
import time
from pathlib import Path
from IPython.display import display

def show(text, update):
    update({"text/html": f"<b>{text}</b>", "text/plain": text}, raw=True)

handle = display({"text/plain": "nothing yet"}, raw=True, display_id=True)
show("first", handle.update)
deadline = time.monotonic() + 120
while not Path("seen").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
show("second", handle.update)
"""


def test_run_cell_waits_for_the_end_and_shows_what_was_printed(lab: Lab) -> None:
    """A cell that has run shows its output, with no wait of the test's own."""
    notebook = lab.open(["print('one')", "import os; os.environ['PLACE']"], environ={"PLACE": "loopback"})

    notebook.run_cell(0)
    notebook.run_cell(1)

    assert notebook.outputs(0).text.strip() == "one"
    assert "loopback" in notebook.outputs(1).text
    assert notebook.saved(0) == [{"output_type": "stream", "name": "stdout", "text": "one\n"}]


def test_updates_of_a_display_are_watched_and_kept_after_reopening(lab: Lab, tmp_path: Path) -> None:
    """Each state of a display is seen as it comes; a reopened notebook shows the last, without a kernel."""
    notebook = lab.open([UPDATES])
    notebook.watch_output(0)

    notebook.run_cell_nowait(0)
    expect(notebook.output(0)).to_contain_text("first")
    (lab.server.folder / "seen").touch()
    notebook.finish()

    assert [text.strip() for text in notebook.watched][-2:] == ["first", "second"]
    notebook.save()
    reopened = lab.reopen(notebook)
    expect(reopened.output(0).locator("b")).to_have_text("second")
    assert reopened.kernel is None
    assert lab.server.ask("api/kernels") == []
    reopened.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_interrupt_ends_a_cell_and_run_all_stops_at_an_error(lab: Lab) -> None:
    """An interrupt ends the running cell; the cells behind it do not run."""
    notebook = lab.open(["import time\nprint('started')\ntime.sleep(600)", "print('never')"])

    notebook.run_all_nowait()
    expect(notebook.output(0)).to_contain_text("started")
    notebook.interrupt()
    notebook.finish()

    assert "KeyboardInterrupt" in notebook.outputs(0).text
    assert notebook.saved(1) == []


def test_set_source_changes_what_runs(lab: Lab) -> None:
    """A cell can be edited and run again."""
    notebook = lab.open(["print('old')"])
    notebook.run_cell(0)

    notebook.set_source(0, "print('new')")
    notebook.run_cell(0)

    assert notebook.outputs(0).text.strip() == "new"


def test_script_dialog_and_fetch_of_a_page_are_noticed(lab: Lab) -> None:
    """A page that runs script, opens a dialog, asks another host or fails is caught at it."""
    html = (
        "<img src='http://elsewhere.invalid/pixel.png'>"
        "<script>window.__pwned = 1; alert('hello'); console.error('complaint')</script>"
    )
    notebook = lab.open([f"from IPython.display import HTML\nHTML({html!r})"])

    notebook.run_cell(0)
    notebook.page.wait_for_function("() => window.__pwned === 1")

    assert notebook.foreign_requests() == ["http://elsewhere.invalid/pixel.png"]
    assert notebook.watch.intrusions == ["alert hello"]
    assert "complaint" in notebook.watch.errors


def test_an_untrusted_copy_is_untrusted(lab: Lab) -> None:
    """What was saved here is trusted when reopened; a copy by another is not, and its script is inert."""
    notebook = lab.open(["from IPython.display import HTML\nHTML('<i>kept</i><script>window.__pwned = 1</script>')"])
    notebook.run_cell(0)
    notebook.save()

    trusted = lab.reopen(notebook)
    expect(trusted.output(0).locator("i")).to_have_text("kept")
    assert trusted.is_trusted(0)
    trusted.page.wait_for_function("() => window.__pwned === 1")

    copy = lab.reopen(notebook, is_trusted=False)
    expect(copy.output(0).locator("i")).to_have_text("kept")
    assert not copy.is_trusted(0)
    assert copy.page.evaluate("() => window.__pwned") is None


def test_a_quiet_page_asks_only_its_server_and_reports_nothing(lab: Lab) -> None:
    """JupyterLab by itself asks nobody else, opens nothing, logs no error: what is found is the output's."""
    notebook = lab.open(["1 + 1"])
    notebook.run_cell(0)

    assert notebook.watch.requests
    assert notebook.foreign_requests() == []
    assert notebook.watch.intrusions == []
    assert notebook.watch.errors == []


def test_waits_have_an_end(lab: Lab) -> None:
    """What does not come in time is an error that says so."""
    notebook = lab.open(["import time; time.sleep(600)"])

    with pytest.raises(Exception, match=r"running: not within 0\.2 s"):
        notebook.run_cell(0, timeout_s=0.2)

    notebook.interrupt()
    notebook.finish()
