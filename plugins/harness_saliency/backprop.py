"""Gradients of a score by the image."""

from __future__ import annotations

import onnx

from harness.api import ExplainerDraft, ModelCard, Modifier, Rules
from harness_saliency.gradcam import GradCam
from harness_saliency.graph_generator import NoFeeds
from harness_saliency.graph_params import GradCamParams, GuidedGradCamParams, ImageGradientParams
from harness_saliency.maps import image_map, upsampled


class Backprop(NoFeeds):
    """The gradient of the score by the image. Simonyan et al. 2014, section 3."""

    modifier: Modifier = "gradient"

    def __init__(self, params: ImageGradientParams) -> None:
        self.params = params

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        draft = ExplainerDraft(graph, card, rules)
        return draft.finish(image_map(draft, self.attribution(draft), self.params.channels, self.params.sign))

    def attribution(self, draft: ExplainerDraft) -> str:
        """A tensor of the image's shape."""
        return draft.gradients([draft.image], modifier=self.modifier)[0]


class Deconv(Backprop):
    """Activations pass positive gradients only, whatever they were. Zeiler and Fergus 2014, section 2.1."""

    modifier = "deconv"


class GuidedBackprop(Backprop):
    """Activations pass positive gradients only, where they were positive. Springenberg et al. 2015, figure 1."""

    modifier = "guided"


class InputXGradient(Backprop):
    """Image times gradient. Shrikumar et al. 2016."""

    def attribution(self, draft: ExplainerDraft) -> str:
        return draft.graph.add("Mul", draft.image, super().attribution(draft))


class GuidedGradCam(Backprop):
    """Guided backpropagation times the upsampled Grad-CAM. Selvaraju et al. 2017, figure 2."""

    modifier = "guided"
    params: GuidedGradCamParams

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        draft = ExplainerDraft(graph, card, rules, needs_layer=True)
        return draft.finish(image_map(draft, self.attribution(draft), self.params.channels, self.params.sign))

    def attribution(self, draft: ExplainerDraft) -> str:
        cam = GradCam(GradCamParams(upsampling=self.params.upsampling))
        region = upsampled(draft, cam.layer_map(draft), self.params.upsampling)
        axis = draft.graph.constant([draft.channel_axis], "int64")
        gradient = draft.graph.float32(super().attribution(draft))
        return draft.graph.add("Mul", gradient, draft.graph.add("Unsqueeze", region, axis))
