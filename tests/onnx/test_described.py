"""What is known of a model file from its graph, its own card, and settings."""

import pytest

from harness.api import ModelCard, ModelFileError
from harness.described import described_card
from harness.errors import UsageError
from harness.onnx.metadata import write_card


def with_card(model, **spec):
    write_card(model, ModelCard.model_validate({"task": "classification", "input": {"size": [8, 6], **spec}}))
    return model


def test_the_graph_says_size_layout_and_color(make_model, save):
    card = described_card(save(make_model()), {"range": [0, 1]})
    found = (card.task, card.input.size, card.input.layout, card.input.color)
    assert found == ("classification", (8, 6), "NCHW", "RGB")
    card = described_card(save(make_model(layout="NHWC")), {"range": [0, 1]})
    assert (card.input.size, card.input.layout) == ((8, 6), "NHWC")
    model = make_model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    assert described_card(save(model), {"range": [0, 1]}).input.color == "GRAY"


def test_settings_go_over_the_card_of_the_file(make_model, save):
    path = save(with_card(make_model(), mean=[0.5] * 3, std=[0.2] * 3, fit="crop"))
    assert described_card(path, {}).input.mean == [0.5] * 3
    card = described_card(path, {"range": [-1, 1]})
    assert (card.input.range, card.input.mean, card.input.std, card.input.fit) == ((-1, 1), None, None, "crop")
    card = described_card(path, {"std": [0.3] * 3, "mean": [0.4] * 3, "labels": ["a", "b", "c", "d"]})
    assert (card.input.std, card.labels) == ([0.3] * 3, ["a", "b", "c", "d"])
    assert described_card(path, {"input": {"fit": "stretch"}}).input.fit == "stretch"
    # A card without a scale means [0, 1]: it says so by being there.
    assert described_card(save(with_card(make_model())), {}).input.range is None


def test_nothing_is_guessed(make_model, save):
    with pytest.raises(ModelFileError, match="how pixels are scaled"):
        described_card(save(make_model()), {"fit": "crop"})
    model = make_model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ModelFileError, match="at which size"):
        described_card(save(model), {"range": [0, 1]})
    assert described_card(save(model), {"range": [0, 1], "size": 32}).input.size == (32, 32)
    with pytest.raises(UsageError, match=r'rnage.*did you mean "range"'):
        described_card(save(make_model()), {"rnage": [0, 1]})
    with pytest.raises(ModelFileError, match="unknown task 'clasification'"):
        described_card(save(make_model()), {"range": [0, 1], "task": "clasification"})
    with pytest.raises(ModelFileError, match="description is invalid: input.range"):
        described_card(save(make_model()), {"range": 3})
