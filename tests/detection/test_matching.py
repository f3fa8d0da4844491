"""Anchors, matching, offsets and losses against closed forms and loops."""

import numpy as np
import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch")

from harness.api import DetectionTarget, Fit, TaskMismatch  # noqa: E402
from harness.geometry import Size  # noqa: E402
from harness_detection.anchors import describe, from_card, level_names, make_anchors  # noqa: E402
from harness_detection.boxes import iou_matrix  # noqa: E402
from harness_detection.detector import MultiscaleDetector, softmax_log_odds  # noqa: E402
from harness_detection.losses import focal_loss, hard_negative_cross_entropy  # noqa: E402
from harness_detection.matching import decode, encode, iou, match  # noqa: E402
from harness_detection.params import Level, MultiscaleDetectorParams  # noqa: E402

PARAMS = MultiscaleDetectorParams()


def boxes(rng, count, size=200):
    low = rng.uniform(0, size / 2, (count, 2))
    return np.concatenate([low, low + rng.uniform(4, size / 2, (count, 2))], axis=1).astype(np.float32)


def test_anchors_of_the_default_levels():
    anchors = make_anchors((224, 224), PARAMS.levels, PARAMS.aspect_ratios)
    assert np.bincount(anchors.level).tolist() == [56 * 56 * 3, 28 * 28 * 3, 14 * 14 * 3]
    np.testing.assert_array_equal(anchors.boxes[0], [-6, -6, 10, 10])
    np.testing.assert_array_equal(anchors.boxes[4], [6 - 12, 2 - 12, 6 + 12, 2 + 12])  # second column, second scale
    np.testing.assert_array_equal(anchors.boxes[-1], [216 - 96, 216 - 96, 216 + 96, 216 + 96])
    assert level_names(PARAMS.levels, (224, 224)) == ("56x56", "28x28", "14x14")


def test_aspect_ratios_keep_the_area():
    levels = [Level(stride=16, scales=[20, 30])]
    anchors = make_anchors((32, 64), levels, [0.5, 1, 2])
    extent = anchors.boxes[:, 2:] - anchors.boxes[:, :2]
    assert len(anchors.boxes) == 2 * 4 * 6
    np.testing.assert_allclose(extent.prod(axis=1).reshape(-1, 6), [[400] * 3 + [900] * 3] * 8, rtol=1e-5)
    np.testing.assert_allclose((extent[:, 0] / extent[:, 1]).reshape(-1, 3), [[0.5, 1, 2]] * 16, rtol=1e-5)
    again = from_card({"anchors": describe(levels, [0.5, 1, 2])}, (32, 64))
    np.testing.assert_array_equal(again.boxes, anchors.boxes)


def test_offsets_are_inverted_and_follow_the_formula():
    rng = np.random.default_rng(0)
    truth, anchors = (torch.from_numpy(boxes(rng, 50)) for _ in range(2))
    offsets = encode(truth, anchors, (0.1, 0.2))
    torch.testing.assert_close(decode(offsets, anchors, (0.1, 0.2)), truth, rtol=0, atol=1e-3)
    one = encode(torch.tensor([[12.0, 10, 32, 50]]), torch.tensor([[10.0, 10, 30, 30]]), (0.1, 0.2))
    torch.testing.assert_close(one, torch.tensor([[2 / 20 / 0.1, 10 / 20 / 0.1, 0, np.log(2) / 0.2]],
                                                 dtype=torch.float32))


def test_overlaps_agree_with_numpy():
    rng = np.random.default_rng(1)
    first, second = boxes(rng, 30), boxes(rng, 20)
    np.testing.assert_allclose(iou(torch.from_numpy(first), torch.from_numpy(second)), iou_matrix(first, second),
                               atol=1e-6)


def test_matching_follows_its_definition():
    rng = np.random.default_rng(2)
    anchors, truth = boxes(rng, 300), boxes(rng, 5)
    labels = np.array([2, 0, 1, 1, 0])
    found = match(torch.from_numpy(anchors), torch.from_numpy(truth), torch.from_numpy(labels), 0.5, 0.4)
    overlaps = iou_matrix(anchors, truth)
    forced = {}
    left = overlaps.copy()
    for _ in range(5):
        anchor, item = np.unravel_index(left.argmax(), left.shape)
        forced[anchor] = item
        left[anchor], left[:, item] = -1, -1
    for anchor, (label, box) in enumerate(zip(found.labels.tolist(), found.boxes.numpy(), strict=True)):
        best = overlaps[anchor].max()
        owner = forced.get(anchor, overlaps[anchor].argmax())
        expected = labels[owner] + 1 if anchor in forced or best >= 0.5 else -1 if best >= 0.4 else 0
        assert label == expected
        if label > 0:
            np.testing.assert_array_equal(box, truth[owner])


def test_each_object_has_an_anchor_even_if_none_fits():
    anchors = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    truth = torch.tensor([[0.0, 0, 100, 100], [0, 0, 90, 90]])
    assert sorted(match(anchors, truth, torch.tensor([0, 1]), 0.5, 0.4).labels.tolist()) == [1, 2]
    assert match(anchors, truth[:0], torch.zeros(0, dtype=torch.int64), 0.5, 0.4).labels.tolist() == [0, 0]


