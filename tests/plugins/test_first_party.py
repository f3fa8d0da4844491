"""Every first-party plugin keeps its contract. A declaration that is missing here fails: nothing ships unchecked."""

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from harness.card import InputSpec, ModelCard
from harness.contracts import FinishedRun, ModelFile, Samples
from harness.discovery import Disabled
from harness.errors import DataError
from harness.explaining import generator_of
from harness.exports import shipped
from harness.geometry import Size, place
from harness.handle import open_handle
from harness.host import Host, HostConfig
from harness.masks import pack_masks
from harness.onnx.models import load_card
from harness.onnx.session import open_session
from harness.results import CellResult, LatencyResult, MetricResult, Results
from harness.specs import (
    BackendSpec,
    DatasetSpec,
    ExecutorSpec,
    MetricSpec,
    ModelSpec,
    ReporterSpec,
    SaliencySpec,
    ScenarioSpec,
    Spec,
)
from harness.table import Ragged, Table
from harness.tasks import ClassificationTarget, DetectionTarget, KeypointsTarget, SegmentationTarget
from harness.testing.conformance import (
    check_backend,
    check_dataset,
    check_executor,
    check_metric,
    check_reporter,
    check_saliency,
    check_scenario,
    check_spec,
    create,
)

HOST = Host.discover(HostConfig(Disabled(frozenset({"third-party"}))))


def declared(kind):
    return [pytest.param(replace(spec, provider=None), id=f"{spec.role}-{spec.name}") for spec in HOST.specs(kind)]


def test_all_plugins_load_without_complaint():
    assert HOST.failures == []
    assert [record.warnings for record in HOST.plugins if record.warnings] == []
    assert HOST.duplicates() == []
    expected = {"keypoints", "classification", "detection", "segmentation", "saliency", "saliency-metrics", "onnx",
                "runtime", "openvino", "torch", "reports", "loadgen", "mlflow"}
    assert expected <= {record.name for record in HOST.plugins}


def test_every_kind_of_declaration_is_checked_here():
    covered = (DatasetSpec, MetricSpec, ScenarioSpec, BackendSpec, ReporterSpec, ExecutorSpec, ModelSpec,
               SaliencySpec)
    assert {type(spec) for spec in HOST.specs(Spec)} <= set(covered)


@pytest.mark.parametrize("spec", declared(Spec))
def test_declarations(spec):
    check_spec(spec)


def photographs(folder):
    """Three photographs and trimaps in the flat layout, of different sizes."""
    for index, name in enumerate(("Abyssinian_1", "Abyssinian_2", "pug_1")):
        size = (40 + index, 30)  # width, height
        pixels = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), np.uint8)
        trimap = np.full((size[1], size[0]), 2, np.uint8)
        trimap[5:20, 4:30] = 1
        for kind, data, suffix in (("images", pixels, "jpg"), ("trimaps", trimap, "png")):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(data).save(folder / kind / f"{name}.{suffix}")
    return {"root": folder}


