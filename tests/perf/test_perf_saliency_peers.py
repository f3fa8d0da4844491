"""Saliency as a graph against captum and pytorch-grad-cam: the same network, image and class, alternated in one run.

Maps are compared before anything is timed. CPU time at one thread, otherwise elapsed time; medians of rounds. The price
in forward passes is the harness's own and holds on any CPU. How many times faster than torch that is depends on how
much faster onnxruntime's forward pass is on that CPU, so the ratio is held against this one; whether it reaches BAR is
recorded.
pytorch-grad-cam joins where it is installed: pip install --no-deps grad-cam ttach opencv-python-headless.
"""

import statistics
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("captum", reason="captum is not installed: pip install --group peers")

from zoo import CLASSES, MobileNet, export, randomized, same_values  # noqa: E402

from harness.api import InputSpec, ModelCard  # noqa: E402
from harness.host import create  # noqa: E402
from harness.onnx.gradient import standard_rules  # noqa: E402
from harness.onnx.runtime import onnxruntime  # noqa: E402
from harness.onnx.scores import scores_graph  # noqa: E402
from harness_classification.nets import CamCnn, ResNet, Vgg  # noqa: E402
from harness_saliency.graph_specs import specs  # noqa: E402

pytestmark = [pytest.mark.perf, pytest.mark.filterwarnings("ignore")]  # of the peers and of torch
ROUNDS, TARGET = 9, 3
NETS = {
    "resnet18": (lambda: ResNet(18, CLASSES), "layer4", 224),
    "vgg16": (lambda: Vgg(16, CLASSES, (224, 224)), "features.29", 224),
    "mobilenet": (MobileNet, "head", 224),
    "cam-cnn": (lambda: CamCnn(CLASSES, (32, 64, 96)), "features", 96),
}
METHODS = ("grad-cam", "backprop", "guided-backprop", "deconv")
MOST_FORWARDS = {"grad-cam": 1.1, "backprop": 2.4, "guided-backprop": 2.4, "deconv": 2.4}
BAR = {"grad-cam": 1.9, "backprop": 1.6, "guided-backprop": 1.6, "deconv": 1.6}
"""Times faster than captum, for ResNet-18 with one image and one thread."""
LEAST_RATIO = 1.2
"""Times faster than captum, on any CPU."""
LEAST_SHARE = {"grad-cam": 0.9, "backprop": 0.8, "guided-backprop": 0.8, "deconv": 0.8}
"""Of what the forward passes themselves differ by. A backward pass has more in it that no runtime does faster."""
REPORTED = [("resnet18", 8, 1), ("resnet18", 1, 2), ("vgg16", 1, 1), ("mobilenet", 1, 1), ("mobilenet", 8, 1),
            ("cam-cnn", 1, 1), ("cam-cnn", 8, 1)]


@pytest.fixture(scope="module")
def case():
    """case(network, batch, threads) -> calls by name: "forward", each method, and "captum <method>"."""
    made = {}
    before = torch.get_num_threads()

    def make(name, batch, threads):
        torch.set_num_threads(threads)
        if (name, batch, threads) not in made:
            made.clear()  # one network in memory at a time
            made[name, batch, threads] = calls_of(name, batch, threads)
        return made[name, batch, threads]

    yield make
    torch.set_num_threads(before)


def calls_of(name, batch, threads):
    build, layer, size = NETS[name]
    net = randomized(build(), name)
    model = export(net, "torchscript", size=size)
    card = ModelCard(task="classification", input=InputSpec(size=(size, size), range=(-1, 1)),
                     cam_layer=same_values(model, net, layer, size))
    model = scores_graph(model, card, Path("model.onnx")).model
    image = np.random.default_rng(0).normal(size=(batch, 3, size, size)).astype(np.float32)
    classes = np.full(batch, TARGET)
    calls = {"forward": runner(model, threads, {"image": image})}
    for spec in specs():
        if spec.name in METHODS:
            graph = create(spec, spec.params()).build(model, card, standard_rules())
            calls[spec.name] = runner(graph, threads, {"image": image, "class": classes})
    tensor = torch.from_numpy(image)
    return {**calls, "torch forward": inference(net, tensor), **captum_calls(net, layer, tensor),
            **grad_cam_calls(net, layer, tensor)}


def runner(model, threads, feeds):
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime().InferenceSession(model.SerializeToString(), options)
    return lambda: session.run(None, feeds)[0]


def inference(net, image):
    def call():
        with torch.inference_mode():
            return net(image)

    return call