def test_hard_negatives_by_a_loop():
    torch.manual_seed(0)
    logits = torch.randn(3, 40, 4)
    labels = torch.randint(-1, 2, (3, 40)) * (torch.rand(3, 40) < 0.3)
    labels[2] = 0
    expected = 0.0
    for image in range(3):
        losses = -logits[image].log_softmax(1)
        positives = [a for a in range(40) if labels[image, a] > 0]
        negatives = sorted((losses[a, 0].item() for a in range(40) if labels[image, a] == 0), reverse=True)
        expected += sum(losses[a, labels[image, a]].item() for a in positives)
        expected += sum(negatives[: 3 * max(1, len(positives))])
    assert hard_negative_cross_entropy(logits, labels, 3.0).item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_by_its_formula():
    torch.manual_seed(1)
    logits, labels = torch.randn(2, 7, 3).double(), torch.randint(-1, 4, (2, 7))
    expected = 0.0
    for (image, anchor), label in np.ndenumerate(labels.numpy()):
        for c in range(3):
            p = 1 / (1 + np.exp(-logits[image, anchor, c].item()))
            p_true, alpha = (p, 0.25) if label == c + 1 else (1 - p, 0.75)
            expected += -alpha * (1 - p_true) ** 2 * np.log(p_true) if label >= 0 else 0
    assert focal_loss(logits, labels, 2.0, 0.25).item() == pytest.approx(expected, rel=1e-9)


def test_log_odds_do_not_saturate():
    logits = torch.tensor([[[0.0, 30.0, -5.0], [0.0, 31.0, -5.0]]])
    odds = softmax_log_odds(logits)
    assert (logits.softmax(-1)[0, :, 1] == 1).all()
    torch.testing.assert_close(odds[0, :, 0], torch.tensor([30.0, 31.0]), rtol=0, atol=0.01)
    small = torch.randn(1, 5, 4)
    torch.testing.assert_close(softmax_log_odds(small).sigmoid(), small.softmax(-1)[..., 1:])


def test_log_odds_equal_float64_up_to_their_limit():
    logits = torch.randn(2, 500, 4, generator=torch.Generator().manual_seed(0)) * 15
    exact = torch.stack([logits[..., c].double() - torch.cat([logits[..., :c], logits[..., c + 1 :]], -1).double()
                         .logsumexp(-1) for c in (1, 2, 3)], -1)
    assert exact.abs().max() < 87
    torch.testing.assert_close(softmax_log_odds(logits).double(), exact, rtol=0, atol=2e-5)
    beyond = softmax_log_odds(torch.tensor([[[0.0, 500.0, 0.0], [0.0, -500.0, 0.0]]]))
    assert beyond[0, 0, 0] > 87
    assert beyond[0, 0, 0].isfinite()
    assert beyond[0, 1, 0] < -87


@pytest.mark.parametrize("changes", [
    {}, {"loss": "focal"}, {"activations": True, "aspect_ratios": [0.5, 1.0]},
    {"levels": [{"stride": 8, "scales": [32]}, {"stride": 32, "scales": [64, 100]}], "classes": ["one", "two"]},
])
def test_shapes_of_any_configuration(changes):
    params = MultiscaleDetectorParams.model_validate({**changes, "size": 128})
    model = MultiscaleDetector(params)
    module = model.build().eval()
    outputs = model.predictor(module)(torch.rand(2, 3, 128, 128))
    count, classes = len(model.anchors.boxes), len(params.classes)
    expected = [(2, count, 4), (2, count, classes)] + [(2, 3, 32, 32)] * params.activations
    assert [tuple(output.shape) for output in outputs] == expected
    assert len(model.finish.input_names) == len(outputs)


def target(*labels):
    return DetectionTarget(boxes=np.array([[10, 10, 30, 30], [50, 50, 200, 200]], np.float32)[: len(labels)],
                           labels=labels, crowd=np.array([False, True])[: len(labels)])


def test_encoded_targets_leave_crowds_out_and_name_unknown_labels():
    model = MultiscaleDetector(PARAMS)
    fit = Fit(Size(224, 224), Size(224, 224), 1.0, 1.0, 0.0, 0.0)
    encoded = model.encode([target("circle", "triangle"), target()], [fit, fit])
    assert set(encoded["labels"][0].unique().tolist()) == {-1, 0, 1}
    assert (encoded["labels"][1] == 0).all()
    assert torch.isfinite(encoded["offsets"]).all()
    loss = model.loss(model.build()(torch.rand(2, 3, 224, 224)), encoded)
    assert torch.isfinite(loss)
    with pytest.raises(TaskMismatch, match=r'label "circles" is no class of the detector; did you mean "circle"'):
        model.encode([target("circles")], [fit])


@pytest.mark.parametrize(("changes", "message"), [
    ({"negative_iou": 0.6}, r"negative_iou 0\.6 exceeds positive_iou 0\.5"),
    ({"levels": [{"stride": 8, "scales": [8]}, {"stride": 4, "scales": [8]}]}, r"must increase, got \[8, 4\]"),
    ({"size": 230}, "size 230 is no multiple of the stride 16"),
    ({"classes": ["a", "a"]}, "names of classes must differ"),
    ({"levels": [{"stride": 5, "scales": [8]}]}, "stride"),
])
def test_bad_params_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        MultiscaleDetectorParams.model_validate(changes)
