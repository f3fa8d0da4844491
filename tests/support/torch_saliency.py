"""Saliency by torch's autograd and hooks, one image at a time: what graphs are held against."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.GELU, nn.SiLU)


def bend(net: nn.Module, modifier: str) -> None:
    """Guided backpropagation or the deconvolutional network, by hooks on activation modules."""
    for module in net.modules():
        if isinstance(module, RECTIFIERS):
            outputs: list[Tensor] = []
            module.register_forward_hook(lambda _m, _i, output, outputs=outputs: outputs.append(output.detach()))
            if modifier == "guided":
                module.register_full_backward_pre_hook(lambda _m, gradients: (gradients[0].clamp(min=0),))
                module.register_full_backward_hook(
                    lambda _m, inner, _o, outputs=outputs: (inner[0] * (outputs.pop() > 0),))
            else:
                module.register_full_backward_hook(lambda _m, _i, outer: (outer[0].clamp(min=0),))


class Oracle:
    """Maps (N, H, W) of one network, in float64 unless the network has another type."""

    def __init__(self, net: nn.Module, layer: str) -> None:
        self.net, self.layer = copy.deepcopy(net).double().eval(), layer

    def maps(self, method: str, images: np.ndarray, classes: np.ndarray, **options: object) -> np.ndarray:
        """options: keyword arguments of the method's function below; arrays have one row per image."""
        found = []
        for index, (image, label) in enumerate(zip(images, classes, strict=True)):
            own = {key: value[index] if isinstance(value, np.ndarray) else value for key, value in options.items()}
            found.append(METHODS[method](self, torch.from_numpy(image[None]).double(), int(label), **own)[0])
        return torch.stack(found).numpy()

    def score(self, image: Tensor, label: int) -> float:
        with torch.no_grad():
            return float(self.net(image)[0, label])

    def gradient(self, image: Tensor, label: int, modifier: str = "gradient") -> Tensor:
        net = self.net
        if modifier != "gradient":
            net = copy.deepcopy(self.net)
            bend(net, modifier)
        image = image.clone().requires_grad_()
        return torch.autograd.grad(net(image)[0, label], image)[0]

    def at_layer(self, image: Tensor, label: int) -> tuple[Tensor, Tensor]:
        """Activations and gradient, (1, C, h, w)."""
        kept: list[Tensor] = []
        hook = self.net.get_submodule(self.layer).register_forward_hook(lambda _m, _i, output: kept.append(output))
        score = self.net(image.clone().requires_grad_())[0, label]
        hook.remove()
        return kept[0].detach(), torch.autograd.grad(score, kept[0])[0]


Function = Callable[..., Tensor]


def largest(attribution: Tensor) -> Tensor:
    return attribution.abs().amax(1)


def enlarged(layer_map: Tensor, image: Tensor) -> Tensor:
    """(1, h, w) -> (1, H, W)."""
    return F.interpolate(layer_map[None], image.shape[2:], mode="bilinear", align_corners=False)[0]


def backprop(oracle: Oracle, image: Tensor, label: int) -> Tensor:
    return largest(oracle.gradient(image, label))


def deconv(oracle: Oracle, image: Tensor, label: int) -> Tensor:
    return largest(oracle.gradient(image, label, "deconv"))


def guided_backprop(oracle: Oracle, image: Tensor, label: int) -> Tensor:
    return largest(oracle.gradient(image, label, "guided"))


def input_x_gradient(oracle: Oracle, image: Tensor, label: int) -> Tensor:
    return (image * oracle.gradient(image, label)).sum(1)


def integrated_gradients(oracle: Oracle, image: Tensor, label: int, places: list[float],
                         weights: list[float], baseline: float = 0.0) -> Tensor:
    start = torch.full_like(image, baseline)
    mean = sum(weight * oracle.gradient(start + place * (image - start), label)
               for place, weight in zip(places, weights, strict=True))
    return ((image - start) * mean).sum(1)


def smoothgrad(oracle: Oracle, image: Tensor, label: int, noise: np.ndarray, sigma: float, variant: str) -> Tensor:
    range_ = image.max() - image.min()
    gradients = torch.stack([oracle.gradient(image + sigma * range_ * torch.from_numpy(each).double(), label)
                             for each in noise])
    if variant == "variance":
        return largest(gradients.var(0, correction=0))
    return largest((gradients**2 if variant == "squared" else gradients).mean(0))


def expected_gradients(oracle: Oracle, image: Tensor, label: int, alpha: np.ndarray, baselines: np.ndarray) -> Tensor:
    total = torch.zeros_like(image)
    for weight, each in zip(alpha, baselines, strict=True):
        baseline = torch.from_numpy(each).double()
        total += (image - baseline) * oracle.gradient(baseline + float(weight) * (image - baseline), label)
    return (total / len(alpha)).sum(1)


def _layer_method(weigh: Callable[[Tensor, Tensor], Tensor]) -> Function:
    """Without rectification."""

    def method(oracle: Oracle, image: Tensor, label: int) -> Tensor:
        layer, gradient = oracle.at_layer(image, label)
        return enlarged((weigh(layer, gradient) * layer).sum(1), image)

    return method


def _mean(layer: Tensor, gradient: Tensor) -> Tensor:
    return gradient.mean((2, 3), keepdim=True)


def _plus_plus(layer: Tensor, gradient: Tensor) -> Tensor:
    """As the authors' code computes it."""
    bottom = 2 * gradient**2 + layer.sum((2, 3), keepdim=True) * gradient**3
    alpha = gradient**2 / torch.where(bottom != 0, bottom, 1)
    return (alpha * gradient.clamp(min=0)).sum((2, 3), keepdim=True)


def _axiom(layer: Tensor, gradient: Tensor) -> Tensor:
    total = layer.sum((2, 3), keepdim=True)
    share = layer / torch.where(total != 0, total, 1)
    return (share * gradient).sum((2, 3), keepdim=True)


def guided_grad_cam(oracle: Oracle, image: Tensor, label: int) -> Tensor:
    layer, gradient = oracle.at_layer(image, label)
    region = enlarged((_mean(layer, gradient) * layer).sum(1).clamp(min=0), image)
    return largest(oracle.gradient(image, label, "guided") * region[:, None])


def eigen_cam(oracle: Oracle, image: Tensor, label: int, center: bool = False) -> Tensor:
    layer, _ = oracle.at_layer(image, label)
    matrix = layer[0].flatten(1).T
    if center:
        matrix = matrix - matrix.mean(0)
    projection = matrix @ torch.linalg.svd(matrix)[2][0]
    projection = projection * projection[projection.abs().argmax()].sign()
    return enlarged(projection.reshape(1, *layer.shape[2:]), image)


METHODS: dict[str, Function] = {
    "backprop": backprop, "deconv": deconv, "guided-backprop": guided_backprop, "input-x-gradient": input_x_gradient,
    "integrated-gradients": integrated_gradients, "smoothgrad": smoothgrad, "expected-gradients": expected_gradients,
    "grad-cam": _layer_method(_mean), "grad-cam++": _layer_method(_plus_plus), "xgrad-cam": _layer_method(_axiom),
    "hires-cam": _layer_method(lambda layer, gradient: gradient),
    "layer-cam": _layer_method(lambda layer, gradient: gradient.clamp(min=0)),
    "guided-grad-cam": guided_grad_cam, "eigen-cam": eigen_cam,
}
