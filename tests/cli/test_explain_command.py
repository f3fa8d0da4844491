"""`harness explain`: on shipped models, on small graphs, and on everything that can be wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from harness.geometry import prepare
from harness.photographs import read_photograph

EXPORTS = Path(__file__).parents[2] / "exports"
CAM_CNN = EXPORTS / "cam-cnn" / "model.fp32.onnx"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photograph(tmp_path):
    """photograph("a.jpg", size=(60, 80)): a bright disc on noise."""

    def make(name="scene.png", size=(60, 80), seed=0):
        rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[: size[0], : size[1]]
        disc = (rows - size[0] * 0.4) ** 2 + (columns - size[1] * 0.6) ** 2 < (min(size) * 0.3) ** 2
        pixels = rng.integers(0, 60, (*size, 3)) + 180 * disc[..., None] * np.array([1, 0.6, 0.2])
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
        return tmp_path / name

    return make


def network(path, *, size=(16, 12), ends=(), outputs=("logits",), middle="Relu", bias=(0.0, 0.0, 0.0)):
    """Image (N,3,h,w) -> convolution, `middle`, mean over space, 3 logits; then further nodes."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    head = rng.normal(size=(3, 4)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["image", "weights"], ["c"], pads=[1, 1, 1, 1], name="conv"),
             helper.make_node(middle, ["c"], ["maps"], name="middle"),
             helper.make_node("ReduceMean", ["maps", "space"], ["pooled"], keepdims=0),
             helper.make_node("Gemm", ["pooled", "head", "bias"], ["logits"], transB=1)]
    last = "logits"
    for number, kind in enumerate(ends):
        nodes.append(helper.make_node(kind, [last], [f"end{number}"], name=kind.lower()))
        last = f"end{number}"
    names = [last if name == "logits" else name for name in outputs]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, *size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(head, "head"),
         numpy_helper.from_array(np.array(bias, np.float32), "bias"),
         numpy_helper.from_array(np.array([2, 3]), "space")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def test_a_shipped_model_explains_a_photograph_without_any_option(cli, photograph, tmp_path):
    done = cli("explain", CAM_CNN, photograph(), "--method", "grad-cam")
    assert (done.code, done.err) == (0, "")
    card = json.loads(next(e.value for e in onnx.load(CAM_CNN).metadata_props if e.key == "harness"))
    best = done.out.splitlines()[0].partition(": ")[2].split(" | ")
    assert len(best) == 3
    assert {each.split()[0] for each in best} <= set(card["labels"])
    shares = [float(each.split()[-1]) for each in best]
    assert shares == sorted(shares, reverse=True)
    assert f"explained: {best[0].split()[0]} (class " in done.out
    assert "layer: cam_layer\n" in done.out
    with Image.open(tmp_path / "explanation.png") as picture:
        assert picture.size == (80, 60)


def test_maps_are_raw_and_equal_those_of_an_exported_explainer(cli, photograph, tmp_path):
    path = photograph()
    done = cli("explain", CAM_CNN, path, "--method", "grad-cam", "--class", "star", "--save-map", "deep/map.npy",
               "--export", "out/explainer.onnx")
    assert done.code == 0, done.err
    assert not (tmp_path / "explanation.png").exists()
    assert "explainer: out/explainer.onnx (" in done.out
    map_ = np.load(tmp_path / "deep" / "map.npy")
    card = json.loads(next(e.value for e in onnx.load(CAM_CNN).metadata_props if e.key == "harness"))
    from harness.card import ModelCard

    inputs, _ = prepare([read_photograph(path)], ModelCard.model_validate(card).input)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "explainer.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["saliency"]
    batch = np.concatenate([inputs, inputs[..., ::-1]])
    index = card["labels"].index("star")
    (maps,) = session.run(None, {session.get_inputs()[0].name: batch, "class": np.array([index, 0])})
    np.testing.assert_allclose(maps[0], map_, atol=1e-5 * np.abs(map_).max())
    facts = json.loads(session.get_modelmeta().custom_metadata_map["harness.explainer"])
    assert (facts["method"], facts["layer"], facts["input"]["size"]) == ("grad-cam", "cam_layer", [96, 96])