def class_folders(folder):
    """Two classes with two photographs each."""
    for index, name in enumerate(("cat/1", "cat/2", "dog/1", "dog/2")):
        (folder / name).parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (20, 30 + index, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return {"root": folder}


def masked_photographs(folder):
    """Three images and masks, as mask-folder, and as Pascal VOC lists them."""
    for name in ("a", "b", "c"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (30, 40, 3), np.uint8)
        for kind, data in (("images", pixels), ("masks", pixels[:, :, 0] // 128)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(data).save(folder / kind / f"{name}.png")
    return {"root": folder}


def voc(folder):
    masked_photographs(folder)
    (folder / "ImageSets/Segmentation").mkdir(parents=True)
    (folder / "ImageSets/Segmentation/val.txt").write_text("a\nb\nc\n")
    (folder / "masks").rename(folder / "SegmentationClass")
    (folder / "JPEGImages").mkdir()
    for path in (folder / "images").iterdir():
        Image.open(path).save(folder / f"JPEGImages/{path.stem}.jpg")
    return {"root": folder}


def aerial(folder):
    tifffile = pytest.importorskip("tifffile")
    for number in range(1, 6):
        for kind, channels in (("images", 3), ("gt", 1)):
            (folder / "train" / kind).mkdir(parents=True, exist_ok=True)
            data = np.full((32, 48, channels), 255, np.uint8).squeeze()
            tifffile.imwrite(folder / f"train/{kind}/chicago{number}.tif", data)
    return {"root": folder, "cities": ["chicago"], "window": 16}


def annotated(folder):
    """Three images in COCO's format, one without objects."""
    images, annotations = [], []
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 256, (30, 40 + index, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        images.append({"id": index + 7, "file_name": f"{index}.png", "width": 40 + index, "height": 30})
        if index:
            annotations.append({"id": index, "image_id": index + 7, "category_id": 1, "bbox": [2, 3, 10.5, 20],
                                "iscrowd": index - 1})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (folder / "instances.json").write_text(json.dumps(content))
    return {"annotations": folder / "instances.json", "images": folder}


def plain_images(folder):
    annotated(folder)
    return {"root": folder}


DATASETS = {
    "stick-figures": lambda folder: {"count": 9, "size": 64}, "oxford-pet": photographs,
    "cells": lambda folder: {"count": 9, "size": 64}, "mask-folder": masked_photographs, "pascal-voc-seg": voc,
    "inria-aerial": aerial,
    "shapes": lambda folder: {"count": 9}, "coco": annotated, "unlabeled-images": plain_images,
    "foreground": lambda folder: {"count": 9, "size": 48}, "image-folder": class_folders,
}


@pytest.mark.parametrize("spec", declared(DatasetSpec))
def test_datasets(spec, tmp_path):
    check_dataset(spec, create(spec, **DATASETS[spec.name](tmp_path)))


def classification_samples():
    """With maps of 8 x 8; one says nothing, one image has nothing to be found."""
    rng = np.random.default_rng(0)
    labels = ["cat", "dog", "bird", "fish", "newt", "toad"]
    card = ModelCard(task="classification", input=InputSpec(size=(8, 8)), labels=labels)
    targets = []
    for index, label in enumerate(rng.integers(0, 6, 12)):
        mask = np.zeros((16, 12), bool)
        mask[2:9, index % 5 : 10] = index != 4
        boxes = np.array([[index % 5, 2, 10, 9]], np.float32)[: int(index != 4)]
        ignore = rng.random((16, 12)) < 0.1
        targets.append(ClassificationTarget(label=labels[label], boxes=boxes, mask=mask, ignore=ignore))
    logits = rng.normal(size=(12, 6)).astype(np.float32)
    maps = rng.random((12, 8, 8), np.float32)
    maps[5] = np.nan
    mixing = rng.normal(size=(3, 6)).astype(np.float32)
    return Samples(ids=[f"c{i}" for i in range(12)], targets=targets, predictions=Table({"logits": logits}), card=card,
                   inputs=rng.random((12, 3, 8, 8), np.float32), fits=[place(Size(16, 12), card.input)] * 12,
                   saliency=maps, classes=rng.integers(0, 6, 12), predict=lambda x: x.mean(axis=(2, 3)) @ mixing)


def keypoint_samples():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 64, (12, 5, 2)).astype(np.float32)
    visible = rng.random((12, 5)) < 0.8
    visible[3] = False  # a figure that can not be evaluated
    predicted = points + rng.normal(0, 3, points.shape).astype(np.float32)
    targets = [KeypointsTarget(points=p, visible=v) for p, v in zip(points, visible, strict=True)]
    table = Table({"keypoints": predicted, "scores": rng.random((12, 5)).astype(np.float32)})
    card = ModelCard(task="keypoints", input=InputSpec(size=(64, 64)))
    return Samples(ids=[f"k{i}" for i in range(12)], targets=targets, predictions=table, card=card)


def segmentation_samples():
    rng = np.random.default_rng(2)
    sizes = [(int(h), int(w)) for h, w in rng.integers(4, 20, (12, 2))]
    masks = [rng.integers(-1, 3, size).astype(np.int32) for size in sizes]
    masks[4][:] = -1  # an image without a judged pixel
    labels = ("background", "cat", "dog")
    targets = [SegmentationTarget(mask=mask, labels=labels, instances=np.maximum(mask, 0)) for mask in masks]
    predictions = [np.where(rng.random(mask.shape) < 0.7, mask, 0).astype(np.int16) for mask in masks]
    card = ModelCard(task="segmentation", input=InputSpec(size=(8, 8)), labels=list(labels))
    return Samples(ids=[f"m{i}" for i in range(12)], targets=targets, predictions=Table(pack_masks(predictions)),
                   card=card)


def detection_samples():
    """Two classes on images of 64 px; noisy boxes, some missed, some invented, one image without anything."""
    rng = np.random.default_rng(2)
    targets, boxes, image = [], [], []
    for index in range(12):
        count = index % 4
        low = rng.uniform(0, 30, (count, 2))
        truth = np.concatenate([low, low + rng.uniform(10, 30, (count, 2))], axis=1).astype(np.float32)
        labels = tuple(rng.choice(["cat", "dog"], count).tolist())
        targets.append(DetectionTarget(boxes=truth, labels=labels, crowd=np.arange(count) == 2))
        invented = np.array([[1, 1, 20, 20]])[: index % 2]
        found = np.concatenate([truth[:2] + rng.normal(0, 1.5, truth[:2].shape), invented])
        boxes.append(found.astype(np.float32))
        image.append(np.full(len(found), index))
    owners = np.concatenate(image)
    columns = {"boxes": np.concatenate(boxes), "scores": rng.random(len(owners)).astype(np.float32),
               "labels": rng.integers(0, 2, len(owners)), "level": rng.integers(0, 2, len(owners))}
    card = ModelCard(task="detection", input=InputSpec(size=(64, 64)), labels=["cat", "dog"], details={"anchors": {
        "levels": [{"stride": 8, "scales": [16]}, {"stride": 16, "scales": [24]}], "aspect_ratios": [1.0]}})
    table = Table({name: Ragged.grouped(values, owners, 12) for name, values in columns.items()})
    return Samples(ids=[f"d{i}" for i in range(12)], targets=targets, predictions=table, card=card,
                   fits=[place(Size(64, 64), card.input)] * 12)


def brightness(inputs, classes, seeds, model=None):
    """A generator that looks at the image, and at the weights."""
    scale = 1 if model is None else model["weight"].mean()
    return (inputs.mean(axis=1) ** 2 * scale).astype(np.float32)


class OneLayer:
    """A network as metrics that change its weights see it."""

    path = "one-layer.onnx"
    graph = helper.make_model(helper.make_graph(
        [helper.make_node("Gemm", ["x", "weight"], ["scores"])], "one", [], [],
        [numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(3, 4), "weight")]))

    @contextmanager
    def with_weights(self, weights):
        yield weights

    def probabilities(self, scores):
        odds = np.exp(scores.astype(np.float64))
        return odds / odds.sum(axis=1, keepdims=True)


def explained(samples):
    """With what metrics of maps need, where it is missing."""
    count, size = len(samples.ids), samples.card.input.size
    rng = np.random.default_rng(3)
    inputs = rng.random((count, 3, *size), np.float32) if samples.inputs is None else samples.inputs
    maps = brightness(inputs, None, None) if samples.saliency is None else samples.saliency
    classes = np.zeros(count, np.int64) if samples.classes is None else samples.classes
    return replace(samples, inputs=inputs, saliency=maps, classes=classes, seeds=list(range(count)),
                   explain=brightness, model=OneLayer())


SAMPLES = {"classification": classification_samples, "keypoints": keypoint_samples,
           "segmentation": segmentation_samples, "detection": detection_samples}


@pytest.mark.parametrize("spec", declared(MetricSpec))
def test_metrics(spec):
    for task in spec.tasks:
        samples = SAMPLES[task]()
        check_metric(spec, create(spec), explained(samples) if "saliency" in spec.requires else samples)


FEW_PASSES = {"rise": {"masks": 24}, "kernel-shap": {"grid": (2, 3), "samples": 40}, "occlusion": {"window": 48}}


@pytest.fixture(scope="module")
def explained_model():
    """The shipped classifier, two images and their classes."""
    path = Path(__file__).parents[2] / "exports" / "cam-cnn" / "model.fp32.onnx"
    card = load_card(ModelFile(path))
    handle, _ = open_handle(card, path, open_session, lambda _: None)
    inputs = np.random.default_rng(0).normal(size=(2, 3, *card.input.size)).astype(np.float32)
    yield handle, inputs, np.array([4, 1])
    handle.close()


@pytest.mark.parametrize("spec", [each for each in declared(SaliencySpec) if not each.values[0].stored])
def test_saliency(spec, explained_model):
    generator = generator_of(spec, spec.params(**FEW_PASSES.get(spec.name, {})))
    check_saliency(spec, generator, *explained_model)


def test_stored_maps(tmp_path):
    (spec,) = (each.values[0] for each in declared(SaliencySpec) if each.values[0].stored)
    np.save(tmp_path / "a.npy", np.eye(8, dtype=np.float32))
    stored = create(spec, path=tmp_path / "{id}.npy")
    fit = place(Size(30, 40), InputSpec(size=(8, 8)))
    np.testing.assert_array_equal(stored.maps(["a"], [fit]), np.eye(8, dtype=np.float32)[None])
    with pytest.raises(DataError, match='no map for sample "b"'):
        stored.maps(["b"], [fit])
    assert stored.fingerprint() != create(spec, path=tmp_path / "x" / "{id}.npy").fingerprint()


@pytest.mark.parametrize("spec", declared(ScenarioSpec))
def test_scenarios(spec):
    options = {"min_queries": 30, "min_duration_s": 0.0, "max_warmup_s": 0.2, "target_qps": 2000, "latency_bound_ms": 9}
    known = {name: value for name, value in options.items() if name in spec.params.model_fields}
    check_scenario(spec, create(spec, **known))


@pytest.mark.parametrize("spec", declared(BackendSpec))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch's compiler about itself
def test_backends(spec, centroid_model):
    image = np.random.default_rng(0).random((2, 1, 64, 64), np.float32)
    if spec.accepts == "onnx":
        check_backend(spec, create(spec), centroid_model, {"image": image})
    else:
        image = np.random.default_rng(0).random((2, 3, 96, 96), np.float32)
        check_backend(spec, create(spec), shipped() / "cam-cnn", {"image": image})


def finished_run():
    pck = MetricResult(value=0.75, ci=(0.5, 0.9), n=40, n_invalid=1)
    nothing = MetricResult(value=None, n=0, higher_is_better=False, unit="px")
    latency = LatencyResult(scenario="single-stream", batch=1, threads=2, n=100, p50_ms=1.5, mean_ms=1.6,
                            throughput=600.0, why="p99 needs 662 queries")
    common = {"id": "0", "model": "m|odel", "precision": "fp32", "backend": "onnxruntime-cpu"}
    cells = [
        CellResult(key="accuracy/d/m/fp32/b", kind="accuracy", status="ok", dataset="d", runs_on="CPU",
                   metrics={"pck@0.05": pck, "pck.mean-error": nothing}, **common),
        CellResult(key="latency/m/fp32/b/single-stream-b1-t2", kind="latency", status="ok", latency=latency, **common),
        CellResult(key="latency/m/fp32/cuda/single-stream-b1-t2", kind="latency", status="skipped",
                   reason='no GPU, "none"\nat all', **common),
    ]
    return FinishedRun(Results(suite={"suite": {"name": "s"}}, environment={}, plugins=[], cells=cells))


@pytest.mark.parametrize("spec", declared(ReporterSpec))
def test_reporters(spec):
    check_reporter(spec, create(spec), finished_run())


@pytest.mark.parametrize("spec", declared(ExecutorSpec))
def test_executors(spec):
    check_executor(spec, create(spec), isolated=spec.name == "local")
