"""The HTML report: complete, self-contained, and safe whatever things are called."""

import base64
import io
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.api import FinishedRun, MetricResult, Params
from harness_reports.html import galleries
from harness_reports.html.correlations import spearman
from harness_reports.html.pictures import Pictures
from harness_reports.html.reporter import HtmlReporter
from harness_reports.html.scores import sample_scores


def metric(value, **more):
    return MetricResult(value=value, n=9, **more)


HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'-alert(1)-'", "</script><b>", "a&amp;b",
           "{{ 7 * 7 }}", "\u202eright to left", "שלום עולם", "n" * 1000, "line\nbreak", "]]><!--", "`${1}`"]


class Page(HTMLParser):
    """Tags with their attribute names, the visible text, and what stands inside of script elements."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.scripts, self.attributes, self._inside = [], [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, tuple(sorted(name for name, _ in attributes))))
        self.attributes += [value for _, value in attributes if value]
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        (self.scripts if self._inside in ("script", "style") else self.words).append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def data(self):
        return json.loads(self.scripts[1])  # after the style sheet


def rendered(run):
    return HtmlReporter(Params()).render(run)["report.html"]


def page(run):
    return Page(rendered(run))


def test_every_cell_is_there_with_its_number_interval_or_reason(make_run):
    run = make_run()
    text = page(run).text
    for cell in run.results.cells:
        assert cell.key in text
    for words in ("CellError: first broke (net.py:3)", "no GPU here", "failed", "skipped", "1 of 1 gates failed",
                  "accuracy/*/first/* top@1 >= 0.9", "cached", "A processor"):
        assert words in text
    value = run.results.cells[0].metrics["top@1"].value
    assert f"{100 * value:.1f} %" in text
    assert f"{100 * value - 1:.1f} to {100 * value + 1:.1f}" in text


def test_it_needs_nothing_from_outside(make_run):
    html = rendered(make_run())
    without_plotly = re.sub(r"<script>/\*\*.*?</script>", "", html, flags=re.DOTALL)
    assert len(without_plotly) < len(html) / 2  # the library was found and cut out
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#|data:)", without_plotly)
    assert "http" not in without_plotly.replace("http-equiv", "")
    assert "default-src 'none'" in html


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(make_run, name):
    hostile = page(make_run([name, "second"], dataset=name))
    assert hostile.tags == page(make_run(["first", "second"], folder="plain")).tags
    assert " ".join(name.split()) in hostile.text
    assert any(point["name"] == name for point in hostile.data["pareto"]["points"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=60).filter(lambda text: text.strip()))
def test_any_name_survives(name, make_text_run):
    found = page(make_text_run(name))
    assert found.data["curves"][0]["traces"][0]["name"] == name
    assert len([tag for tag in found.tags if tag[0] == "script"]) == 3


@pytest.fixture
def make_text_run(make_run):
    run = make_run(pictures=1)

    def rename(name):
        cells = [cell.model_copy(update={"model": name} if cell.model == "first" else {}) for cell in run.results.cells]
        return FinishedRun(run.results.model_copy(update={"cells": cells}), run.directory)

    return rename


def test_pareto_points_join_quality_and_cost_of_one_model(make_run):
    run = make_run(["a", "b", "c"])
    pareto = page(run).data["pareto"]
    times = {cell.model: cell.latency.p50_ms for cell in run.results.cells if cell.latency}
    points = [point for point in pareto["points"] if point["y"] == "data · top@1"]
    cost = next(axis["id"] for axis in pareto["x"] if axis["id"].startswith("p50 ms"))
    assert {point["name"]: point["x"][cost] for point in points} == times
    assert next(axis for axis in pareto["y"] if axis["id"] == "data · error")["higher"] is False


def test_parts_of_a_metric_stand_side_by_side(make_run):
    run = make_run(["a", "b"])
    values = {".circle@56": 0.9, ".square@56": 0.5, ".square@28": None}
    more = {f"scale{suffix}": metric(value, detail=True) for suffix, value in values.items()} | {
        "scale": metric(0.7), "scale.px": metric(3.0, unit="px")}
    first = run.results.cells[0]
    cells = [first.model_copy(update={"metrics": {**first.metrics, **more}}), *run.results.cells[1:]]
    (parts,) = page(FinishedRun(run.results.model_copy(update={"cells": cells}))).data["parts"]
    assert parts["name"] == "data · scale"
    (trace,) = parts["traces"]
    assert dict(zip(trace["x"], trace["y"], strict=True)) == {"circle@56": 0.9, "square@56": 0.5, "square@28": None}


def test_distributions_keep_their_ends(make_run):
    run = make_run(samples=1000)
    first = page(run).data["latencies"][0]
    times = run.table(next(cell for cell in run.results.cells if cell.latency), "samples").dense("nanoseconds") / 1e6
    assert len(first["x"]) == 200
    assert (first["x"][0], first["x"][-1]) == pytest.approx((times.min(), times.max()), rel=1e-4)
    assert first["y"][-1] == 1
    middle = np.interp(0.5, first["y"], first["x"])
    assert middle == pytest.approx(np.median(times), rel=0.02)


def test_samples_of_a_folder_that_is_damaged_or_gone_are_left_out(make_run):
    run = make_run()
    (run.directory / "thumbnails/0/index.json").write_text("[{")
    (run.directory / "thumbnails/1/01.jpg").unlink()
    (run.directory / "scores/0.json").unlink()
    found = page(run)
    assert "Samples of data" in found.text
    assert page(FinishedRun(run.results)).data["pictures"] == {}


def test_raw_samples_that_are_damaged_cost_their_plot_only(make_run):
    run = make_run()
    path = run.directory / "samples/0.npz"
    path.write_bytes(path.read_bytes()[:100])
    found = page(run)
    assert [each["key"] for each in found.data["latencies"]] == ["latency/second/fp32/cpu/single-stream-b1-t1"]
    assert "latency/first/fp32/cpu/single-stream-b1-t1: its samples can not be read" in found.text


def sheet(run):
    (found,) = galleries.sheets(run, Pictures())
    return [line.id for line in found.lines]


def test_the_samples_of_one_cell_are_its_worst_and_others_from_all_over_the_dataset(make_run):
    run = make_run(["a"], pictures=24)
    rescore(run, {0: {f"sample-{number}": (0.0 if 4 <= number < 12 else 1.0) for number in range(24)} | {"a-3": 1.0}})
    shown = [int(id_.split("-")[1]) for id_ in sheet(run)]
    assert len(shown) == 16
    assert set(shown[:8]) == set(range(4, 12))
    assert sorted(shown[8:]) == [0, 2, 12, 14, 16, 18, 20, 22]


def test_samples_that_two_cells_judge_most_differently_are_among_the_chosen(make_run):
    """Also those of which only one of them has a picture."""
    run = make_run(["a", "b"], pictures=24)
    scores = {index: {f"sample-{number}": 0.5 for number in range(24)} for index in (0, 1)}
    scores[0] |= {"sample-22": 0.9, "sample-23": 0.1, "sample-5": 0.6}
    scores[1] |= {"sample-22": 0.2, "sample-23": 0.9}
    rescore(run, scores)
    entries = json.loads((run.directory / "thumbnails/1/index.json").read_text())
    (run.directory / "thumbnails/1/index.json").write_text(json.dumps(entries[:22]))
    assert sheet(run)[:3] == ["sample-23", "sample-22", "sample-5"]


def rescore(run, scores):
    """scores: of top@1, by model and sample, in the thumbnails and in the scores of all samples."""
    for index, values in scores.items():
        path = run.directory / f"thumbnails/{index}/index.json"
        entries = json.loads(path.read_text())
        for entry in entries:
            if entry["id"] in values:
                entry["scores"]["top@1"] = values[entry["id"]]
        path.write_text(json.dumps(entries))
        (run.directory / f"scores/{index}.json").write_text(
            json.dumps([{"id": entry["id"], **entry["scores"]} for entry in entries]))


def test_scores_without_a_number_are_not_ranked(make_run):
    run = make_run()
    (run.directory / "scores/0.json").write_text('[{"id": "x", "top@1": NaN, "error": Infinity, "other": 1}, 3]')
    assert sample_scores(run, run.results.cells[0]) == {"x": {"top@1": None, "error": None}}


def test_files_outside_of_the_run_are_not_read(make_run, tmp_path):
    run = make_run()
    outside = tmp_path.parent / "outside.json"
    outside.write_text("[]")
    cell = run.results.cells[0].model_copy(update={"files": {"scores": "../outside.json"}})
    assert run.path(cell, "scores") is None


def test_each_picture_is_in_the_page_once_and_within_the_budget(make_run):
    run = make_run(["a", "b", "c"])
    assert len(page(run).data["pictures"]) == 4
    picture = run.directory / "thumbnails/0/00.jpg"
    assert Pictures(left=picture.stat().st_size - 1).file(picture) is None
    assert Pictures(left=picture.stat().st_size).file(picture) is not None


def test_errors_of_a_segmentation_are_marked(tmp_path):
    image = np.full((4, 4, 3), 100, np.uint8)
    truth, prediction = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    truth[0] = truth[1] = 1
    prediction[1] = prediction[2] = 1
    truth[3, 3] = 255  # to be ignored
    prediction[3, 3] = 1
    for name, pixels in (("i", image), ("t", truth), ("p", prediction)):
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / f"{name}.png")
    pictures = Pictures()
    key = pictures.errors(*(tmp_path / f"{name}.png" for name in "itp"))
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures.uris[key].split(",")[1])))).astype(int)
    colors = [found[16 * row + 8, 8] for row in range(4)]
    assert [np.argmax(color) for color in colors[:2]] == [0, 1]  # missed: orange, right: green
    assert colors[2][0] > colors[2][1] + 20  # invented: purple
    assert np.abs(colors[3] - 100).max() < 6
    assert np.abs(found[56, 56] - 100).max() < 6


def test_void_pixels_of_an_image_without_objects_are_not_missed(tmp_path):
    truth = np.zeros((32, 32), np.uint8)
    truth[:16] = 255
    for name, pixels in (("i", np.full((32, 32, 3), 100, np.uint8)), ("t", truth), ("p", np.zeros_like(truth))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    pictures = Pictures()
    key = pictures.errors(*(tmp_path / f"{name}.png" for name in "itp"))
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures.uris[key].split(",")[1])))).astype(int)
    assert np.abs(found - 100).max() < 4


def test_a_mask_is_outlined_on_a_map(tmp_path):
    Image.fromarray(np.full((80, 80, 3), 128, np.uint8)).save(tmp_path / "map.png")
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 5:35] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    pictures = Pictures()
    key = pictures.outlined(tmp_path / "map.png", tmp_path / "mask.png")
    content = base64.b64decode(pictures.uris[key].split(",")[1])
    found = np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(int)
    assert (found[20, 12:68] > 200).mean() > 0.9  # the upper edge, white
    assert (found[21, 14:66] < 90).mean() > 0.9  # dark inside of it
    assert abs(found[40, 40] - 128) < 4
    assert abs(found[5, 5] - 128) < 4
    assert pictures.outlined(tmp_path / "map.png", tmp_path / "absent.png") is not None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=5, max_size=30))
def test_rank_correlation_is_scipys(pairs):
    from scipy.stats import spearmanr

    found = spearman([(float(a), float(b)) for a, b in pairs])
    one, two = zip(*pairs, strict=True)
    if len(set(one)) == 1 or len(set(two)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(one, two).statistic, abs=6e-4)


@pytest.mark.perf
def test_a_large_report_is_written_soon_and_stays_small(make_run, record_property):
    """100 cells with 2,000 samples each and 24 pictures a cell: under 10 s of CPU and 12 MB."""
    run = make_run([f"model-{index}" for index in range(50)], samples=2000, pictures=24)
    started = time.process_time()
    html = rendered(run)
    record_property("cpu_seconds", round(time.process_time() - started, 2))
    record_property("megabytes", round(len(html.encode()) / 1e6, 2))
    assert time.process_time() - started < 10
    assert len(html.encode()) < 12e6
