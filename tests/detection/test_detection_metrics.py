"""The metrics of detection against pycocotools, closed forms and small cases counted by hand."""

import contextlib
import io
import json

import numpy as np
import pytest

from harness.api import (
    CellResult,
    DetectionTarget,
    InputSpec,
    ModelCard,
    Ragged,
    RunContext,
    Samples,
    SsdDecoder,
    Table,
    TaskMismatch,
)
from harness.geometry import Size, place
from harness_detection import harness_cell_finished
from harness_detection.coco_format import Numbering, ground_truth, results
from harness_detection.coco_map import NUMBERS, CocoMap
from harness_detection.confusion import ClassConfusion
from harness_detection.counting import DetectionCount
from harness_detection.coverage import AnchorCoverage
from harness_detection.params import (
    AnchorCoverageParams,
    ClassConfusionParams,
    CocoMapParams,
    CocoParams,
    DetectionCountParams,
    ScaleSpecializationParams,
)
from harness_detection.specialization import ScaleSpecialization

ANCHORS = {"levels": [{"stride": 8, "scales": [16]}, {"stride": 32, "scales": [64]}], "aspect_ratios": [1.0]}


def card(**changes):
    return ModelCard(**{"task": "detection", "input": InputSpec(size=(128, 128)), "labels": ["cat", "dog"],
                        "details": {"anchors": ANCHORS}, **changes})


def samples(truth, found, **changes):
    """truth: per image (box, label[, crowd]); found: per image (box, score, class index, level)."""
    targets = [DetectionTarget(boxes=np.array([item[0] for item in image], np.float32).reshape(-1, 4),
                               labels=tuple(item[1] for item in image),
                               crowd=np.array([len(item) > 2 for item in image], np.bool_)) for image in truth]
    kinds = {"boxes": (0, np.float32, (-1, 4)), "scores": (1, np.float32, (-1,)), "labels": (2, np.int64, (-1,)),
             "level": (3, np.int64, (-1,))}
    columns = {name: Ragged.of([np.array([item[index] for item in image], kind).reshape(shape) for image in found])
               for name, (index, kind, shape) in kinds.items()}
    facts = card(**changes)
    return Samples([f"i{n}" for n in range(len(truth))], targets, Table(columns), facts,
                   fits=[place(Size(128, 128), facts.input)] * len(truth))


