"""What works inside of a graph: gradients of a score by the image or by a layer, and class activation maps."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import Params, SaliencySpec
from harness_saliency.graph_params import (
    GRADIENT_PASSES,
    ActivationMapParams,
    EigenCamParams,
    ExpectedGradientsParams,
    GradCamParams,
    GuidedGradCamParams,
    ImageGradientParams,
    IntegratedGradientsParams,
    LrpParams,
    SmoothGradParams,
    SummedGradientParams,
)

_LINEAR = "linear-half-pixel"


def specs() -> Iterable[SaliencySpec]:
    return [*_of_the_image(), *_over_points(), *_of_a_layer()]


def _of_the_image() -> Iterable[SaliencySpec]:
    return [
        _spec("backprop", "Gradient of the score by the image (Simonyan 2014).", "backprop:Backprop",
              ImageGradientParams, GRADIENT_PASSES, "max-abs"),
        _spec("deconv", "Activations pass positive gradients only (Zeiler 2014).", "backprop:Deconv",
              ImageGradientParams, GRADIENT_PASSES, "max-abs"),
        _spec("guided-backprop", "Activations pass positive gradients of positive values only (Springenberg 2015).",
              "backprop:GuidedBackprop", ImageGradientParams, GRADIENT_PASSES, "max-abs"),
        _spec("input-x-gradient", "Image times gradient (Shrikumar 2016).", "backprop:InputXGradient",
              SummedGradientParams, GRADIENT_PASSES, "sum"),
        _spec("lrp", "Layer-wise relevance propagation of convolutional networks (Bach 2015).", "lrp:Lrp", LrpParams,
              3.5, "sum", "epsilon-plus"),
        _spec("guided-grad-cam", "Guided backpropagation times Grad-CAM (Selvaraju 2017).", "backprop:GuidedGradCam",
              GuidedGradCamParams, GRADIENT_PASSES, "max-abs", _LINEAR),
    ]


def _over_points() -> Iterable[SaliencySpec]:
    return [
        _spec("integrated-gradients", "Gradients on the path from a baseline (Sundararajan 2017).",
              "paths:IntegratedGradients", IntegratedGradientsParams, None, "sum", "zero-baseline"),
        _spec("smoothgrad", "Gradients under Gaussian noise (Smilkov 2017).", "paths:SmoothGrad", SmoothGradParams,
              None, "max-abs"),
        _spec("expected-gradients", "Integrated gradients over random baselines (Erion 2021).",
              "expected:ExpectedGradients", ExpectedGradientsParams, None, "sum"),
    ]


def _of_a_layer() -> Iterable[SaliencySpec]:
    return [
        _spec("cam", "Class activation map of a network with global average pooling (Zhou 2016).", "cam:Cam",
              ActivationMapParams, 1.0, _LINEAR),
        _spec("eigen-cam", "First principal component of a layer; knows no class (Muhammad 2020).",
              "eigencam:EigenCam", EigenCamParams, 1.0, _LINEAR),
        _spec("grad-cam", "A layer weighted by its mean gradient (Selvaraju 2017).", "gradcam:GradCam", GradCamParams,
              1.0, "relu", _LINEAR),
        _spec("grad-cam++", "A layer weighted by its positive gradients (Chattopadhay 2018).",
              "gradcam:GradCamPlusPlus", GradCamParams, 1.0, "relu", _LINEAR),
        _spec("xgrad-cam", "A layer weighted by its gradient times activation (Fu 2020).", "gradcam:XGradCam",
              GradCamParams, 1.0, "relu", _LINEAR),
        _spec("hires-cam", "A layer times its gradient (Draelos 2020).", "gradcam:HiResCam", GradCamParams, 1.0, "relu",
              _LINEAR),
        _spec("layer-cam", "A layer times its positive gradients (Jiang 2021).", "gradcam:LayerCam", GradCamParams, 1.0,
              "relu", _LINEAR),
    ]


def _spec(name: str, summary: str, factory: str, params: type[Params], passes: float | None,
          *conventions: str) -> SaliencySpec:
    return SaliencySpec(name=name, summary=summary, params=params, graph=True, passes=passes, conventions=conventions,
                        factory=f"harness_saliency.{factory}")
