"""torch as the backend that one would otherwise use: what an export is compared with."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import BackendSpec, hookimpl
from harness_torch.params import CompileParams, EagerParams


@hookimpl
def harness_backends() -> Iterable[BackendSpec]:
    return [
        BackendSpec(name="torch-eager", summary="torch in inference mode, channels last.", accepts="checkpoint",
                    params=EagerParams, factory="harness_torch.backend:EagerBackend"),
        BackendSpec(name="torch-compile", summary="torch.compile with frozen weights, channels last.",
                    accepts="checkpoint", params=CompileParams, factory="harness_torch.backend:CompileBackend"),
    ]