def test_an_explainer_may_share_the_weights_of_the_model(cli, photograph, tmp_path):
    (tmp_path / "models").mkdir()
    base = tmp_path / "models" / "base.onnx"
    base.write_bytes(CAM_CNN.read_bytes())
    common = ["explain", base, photograph(), "--method", "backprop", "--save-map", "map.npy", "--export"]
    done = cli(*common, "shared.onnx", "--share-weights")
    assert done.code == 0, done.err
    assert "with the weights in" in done.out
    assert cli(*common, "whole.onnx").code == 0
    assert (tmp_path / "shared.onnx").stat().st_size < 0.2 * (tmp_path / "whole.onnx").stat().st_size
    done = cli(*common, "elsewhere/shared.onnx", "--share-weights")
    assert done.code == 3
    assert "have to lie in the folder of the graph or below" in done.err
    assert "--share-weights belongs to --export" in cli("explain", base, "--method", "backprop",
                                                        "--share-weights").err


def test_an_explainer_is_exported_without_a_photograph(cli, tmp_path):
    done = cli("explain", CAM_CNN, "--method", "smoothgrad", "--export", "explainer.onnx")
    assert done.code == 0, done.err
    assert (tmp_path / "explainer.onnx").is_file()
    assert "input: class int64" in done.out


def test_an_explainer_that_says_something_else_is_noticed_without_a_photograph(cli, monkeypatch):
    from harness import explainer_file

    monkeypatch.setattr(explainer_file, "run_fitted", lambda *_: {"saliency": np.zeros((1, 96, 96), np.float32)})
    done = cli("explain", CAM_CNN, "--method", "backprop", "--export", "explainer.onnx")
    assert "the exported explainer gives other maps than the method" in done.err
    assert done.code != 0


@pytest.mark.parametrize("method", ["grad-cam", "smoothgrad"])
@pytest.mark.parametrize("kind", ["batch of 4", "float16"])
def test_explainers_of_models_with_other_inputs_are_checked_as_they_are_run(cli, photograph, tmp_path, kind, method):
    model = onnx.load(network(tmp_path / "model.onnx"))
    graph = model.graph
    if kind == "float16":
        for tensor in [each for each in graph.initializer if each.data_type == TensorProto.FLOAT]:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
        for value in (*graph.input, *graph.output):
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    else:
        graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, str(tmp_path / "model.onnx"))
    done = cli("explain", "model.onnx", photograph(), "--method", method, "--class", "1", "--input", "range=[0, 1]",
               "--input", 'task="classification"', "--export", "explainer.onnx")
    assert done.code == 0, done.err
    assert "output: saliency float32" in done.out


def test_several_photographs_classes_and_methods_give_a_contact_sheet(cli, photograph, tmp_path):
    paths = [photograph("wide.png", (60, 120)), photograph("high.jpg", (90, 60), seed=1)]
    done = cli("explain", CAM_CNN, *paths, "--method", "grad-cam", "--method", "random", "--method", "occlusion",
               "--top", "2", "--output", "sheet.png", "--save-map", "maps.npz")
    assert done.code == 0, done.err
    assert done.out.count("explained:") == 4
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 224
        assert sheet.height > 2 * 112 + 2 * 224
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as found:
        assert set(found) == {"ids", "classes", "grad-cam", "random", "occlusion"}
        assert found["ids"].tolist() == ["wide", "wide", "high", "high"]
        assert found["random"].shape == (4, 96, 96)
        np.testing.assert_array_equal(found["random"][0], found["random"][1])  # by the photograph, not the class
        assert (found["random"][0] != found["random"][2]).any()
        assert (found["grad-cam"][0] != found["grad-cam"][1]).any()


def test_saved_maps_are_read_by_precomputed(cli, photograph, tmp_path):
    paths = [photograph("a.png"), photograph("b.png", seed=1)]
    assert cli("explain", CAM_CNN, *paths, "--method", "grad-cam", "--save-map", "maps.npz").code == 0
    done = cli("explain", CAM_CNN, paths[1], "--method", "precomputed", "--param", "path=maps.npz", "--save-map",
               "again.npy")
    assert done.code == 0, done.err
    with np.load(tmp_path / "maps.npz") as found:
        np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), found["maps"][1])


def test_layers_are_listed_with_their_shapes(cli, tmp_path):
    done = cli("explain", network(tmp_path / "m.onnx"), "--list-layers", "--input", "range=0,1")
    assert done.code == 0, done.err
    assert "maps Relu (1, 4, 16, 12) default" in done.text
    done = cli("explain", network(tmp_path / "m.onnx", size=("h", "w")), "--list-layers", "--input", "range=0,1",
               "--input", "size=[20, 24]")
    assert "maps Relu (1, 4, 20, 24) default" in done.text


