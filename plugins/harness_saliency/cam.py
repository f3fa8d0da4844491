"""Class activation mapping (Zhou et al. 2016): one forward pass, no gradient."""

from __future__ import annotations

import onnx

from harness.api import ExplainerDraft, ModelCard, Rules
from harness_saliency.graph_generator import NoFeeds
from harness_saliency.graph_params import ActivationMapParams
from harness_saliency.head import pooled_head
from harness_saliency.maps import signed, upsampled


class Cam(NoFeeds):
    """map = sum_c weight[class, c] A[c], A the tensor that is pooled; the bias does not belong to any pixel.

    Zhou et al. 2016, equation 2. Raises ModelFileError for a network without global average pooling and a linear
    layer behind it.
    """

    def __init__(self, params: ActivationMapParams) -> None:
        self.params = params

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        draft = ExplainerDraft(graph, card, rules)
        head = pooled_head(draft.graph, draft.scores)
        layer_map = signed(draft.graph, head.weighted_sum(draft.graph, draft.class_index), self.params.sign)
        return draft.finish(upsampled(draft, layer_map, self.params.upsampling))
