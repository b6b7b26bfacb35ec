"""The report in a real browser, without a network."""

import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("there is no chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visit(browser, report):
    """The open page, what it complained of, and what it asked for beside itself."""
    complaints, requests = [], []
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length === 10")
    yield page, complaints, requests
    context.close()


@pytest.fixture
def page(visit):
    return visit[0]


def test_nothing_is_complained_of_and_nothing_is_fetched(visit, report):
    _, complaints, requests = visit
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]


def test_every_plot_is_drawn(page):
    drawn = page.eval_on_selector_all(
        ".js-plotly-plot",
        """plots => plots.map(plot => {
            const marks = plot.querySelectorAll('.trace, .hm image');
            const box = plot.querySelector('.main-svg').getBoundingClientRect();
            return [plot.id, plot.data.length, marks.length, box.width, box.height];
        })""",
    )
    assert len(drawn) == 10
    for name, traces, marks, width, height in drawn:
        assert traces > 0, name
        assert marks > 0, name
        assert width > 400, name
        assert height > 250, name


def test_no_label_leaves_its_plot(page):
    outside = page.eval_on_selector_all(
        ".js-plotly-plot",
        """plots => plots.flatMap(plot => {
            const frame = plot.querySelector('.main-svg').getBoundingClientRect();
            return [...plot.querySelectorAll('.main-svg text')]
                .filter(text => text.textContent && text.getClientRects().length)
                .filter(text => {
                    const box = text.getBoundingClientRect();
                    return box.left < frame.left - 1 || box.right > frame.right + 1
                        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
                })
                .map(text => `${plot.id}: ${text.textContent}`);
        })""",
    )
    assert outside == []


def visible_traces(page, name):
    return page.evaluate(
        f"document.getElementById('{name}-plot').data.map(trace => trace.visible !== false)"
    )


def test_the_slider_moves_with_the_keyboard_and_changes_the_stage(page):
    slider = page.locator("#spectrum-stage")
    label = page.locator("#spectrum output")
    assert label.text_content() == "step 600"
    before = visible_traces(page, "spectrum")
    slider.focus()
    page.keyboard.press("Home")
    assert label.text_content() == "step 0"
    assert slider.get_attribute("aria-valuetext") == "step 0"
    after = visible_traces(page, "spectrum")
    assert before != after
    assert sum(before) == sum(after) == after.index(False)
    page.keyboard.press("ArrowRight")
    assert label.text_content() == "step 3"


def test_stages_move_together_unless_told_otherwise(page):
    page.locator("#together").check()
    page.locator("#simplex-stage").fill("2")
    assert page.locator("#spectrum output").text_content() == "step 10"
    page.locator("#together").uncheck()
    page.locator("#simplex-stage").fill("4")
    assert page.locator("#simplex output").text_content() == "step 100"
    assert page.locator("#spectrum output").text_content() == "step 10"


def test_play_runs_to_the_last_stage(page):
    page.locator("#hessian_split-stage").fill("5")
    button = page.locator("#hessian_split .stage button")
    button.click()
    assert page.locator("#hessian_split output").text_content() == "step 600"
    page.wait_for_function(
        "document.querySelector('#hessian_split .stage button').ariaLabel === 'Play the stages'"
    )


def test_plots_fit_the_paper_when_printed(page):
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths = (
        "[...document.querySelectorAll('.plot > div > .svg-container')].map(p => p.clientWidth)"
    )
    assert set(page.evaluate(widths)) == {680}
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert min(page.evaluate(widths)) > 680


def test_no_button_sends_anything_away(page):
    titles = page.eval_on_selector_all(".modebar-btn", "all => all.map(one => one.ariaLabel)")
    assert titles
    assert not [title for title in titles if "hare" in title or "loud" in title]