@pytest.mark.parametrize(("model", "options"), [
    ("heatmapnet", ["--class", "2"]), ("unet-cells", ["--class", "1"]), ("multiscale-detector", ["--class", "square"])])
def test_models_of_other_tasks(cli, photograph, tmp_path, model, options):
    done = cli("explain", EXPORTS / model / "model.fp32.onnx", photograph(), "--method", "backprop", *options,
               "--save-map", "map.npy", "--output", "map.png")
    assert done.code == 0, done.err
    assert ", score " in done.out
    assert np.ptp(np.load(tmp_path / "map.npy")) > 0


def test_a_final_softmax_is_said_to_be_left_out(cli, photograph, tmp_path):
    base = ["--method", "backprop", "--input", "range=[0, 1]", "--class", "1", "--save-map"]
    plain = cli("explain", network(tmp_path / "plain.onnx"), photograph(), *base, "plain.npy")
    assert plain.err == ""
    for kind in ("Softmax", "Sigmoid"):
        done = cli("explain", network(tmp_path / "end.onnx", ends=(kind,)), photograph(), *base, "end.npy")
        assert f"note: {kind} {kind.lower()} at the end is left out" in done.err
        np.testing.assert_array_equal(np.load("end.npy"), np.load("plain.npy"))
        session = onnxruntime.InferenceSession(tmp_path / "end.onnx", providers=["CPUExecutionProvider"])
        pixels = np.asarray(Image.open("scene.png").resize((12, 16), Image.Resampling.BILINEAR), np.float32) / 255
        (shares,) = session.run(None, {"image": pixels.transpose(2, 0, 1)[None]})
        assert f"(class 1), probability {shares[0, 1]:.3f}" in done.out


def test_a_constant_map_is_named_and_drawn_as_the_plain_photograph(cli, photograph, tmp_path):
    path = network(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(-np.ones((3, 4), np.float32), "head"))
    onnx.save(model, path)
    done = cli("explain", path, photograph(), "--method", "grad-cam", "--input", "range=0,1")
    assert done.code == 0
    assert "scene.png, grad-cam: the map is constant, 0 everywhere" in done.err
    pixels = np.asarray(Image.open(tmp_path / "explanation.png")).astype(int)
    assert np.ptp(pixels, axis=2).max() <= 1  # gray


def test_nothing_imports_torch(photograph, tmp_path):
    code = ("import sys\nfrom harness.cli import main\n"
            "try:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
            "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules")
    methods = ["grad-cam", "guided-backprop", "integrated-gradients", "score-cam", "kernel-shap", "eigen-cam"]
    arguments = [item for method in methods for item in ("--method", method)]
    done = subprocess.run([sys.executable, "-c", code, "explain", CAM_CNN, photograph(), *arguments, "--param",
                           "kernel-shap.samples=100"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "explanation.png").is_file()


# --- what can be wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "message"), [
    (["--class", "9"], "--class 9: the model has 6 classes, 0 to 5"),
    (["--class", "-1"], "--class -1: the model has 6 classes"),
    (["--class", "--5"], '--class "--5": the model has no such class'),
    (["--class", "\u00b2"], '--class "\u00b2": the model has no such class'),
    (["--class", "sqare"], '--class "sqare": the model has no such class; did you mean "square"?'),
    (["--layer", "cam_laier"], "did you mean \"cam_layer\"?"),
    (["--input", "sice=3"], '--input sice=...: there is no such key; did you mean "size"?'),
    (["--input", "size"], "--input size: write KEY=VALUE"),
    (["--input", "size=[10, 10]"], "gives (batch, 3, 10, 10), but the graph's input 'image' takes"),
    (["--input", "fit=squash"], "input.fit"),
    (["--param", "grad-cam.lair=3"], "--param grad-cam.lair: there is no such parameter"),
    (["--save-map", "map.txt"], "--save-map map.txt: name a .npy or .npz"),
    (["--output", "map.txt"], "--output map.txt: the picture can not be written"),
    (["--method", "rise", "--save-map", "map.npy", "--param", "rise.masks=8"], "2 maps go into a .npz"),
    (["--method", "rise", "--param", "mask=8"], '--param mask=8: write METHOD.KEY=VALUE'),
    (["--method", "rise", "--param", "rise.masks=x"], "--param rise.masks:"),
    (["--method", "grad-camm"], '--method grad-camm: there is no such method; did you mean "grad-cam"?'),
    (["--method", "rise", "--export", "x.onnx"], "--export: one explainer is one method, 2 are given"),
])
def test_wrong_options_are_explained(cli, photograph, options, message):
    done = cli("explain", CAM_CNN, photograph(), "--method", "grad-cam", *options)
    assert done.code in (2, 3)
    assert message in done.err, done.err
    assert "Traceback" not in done.err


