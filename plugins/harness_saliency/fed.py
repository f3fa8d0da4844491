"""The model `saliency-fed`: image -> classifier -> saliency -> fourth channel -> segmentation network."""

from __future__ import annotations

import hashlib

import onnx
from pydantic import ValidationError

from harness.api import (
    GraphGenerator,
    ModelCard,
    ModelFile,
    ModelFileError,
    ModelRequest,
    SaliencySpec,
    cache_folder,
    create,
    did_you_mean,
    feed_saliency,
    load_card,
    model_sha256,
    of_predicted_class,
    one_of,
    package_sources,
    scores_graph,
    standard_rules,
    write_bytes,
)
from harness_saliency import graph_specs
from harness_saliency.fed_params import SaliencyFedParams


def locate(params: SaliencyFedParams, request: ModelRequest) -> ModelFile:
    """The composed file, made once for its parts and parameters and kept in the cache.

    Raises ModelFileError for parts that are missing or do not fit, and for any precision but fp32.
    """
    if request.precision != "fp32":
        raise ModelFileError(f"models.{request.id}: explanations are computed in fp32, not {request.precision}")
    key = hashlib.sha256(params.model_dump_json(exclude={"classifier", "segmenter"}).encode())
    key.update(package_sources("harness", "harness_saliency").encode())
    for path in (params.classifier, params.segmenter):
        if not path.is_file():
            raise ModelFileError(f"models.{request.id}: {path}: no such model file")
        key.update(model_sha256(path).encode())
    place = cache_folder() / "composed" / f"{key.hexdigest()[:20]}.onnx"
    if not place.is_file():
        write_bytes(place, composed(params, request.id).SerializeToString())
    return ModelFile(place)


def composed(params: SaliencyFedParams, name: str) -> onnx.ModelProto:
    """The whole graph. name: of the model in the suite, for messages."""
    spec, generator = _generator(params, name)
    card = load_card(ModelFile(params.classifier))
    if card.task != "classification":
        raise ModelFileError(f"models.{name}: {params.classifier} is a {card.task} model, a classifier is needed")
    if params.layer is not None:
        card = card.model_copy(update={"cam_layer": params.layer})
    scores = scores_graph(onnx.load(params.classifier), card, params.classifier).model
    explainer = of_predicted_class(generator.build(scores, card, standard_rules()), scores)
    if len(explainer.graph.input) > 1:
        raise ModelFileError(f'models.{name}: "{spec.name}" draws random numbers, which a model has no input for; use '
                             "another method")
    return feed_saliency(explainer, card, onnx.load(params.segmenter), _segmenter_card(params),
                         normalization=params.normalization)


def _segmenter_card(params: SaliencyFedParams) -> ModelCard:
    card = load_card(ModelFile(params.segmenter))
    if card.task != "segmentation":
        raise ModelFileError(f"{params.segmenter} is a {card.task} model, a segmentation network is needed")
    return card


def _generator(params: SaliencyFedParams, name: str) -> tuple[SaliencySpec, GraphGenerator]:
    known = {spec.name: spec for spec in graph_specs.specs()}
    if params.saliency not in known:
        raise ModelFileError(f"models.{name}: there is no method {params.saliency!r} that works inside of a graph"
                             f"{did_you_mean(params.saliency, known)}; one of {one_of(known, len(known))}")
    spec = known[params.saliency]
    try:
        checked = spec.params.model_validate(params.params)
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelFileError(f"models.{name}.params.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    generator: GraphGenerator = create(spec, checked)
    return spec, generator
