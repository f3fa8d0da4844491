"""Pages over several runs."""

import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import Point, Series
from harness.site.sparkline import HEIGHT, WIDTH, sparkline
from harness_reports.html.reporter import HtmlReporter


def put(folder, name, run, day, factor=1.0, suite="nightly"):
    """A finished run of that day, its latencies multiplied."""
    cells = [cell if cell.latency is None else cell.model_copy(update={
        "latency": cell.latency.model_copy(update={"p50_ms": cell.latency.p50_ms * factor})})
        for cell in run.results.cells]
    results = run.results.model_copy(update={
        "cells": cells, "suite": {"suite": {"name": suite}},
        "environment": {"finished": f"2026-01-{day:02d}T00:00:00+00:00", "commit": f"c{day:06d}"}})
    place = folder / name
    place.mkdir(parents=True)
    (place / "results.json").write_text(results.model_dump_json(by_alias=True))


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name == "href" and not value.startswith("data:")]


@pytest.fixture
def published(cli, make_run, tmp_path):
    run = make_run(pictures=1)
    for day in range(1, 15):
        put(tmp_path / "runs", f"day-{day:02d}", run, day, 1 + 0.001 * (day * 7 % 5) + 0.3 * (day > 7))
    put(tmp_path / "runs", "other", run, 3, suite="<b>weekly</b>")
    for name, suite in (("a#1", "a+b"), ("100%20 ?", "a_b"), ("upper", "A_B")):
        put(tmp_path / "runs", name, run, 4, suite=suite)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "results.json").write_text("{")
    done = cli("publish", tmp_path / "runs", "--output", tmp_path / "site")
    assert done.code == 0, done.err
    return tmp_path / "site", done


def test_every_link_of_the_site_leads_to_a_file(published):
    site, done = published
    pages = [site / "index.html", *(site / "suites").glob("*.html")]
    assert sorted(done.out.split()) == sorted(map(str, pages))
    links = [(page, link) for page in pages for link in Links(page.read_text()).found]
    assert len(links) > 15
    for page, link in links:
        assert (page.parent / unquote(link)).resolve().is_file(), f"{page.name}: {link}"


def test_the_front_page_names_suites_what_got_worse_and_what_could_not_be_read(published):
    site, _ = published
    text = (site / "index.html").read_text()
    assert text.index("nightly") < text.index("2026-01-14")
    assert "2 numbers got worse" in text  # p50 of both models
    assert "broken" in text
    assert "&lt;b&gt;weekly&lt;/b&gt;" in text
    assert "<b>weekly" not in text


def test_suites_whose_names_differ_have_pages_of_their_own(published):
    site, done = published
    assert len({str(page).lower() for page in done.out.split()}) == 1 + 5
    for name in ("a+b", "a_b", "A_B"):
        assert sum(f"<h1><bdi>{name}</bdi></h1>" in page.read_text() for page in (site / "suites").iterdir()) == 1


def test_a_run_whose_report_can_not_be_made_is_named(cli, make_run, tmp_path, monkeypatch):
    run = make_run(pictures=1)
    for name in ("good", "bad"):
        put(tmp_path / "runs", name, run, 3)
    made = HtmlReporter.render

    def render(self, run):
        if run.directory.name == "bad":
            raise ValueError("torn")
        return made(self, run)

    monkeypatch.setattr(HtmlReporter, "render", render)
    done = cli("publish", tmp_path / "runs", "--output", tmp_path / "site")
    assert done.code == 0, done.err
    text = (tmp_path / "site" / "index.html").read_text()
    assert "<bdi>bad</bdi>: <bdi>there is no report:" in text
    assert "ValueError: torn" in text
    assert (tmp_path / "site" / "runs" / "good" / "report.html").is_file()


def test_a_change_of_level_stands_where_it_happened(published):
    site, _ = published
    text = (site / "suites" / "nightly.html").read_text()
    changes = re.findall(r'class="bad">worse</span> <bdi>([^<]*)</bdi>', text)
    assert len(changes) == 2
    assert all(change.endswith("at c000008") for change in changes)


def test_reports_are_not_made_again(published, cli):
    site, _ = published
    report = site / "runs" / "day-01" / "report.html"
    report.write_text("kept")
    assert cli("publish", site.parent / "runs", "--output", site).code == 0
    assert report.read_text() == "kept"


def test_a_folder_without_runs_is_one_clear_line(cli, tmp_path):
    done = cli("publish", tmp_path)
    assert (done.code, len(done.err.strip().splitlines())) == (2, 1)
    assert "no results of finished runs" in done.err


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_drawings_stay_in_their_frame_and_keep_the_order(values):
    points = [Point(run=str(index), finished=None, commit=None, value=value, ci=(value - 1, value + 1))
              if value is not None else Point(run=str(index), finished=None, commit=None, value=None)
              for index, value in enumerate(values)]
    drawn = sparkline(Series(cell="c", metric="m", unit="", higher_is_better=True, points=points, changes=[]),
                      {"0": "report.html"})
    known = [value for value in values if value is not None]
    assert len(drawn.dots) == len(known)
    assert all(0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT for dot in drawn.dots)
    assert all(a.x <= b.x for a, b in zip(drawn.dots, drawn.dots[1:], strict=False))
    order = sorted(range(len(known)), key=lambda index: -known[index])
    heights = [drawn.dots[index].y for index in order]
    assert heights == sorted(heights)
    assert sum(len(line.split()) for line in drawn.line) == len(known)
    assert not known or values[0] is None or drawn.dots[0].href == "report.html"


def test_several_runs_become_a_comparison(cli, tmp_path):
    """Two runs of a suite with other seeds of the data."""
    for seed in (0, 1):
        (tmp_path / f"{seed}.toml").write_text(
            f'''[suite]
name = "two"
[datasets.scenes]
use = "foreground"
count = 40
seed = {seed}
[models.net]
use = "cam-cnn"
[[bench]]
models = ["net"]
datasets = ["scenes"]
metrics = ["top-k"]
''')
        assert cli("run", tmp_path / f"{seed}.toml", "--output", tmp_path / f"run{seed}").code == 0
    done = cli("report", tmp_path / "run0", tmp_path / "run1")
    assert done.code == 0, done.err
    page = tmp_path / "run1" / "comparison.html"
    assert done.out.strip() == str(page)
    text = page.read_text()
    assert "accuracy/scenes/net/fp32/onnxruntime-cpu" in text
    assert "compared nevertheless" in text  # the samples differ
    assert "Over all runs" in text
    for seed in (0, 1):
        (cell,) = json.loads((tmp_path / f"run{seed}" / "results.json").read_text())["cells"]
        assert f"{100 * cell['metrics']['top-k@1']['value']:.2f}%" in text
    assert cli("report", tmp_path / "run0", tmp_path / "run1", "--format", "csv").code == 2