def captum_calls(net, layer, image):
    from captum.attr import Deconvolution, GuidedBackprop, LayerAttribution, LayerGradCam, Saliency

    cam = LayerGradCam(net, net.get_submodule(layer))
    size = tuple(image.shape[2:])

    def fresh():
        return image.clone().requires_grad_()

    def reduced(attributed):
        return attributed.abs().amax(1).detach().numpy()

    return {
        "captum grad-cam": lambda: LayerAttribution.interpolate(
            cam.attribute(fresh(), target=TARGET, relu_attributions=True), size, "bilinear")[:, 0].detach().numpy(),
        "captum backprop": lambda: reduced(Saliency(net).attribute(fresh(), target=TARGET, abs=False)),
        "captum guided-backprop": lambda: reduced(GuidedBackprop(net).attribute(fresh(), target=TARGET)),
        "captum deconv": lambda: reduced(Deconvolution(net).attribute(fresh(), target=TARGET)),
    }


def grad_cam_calls(net, layer, image):
    """Of pytorch-grad-cam, where it is installed; it scales its maps to [0, 1], so they are not compared."""
    for name, *attributes in (("torchvision",), ("torchvision.transforms", "Compose", "Normalize", "ToTensor"),
                              ("torchvision.transforms.functional", "resize"),
                              ("sklearn",), ("sklearn.decomposition", "KernelPCA", "NMF")):
        if name not in sys.modules:  # imported, but not used by these methods
            sys.modules[name] = types.ModuleType(name)
            for attribute in attributes:
                setattr(sys.modules[name], attribute, None)
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError:
        return {}
    cam = GradCAM(model=net, target_layers=[net.get_submodule(layer)])
    targets = [ClassifierOutputTarget(TARGET)] * len(image)
    return {"pytorch-grad-cam grad-cam": lambda: cam(input_tensor=image.clone().requires_grad_(), targets=targets)}


def median_seconds(calls, rounds, clock):
    """By call; every round runs each of them once, in turn."""
    seconds = {name: [] for name in calls}
    for index in range(-1, rounds):
        for name, call in calls.items():
            start = clock()
            call()
            if index >= 0:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compared(calls, methods=METHODS):
    for method in methods:
        ours, theirs = calls[method](), calls[f"captum {method}"]()
        assert ours.shape == theirs.shape
        assert np.linalg.norm(ours - theirs) <= 1e-2 * np.linalg.norm(theirs)


def report(capsys, benchmark, name, batch, threads, medians):
    forward = medians["forward"]
    lines = [f"\n{name}, batch {batch}, {threads} thread(s): forward {1e3 * forward:.1f} ms, torch's "
             f"{1e3 * medians['torch forward']:.1f} ms"]
    for method in METHODS:
        ratios = {peer.split()[0]: seconds / medians[method] for peer, seconds in medians.items()
                  if peer.endswith(f" {method}")}
        told = ", ".join(f"{ratio:.2f}x {peer}" for peer, ratio in ratios.items())
        lines.append(f"  {method}: {medians[method] / forward:.2f} forwards, {told}")
        benchmark.extra_info[method] = {"forwards": round(medians[method] / forward, 3),
                                        **{peer: round(ratio, 3) for peer, ratio in ratios.items()}}
    with capsys.disabled():
        print("\n".join(lines))  # noqa: T201


def test_resnet18(case, benchmark, capsys):
    calls = case("resnet18", 1, 1)
    compared(calls)
    medians = median_seconds(calls, ROUNDS, time.process_time)
    report(capsys, benchmark, "resnet18", 1, 1, medians)
    for method in METHODS:
        assert medians[method] <= MOST_FORWARDS[method] * medians["forward"]
        ratio = medians[f"captum {method}"] / medians[method]
        benchmark.extra_info[method]["bar"] = f"{BAR[method]} {'reached' if ratio >= BAR[method] else 'not reached'}"
        assert ratio >= LEAST_RATIO
        assert ratio >= LEAST_SHARE[method] * medians["torch forward"] / medians["forward"]
    benchmark.pedantic(calls["backprop"], rounds=3)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batch", "threads"), REPORTED)
def test_other_networks_are_reported(case, benchmark, capsys, name, batch, threads):
    calls = case(name, batch, threads)
    # captum bends the gradient of ReLU alone, the harness that of HardSwish, too.
    compared(calls, ("grad-cam", "backprop") if name == "mobilenet" else METHODS)
    clock = time.process_time if threads == 1 else time.perf_counter
    report(capsys, benchmark, name, batch, threads, median_seconds(calls, 5, clock))
    benchmark.pedantic(calls["grad-cam"], rounds=1)
