"""`landscope reproduce all --scale smoke`, left alone and killed on the way, and its pages."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from landscope.experiments import REPRODUCTIONS
from landscope.runs import Run

pytestmark = pytest.mark.slow

COMMAND = [str(Path(sys.executable).with_name("landscope")), "reproduce", "all", "--scale", "smoke"]
NETWORKS = [name for name, how in REPRODUCTIONS.items() if how.trains_networks]


def run_to_the_end(out):
    done = subprocess.run([*COMMAND, "--out", out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def kill_once(out, begun, delay):
    """Start the command, and kill it some time after a file is there."""
    process = subprocess.Popen([*COMMAND, "--out", out], stdout=subprocess.DEVNULL)
    while not begun():
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.05)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -9


def tables(out):
    return {file.relative_to(out): file.read_bytes() for file in out.glob("*/tables/*.csv")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run_to_the_end(out)
    return out


def test_every_figure_is_there_with_its_tables_claims_and_page(whole):
    assert (whole / "report.html").exists()
    for name in REPRODUCTIONS:
        folder = whole / name
        assert (folder / "report.html").exists()
        assert Run.open(folder).summary()["claims"]
        drawn = list((folder / "figures").iterdir())
        assert {file.suffix for file in drawn} == {".png", ".svg"}
        written = list((folder / "tables").glob("*.csv"))
        assert written
        assert all(len(pd.read_csv(file)) for file in written)


def test_killed_on_the_way_it_goes_on_and_ends_with_the_same_tables(whole, tmp_path):
    cells, late = tmp_path / "cells", tmp_path / "properties/config.json"
    kill_once(tmp_path, lambda: len(list(cells.glob("*/snapshots/*.nc"))) > 5, delay=0.2)
    assert not (tmp_path / "fig1/report.html").exists()
    kill_once(tmp_path, late.exists, delay=12.0)
    assert not (tmp_path / "properties/report.html").exists()
    before = {file: file.stat().st_mtime_ns for file in cells.glob("*/snapshots/*.nc")}
    run_to_the_end(tmp_path)
    # Nothing that was measured is measured again.
    assert before == {file: file.stat().st_mtime_ns for file in before}
    ours, theirs = tables(tmp_path), tables(whole)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("there is no chromium on this machine")
    # Clouds in space are drawn by WebGL, without a graphics card in software.
    arguments = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=executable, args=[*arguments, "--enable-unsafe-swiftshader"]
        )
        yield browser
        browser.close()


@pytest.mark.parametrize("name", [*NETWORKS, ""])
def test_pages_are_drawn_offline_without_complaint(name, whole, browser):
    complaints = []
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto((whole / name / "report.html").as_uri())
    page.wait_for_timeout(1500)
    traces = page.eval_on_selector_all(
        ".js-plotly-plot", "all => all.map(plot => plot.querySelectorAll('.trace, canvas').length)"
    )
    assert len(traces) > 0 or not name
    assert all(traces)
    broken = page.eval_on_selector_all(
        "img",
        """all => Promise.all(all.map(one => {
            one.loading = 'eager';
            return one.decode().then(() => '', () => one.src);
        }))""",
    )
    assert not any(broken)
    links = page.eval_on_selector_all("a[href]", "all => all.map(one => one.href)")
    files = [Path(link.removeprefix("file://").split("#")[0]) for link in links if "file:" in link]
    assert all(file.exists() for file in files)
    assert complaints == []
    context.close()