def test_methods_on_the_host_can_not_be_exported(cli, photograph):
    done = cli("explain", CAM_CNN, "--method", "score-cam", "--export", "x.onnx")
    assert done.code == 2
    assert "--export: score-cam runs on the host" in done.err


def test_what_is_missing_is_asked_for(cli, photograph, tmp_path):
    path = network(tmp_path / "m.onnx")
    done = cli("explain", path, photograph(), "--method", "backprop")
    assert done.code == 3
    assert "how pixels are scaled" in done.err
    assert "--input range=[0,1]" in done.err
    free = network(tmp_path / "free.onnx", size=("height", "width"))
    done = cli("explain", free, photograph(), "--method", "backprop", "--input", "range=[0,1]")
    assert done.code == 3
    assert "free.onnx: nothing says at which size" in done.err
    assert "--input size=[224,224]" in done.err
    assert cli("explain", CAM_CNN, "--method", "random").text.endswith("name at least one photograph")
    assert "--method: name at least one of" in cli("explain", CAM_CNN, photograph()).err
    for name in ("no.jpg", "empty.jpg"):
        (tmp_path / "empty.jpg").touch()
        done = cli("explain", CAM_CNN, tmp_path / name, "--method", "random")
        assert (done.code, name in done.err) == (3, True)
    done = cli("explain", tmp_path / "no.onnx", photograph(), "--method", "random")
    assert (done.code, "no.onnx: no such model file" in done.err) == (3, True)


def test_two_outputs_are_told_apart_by_an_option(cli, photograph, tmp_path):
    path = network(tmp_path / "two.onnx", outputs=("logits", "pooled"))
    model = onnx.load(path)
    model.graph.output[0].name = model.graph.node[-1].output[0] = "first"
    onnx.save(model, path)
    base = ["explain", path, photograph(), "--method", "backprop", "--input", "range=[0,1]"]
    done = cli(*base)
    assert done.code == 3
    for part in ("first", "pooled", "--input outputs.logits=NAME"):
        assert part in done.err
    assert cli(*base, "--input", "outputs.logits=first").code == 0


def test_an_operator_without_a_rule_is_named(cli, photograph, tmp_path):
    path = network(tmp_path / "odd.onnx", middle="Hardmax")
    done = cli("explain", path, photograph(), "--method", "backprop", "--input", "range=[0,1]")
    assert done.code == 3
    assert "no gradient rule for operator 'Hardmax'" in done.err
    assert "middle" in done.err
    assert cli("explain", path, photograph(), "--method", "occlusion", "--input", "range=[0,1]").code == 0


def test_of_two_classes_with_one_name_the_index_is_asked_for(cli, photograph, tmp_path):
    (tmp_path / "labels.txt").write_text("crane\nowl\ncrane\n")
    base = ["explain", network(tmp_path / "m.onnx"), photograph(), "--method", "backprop", "--input", "range=0,1",
            "--input", "labels=labels.txt", "--class"]
    assert "2 classes have this name; give the index, one of 0, 2" in cli(*base, "crane").err
    assert "explained: owl (class 1)" in cli(*base, "OWL").out
    assert "explained: crane (class 2)" in cli(*base, "2").out


def test_values_of_options_are_toml_or_text():
    from harness.described import parse_settings

    found = parse_settings(["size=[1, 2]", "range=-1,1", "fit=crop", "outputs.logits=prob", "x=", 'labels="a=b"',
                            "input.size=3"], "--input")
    assert found == {"size": [1, 2], "range": [-1, 1], "fit": "crop", "outputs": {"logits": "prob"}, "x": "",
                     "labels": "a=b", "input": {"size": 3}}
