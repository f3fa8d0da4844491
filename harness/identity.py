"""What determines an outcome, as hashes: cell ids and cache keys.

A hash covers versions and params of the plugins involved, the sources of their packages (so that editing a plugin in
place is noticed), the bytes of the model file and of its external weights, the dataset's fingerprint, and seeds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness import __version__
from harness.contracts import Dataset, ModelFile, ModelRequest
from harness.errors import ModelFileError
from harness.host import blame, call, create
from harness.plan import Cell
from harness.specs import Spec
from harness.suite import BackendEntry, DatasetEntry, MetricEntry, ModelEntry, SaliencyEntry


def digest(value: Any) -> str:
    """20 hexadecimal digits over the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def locate_model(entry: ModelEntry, precision: str, tell: Callable[[str], None] | None = None) -> ModelFile:
    """The ONNX file of a suite's model; one of another precision is made from the float32 file where there is none.

    tell: is told when one is made, which may take a minute. Raises ModelFileError when there is no file and none can be
    made.
    """
    try:
        return _located(entry, precision)
    except ModelFileError:
        if precision == "fp32":
            raise
        source = _located(entry, "fp32")
    from harness import variants

    return variants.cached(entry.id, source, precision, entry.calibration, tell)


def _located(entry: ModelEntry, precision: str) -> ModelFile:
    request = ModelRequest(id=entry.id, precision=precision, export=entry.export, folders=entry.folders,
                           export_id=entry.spec.export_id, train=entry.train)
    file: ModelFile = call(entry.spec, entry.spec.locate, entry.params, request)
    if not Path(file.path).is_file():
        raise ModelFileError(f'model "{entry.id}": {file.path}: no such model file')
    return file


def of_dataset(entry: DatasetEntry, dataset: Dataset, seed: int) -> dict[str, Any]:
    """A dataset as transformed by the suite, with the files it reads."""
    with blame(entry.spec):
        files = dataset.fingerprint()
    return {**_of_plugin(entry.spec, entry.params), "transforms": list(entry.transforms),
            "seed": seed if entry.transforms else None, "files": files, "harness": _sources("harness")}


def of_model(file: ModelFile) -> dict[str, Any]:
    """A model file and what is known about it, files of labels included."""
    from harness.onnx.models import load_card

    path = Path(file.path)
    return {"sha256": file_sha256(path), "card": load_card(file)}


def file_sha256(path: Path) -> str:
    """Hexadecimal hash of a model file's bytes, with its external weights; see harness.onnx.external.model_sha256."""
    from harness.onnx.external import model_sha256

    return model_sha256(path)


def of_backend(entry: BackendEntry) -> dict[str, Any]:
    """A backend with the versions that can change its numbers."""
    return {**_of_plugin(entry.spec, entry.params), "versions": create(entry.spec, entry.params).versions()}


def of_metric(entry: MetricEntry) -> dict[str, Any]:
    """A metric with its params."""
    return _of_plugin(entry.spec, entry.params)


def of_predictions(cell: Cell, dataset: Mapping[str, Any], file: ModelFile) -> dict[str, Any]:
    """What the predictions of a cell depend on; the same for every metric. dataset: as `of_dataset` gives it."""
    identity = {"dataset": dataset, "model": of_model(file), "precision": cell.precision,
                "backend": of_backend(cell.backend)}
    if cell.saliency is not None:
        identity["saliency"] = {**_of_saliency(cell.saliency), "layer": cell.saliency.layer,
                                "target": cell.target, "seed": cell.seed}
    return identity


def _of_saliency(entry: SaliencyEntry) -> dict[str, Any]:
    """A generator with its params, the files that it says it reads, and the gradient rules of plugins."""
    facts = _of_plugin(entry.spec, entry.params)
    with blame(entry.spec):
        fingerprint = getattr(create(entry.spec, entry.params), "fingerprint", None)
        facts["files"] = fingerprint() if fingerprint else ""
    if entry.rules:
        facts["rules"] = [{**_of_plugin(rule, None), "domain": rule.domain} for rule in entry.rules]
    return facts


def of_timing(cell: Cell, file: ModelFile) -> dict[str, Any]:
    """What a latency cell depends on, apart from the machine."""
    if cell.latency is None:
        raise ValueError(f"{cell.key} is no latency cell")
    return {"model": of_model(file), "precision": cell.precision, "backend": of_backend(cell.backend),
            "scenario": _of_plugin(cell.latency.spec, cell.latency.params), "batch": cell.latency.batch,
            "threads": cell.latency.threads, "seed": cell.seed, "harness": _sources("harness")}


def _of_plugin(spec: Spec, params: Any) -> dict[str, Any]:
    package = (spec.factory or getattr(spec, "locate", "")).partition(".")[0].partition(":")[0]
    return {"role": spec.role, "name": spec.name, "provider": str(spec.provider), "params": params,
            "sources": _sources(package)}


def package_sources(*packages: str) -> str:
    """Changes when a Python file of one of these top-level packages does."""
    return digest([_sources(package) for package in packages])


@lru_cache(maxsize=64)
def _sources(package: str) -> str:
    """Hash over the Python files of a top-level package or module; its version alone would miss edits in place."""
    if package == "harness":
        return __version__ + _hash_files(Path(__file__).parent)
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a script, or a module made at run time
        return ""
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin)
    return _hash_files(origin.parent if origin.name == "__init__.py" else origin)


def _hash_files(root: Path) -> str:
    files = sorted(root.rglob("*.py")) if root.is_dir() else [root]
    total = hashlib.sha256()
    for file in files:
        if file.is_file():
            total.update(file.name.encode())
            total.update(file.read_bytes())
    return total.hexdigest()[:20]


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return {"type": type(value).__name__, **value.model_dump(mode="json")}
    if isinstance(value, frozenset | set):
        return sorted(value)
    return str(value)