def random_samples(images=60, seed=0):
    """Objects of all COCO sizes with crowds; noisy, repeated and invented detections."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(images):
        objects = []
        for _ in range(rng.integers(0, 5)):
            low, side = rng.uniform(0, 200, 2), rng.choice([12, 50, 130]) * rng.uniform(0.7, 1.4, 2)
            crowd = (True,) if rng.random() < 0.1 else ()
            objects.append((np.concatenate([low, low + side]), str(rng.choice(["cat", "dog"])), *crowd))
        noisy = [(item[0] + rng.normal(0, 4, 4), rng.random(), int(rng.random() < 0.5), 0)
                 for item in objects * 3 if rng.random() < 0.8]
        truth.append(objects)
        found.append([item for item in noisy if (item[0][2:] > item[0][:2]).all()])
    return samples(truth, found)


def values(metric, given):
    return {suffix: scalar.value for suffix, scalar in metric.summarize(metric.measure(given)).scalars.items()}


@pytest.mark.parametrize("seed", [0, 1])
def test_twelve_numbers_equal_pycocotools_on_stored_files(tmp_path, seed):
    pycocotools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    metric = CocoMap(CocoMapParams())
    rows = metric.measure(random_samples(seed=seed))
    rows.save(tmp_path / "rows.npz")
    stored = Table.load(tmp_path / "rows.npz")
    for name, content in (("annotations", ground_truth(stored)), ("results", results(stored))):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = pycocotools.COCO(str(tmp_path / "annotations.json"))
        peer = COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), "bbox")
        peer.evaluate()
        peer.accumulate()
        peer.summarize()
    ours = metric.summarize(stored).scalars
    assert all(0 < value < 1 for value in peer.stats)
    for suffix, expected in zip(NUMBERS, peer.stats, strict=True):
        assert ours[suffix].value == pytest.approx(expected, abs=1e-12), suffix
    for index, name in enumerate(("cat", "dog")):
        precision = peer.eval["precision"][:, :, index, 0, 2]
        assert ours[f".class-{name}"].value == pytest.approx(precision[precision > -1].mean(), abs=1e-12)


def test_a_finished_cell_leaves_both_sides_as_coco_files(tmp_path):
    rows = CocoMap(CocoMapParams()).measure(random_samples(4))
    (tmp_path / "rows/cell").mkdir(parents=True)
    rows.save(tmp_path / "rows/cell/coco-map.npz")
    cell = CellResult(key="accuracy/d/m/fp32/b", id="0", kind="accuracy", status="ok", model="m", precision="fp32",
                      backend="b", files={"rows.coco-map": "rows/cell/coco-map.npz"})
    harness_cell_finished(RunContext(tmp_path, {}, result=cell))
    stored = {kind: json.loads((tmp_path / f"coco/cell--coco-map.{kind}.json").read_text())
              for kind in ("annotations", "results")}
    assert stored == {"annotations": ground_truth(rows), "results": results(rows)}


def test_results_on_a_coco_dataset_can_be_held_against_its_own_file(tmp_path):
    """Image and category ids are those of the file; a class that it does not have gets an id behind its last one."""
    pycocotools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    rows = CocoMap(CocoMapParams()).measure(random_samples(20))
    rows = Table({**rows, "id": np.array([str(100 + 3 * row) for row in range(rows.rows)])})
    original = ground_truth(rows, Numbering([100 + 3 * row for row in range(rows.rows)], [91, 7]))
    original["categories"].insert(0, {"id": 2, "name": "bus"})
    (tmp_path / "original.json").write_text(json.dumps(original))
    rows.save(tmp_path / "rows/cell.npz")
    cell = CellResult(key="accuracy/d/m/fp32/b", id="0", kind="accuracy", status="ok", dataset="d", model="m",
                      precision="fp32", backend="b", files={"rows.coco-map": "rows/cell.npz"})
    params = CocoParams(annotations=tmp_path / "original.json", images=tmp_path)
    harness_cell_finished(RunContext(tmp_path, {}, result=cell, datasets={"d": params}))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = pycocotools.COCO(str(tmp_path / "original.json"))
        peer = COCOeval(truth, truth.loadRes(str(tmp_path / "coco/cell.results.json")), "bbox")
        peer.evaluate()
        peer.accumulate()
        peer.summarize()
    ours = CocoMap(CocoMapParams()).summarize(rows).scalars
    assert [ours[suffix].value for suffix in NUMBERS] == pytest.approx(peer.stats.tolist(), abs=1e-12)
    assert {item["category_id"] for item in json.loads((tmp_path / "coco/cell.results.json").read_text())} == {91, 7}
    assert Numbering.of_file(rows, {"dog": 7, "bus": 2}).categories == [8, 7]


def test_names_of_several_words_are_those_of_the_file():
    rows = CocoMap(CocoMapParams()).measure(samples([[([0, 0, 5, 5], "traffic light")]], [[]],
                                                    labels=["traffic light", "dog"]))
    rows = Table({**rows, "id": np.array(["1"])})
    assert Numbering.of_file(rows, {"dog": 7, "traffic light": 10}).categories == [10, 7]


def test_perfect_detections_and_none():
    boxes = [[([4, 4, 20, 20], "cat"), ([30, 30, 110, 110], "dog")]] * 3
    perfect = values(CocoMap(CocoMapParams()), samples(boxes, [[(box, 0.9, ["cat", "dog"].index(label), 0)
                                                               for box, label in image] for image in boxes]))
    assert {suffix for suffix, value in perfect.items() if value is None} == {".large", ".ar-large"}
    assert all(value == pytest.approx(1) for suffix, value in perfect.items() if value is not None)
    nothing = values(CocoMap(CocoMapParams()), samples(boxes, [[], [], []]))
    assert nothing[""] == 0
    assert all(value is None for value in values(CocoMap(CocoMapParams()), samples([[]] * 3, [[]] * 3)).values())


def test_unknown_labels_are_refused():
    given = samples([[([0, 0, 9, 9], "cats")]], [[]])
    with pytest.raises(TaskMismatch, match=r'label "cats" is no class of this model; did you mean "cat"\?'):
        CocoMap(CocoMapParams()).measure(given)


def test_specialization_by_hand():
    truth = [[([0, 0, 16, 16], "cat"), ([40, 40, 104, 104], "dog")], [([0, 0, 16, 16], "cat")]]
    found = [[([0, 0, 16, 15], 0.9, 0, 0), ([0, 0, 16, 16], 0.8, 0, 1), ([40, 40, 104, 100], 0.7, 1, 1)],
             [([1, 0, 16, 16], 0.9, 0, 1), ([50, 50, 60, 60], 0.9, 0, 0), ([0, 0, 16, 16], 0.4, 0, 0)]]
    result = values(ScaleSpecialization(ScaleSpecializationParams()), samples(truth, found))
    assert result == {"": 0.75, ".cat@16x16": 0.5, ".cat@4x4": 0.5, ".dog@16x16": 0.0, ".dog@4x4": 1.0,
                      ".small@16x16": 0.5, ".small@4x4": 0.5, ".medium@16x16": 0.0, ".medium@4x4": 1.0,
                      ".large@16x16": None, ".large@4x4": None}


def test_specialization_needs_levels():
    metric = ScaleSpecialization(ScaleSpecializationParams())
    given = samples([[]], [[]])
    with pytest.raises(TaskMismatch, match="needs the output level"):
        metric.measure(Samples(given.ids, given.targets, given.predictions.select(["boxes", "scores", "labels"]),
                               given.card))
    with pytest.raises(TaskMismatch, match="does not say how many feature levels"):
        metric.measure(samples([[]], [[]], details={}))
    decoded = samples([[]], [[]], details={}, decoder=SsdDecoder(kind="ssd", levels=[4, 2, 1]))
    assert ".cat@2" in metric.summarize(metric.measure(decoded)).scalars


def test_coverage_by_hand():
    """An object of 16 px on an anchor (IoU 1), one moved by half a stride, one of 32 px between the levels."""
    truth = [[([4, 4, 20, 20], "cat"), ([8, 4, 24, 20], "cat"), ([0, 0, 32, 32], "dog")],
             [([0, 0, 9, 9], "dog", True)]]
    result = values(AnchorCoverage(AnchorCoverageParams()), samples(truth, [[], []]))
    moved = (12 * 16) / (2 * 256 - 12 * 16)
    small, large = 256 / 1024, (32 * 32) / (64 * 64)
    assert result[".mean-iou"] == pytest.approx((1 + moved + max(small, large)) / 3, abs=1e-6)
    assert (result[".cat"], result[".cat@16x16"], result[".cat@4x4"], result[".dog"]) == (1.0, 1.0, 0.0, 0.0)
    assert result[""] == pytest.approx(2 / 3)
    with pytest.raises(TaskMismatch, match="needs the model's anchors"):
        AnchorCoverage(AnchorCoverageParams()).measure(samples([[]], [[]], details={}))


def test_coverage_is_measured_at_the_models_input_size():
    given = samples([[([8, 8, 40, 40], "cat")]], [[]])
    halved = Samples(given.ids, given.targets, given.predictions, given.card,
                     fits=[place(Size(256, 256), given.card.input)])
    assert values(AnchorCoverage(AnchorCoverageParams()), given)[""] == 0
    assert values(AnchorCoverage(AnchorCoverageParams()), halved)[""] == 1


def test_confusion_by_hand():
    truth = [[([0, 0, 16, 16], "cat"), ([40, 40, 60, 60], "cat"), ([80, 80, 99, 99], "dog"),
              ([0, 60, 60, 120], "dog", True)]]
    found = [[([0, 0, 16, 16], 0.9, 1, 0), ([80, 80, 99, 99], 0.9, 1, 0), ([100, 0, 120, 20], 0.9, 0, 0),
              ([10, 70, 30, 90], 0.9, 0, 0), ([40, 40, 60, 60], 0.3, 0, 0)]]
    result = values(ClassConfusion(ClassConfusionParams()), samples(truth, found))
    assert result == {"": 0.5, ".cat@cat": 0.0, ".cat@dog": 0.5, ".cat@missed": 0.5, ".dog@cat": 0.0, ".dog@dog": 1.0,
                      ".dog@missed": 0.0, ".false-positives": 1.0}


def test_counts():
    found = [[([0, 0, 9, 9], 0.9, 0, 0), ([0, 0, 9, 9], 0.2, 0, 0)], []]
    assert values(DetectionCount(DetectionCountParams()), samples([[], []], found)) == {"": 0.5, ".images": 0.5}
