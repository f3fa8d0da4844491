"""The report as a reader uses it, in Chromium."""

import shutil

import pytest

from harness.api import Params
from harness_reports.html.reporter import HtmlReporter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium, e.g. Debian's package chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, make_run, tmp_path):
    """opened(names, width=1280, ...) -> the page of a run of these models; at the end nothing may have gone wrong."""
    trouble = []

    def open_(models, width=1280, **more):
        path = tmp_path / "report.html"
        path.write_text(HtmlReporter(Params()).render(make_run(models, **more))["report.html"], encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:"))
                else trouble.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#pareto-plot .main-svg")
        return page

    yield open_
    assert trouble == []


def column(page, number):
    return page.locator(f"#cell-table tbody tr:not([hidden]) > :nth-child({number})").all_inner_texts()


def test_the_table_sorts_and_filters(opened):
    page = opened(["b", "a", "c"])
    button = page.locator("#cell-table thead button").first
    button.click()
    names = [text.splitlines()[0] for text in column(page, 1)]
    assert names == sorted(names)
    assert page.locator("#cell-table th[aria-sort]").get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    assert [text.splitlines()[0] for text in column(page, 1)] == names[::-1]
    page.locator("#cell-table thead button", has_text="ratio").click()
    ratios = column(page, 5)
    assert [text.split()[0] for text in ratios if text.strip()] == ["3", "2", "1"]
    assert ratios[3:] == [""] * (len(ratios) - 3)  # what is not known comes last
    page.locator("#filter").fill("latency cuda")
    assert len(column(page, 1)) == 1
    assert page.locator("#filter-count").inner_text() == "1 of 8 cells"


def test_a_point_tells_its_cell(opened):
    page = opened(["first", "second"])
    box = page.locator("#pareto-plot .scatterlayer .trace:last-child .point").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#pareto-plot .hoverlayer .hovertext")
    assert "accuracy/data/" in page.locator("#pareto-plot .hoverlayer").text_content()
    page.locator("#pareto-y").select_option("data · error")
    assert "error ↓" in page.locator("#pareto-plot").text_content()


def test_a_sample_opens(opened):
    page = opened(["first", "second"])
    page.locator(".card").first.click()
    dialog = page.locator("#sample")
    assert "top@1" in dialog.inner_text()
    assert dialog.locator("img").evaluate("image => image.complete && image.naturalWidth") == 80
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.locator(".order").first.select_option("error")
    rows = page.locator(".sheet tbody tr")
    errors = rows.evaluate_all("rows => rows.map(row => JSON.parse(row.dataset.badness).error)")
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_and_nothing_is_wider_than_the_window(opened, width):
    page = opened(["first", "n" * 300, "<b>bold</b>"], width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    before = page.locator("#cells").bounding_box()["y"]
    page.locator("#theme").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.wait_for_timeout(300)
    assert page.locator("#cells").bounding_box()["y"] == before


def test_hostile_names_run_nothing(opened):
    page = opened(["<img src=x onerror=document.title=1>", "</script><script>document.title=1</script>"])
    page.locator(".card").first.click()
    page.locator("#curves-choice").select_option("0")
    assert page.title().endswith("harness report")
