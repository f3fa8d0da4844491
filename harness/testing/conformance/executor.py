"""Executors: every group is answered for, whatever happens to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from harness.contracts import Executor, Progress
from harness.results import CellResult
from harness.specs import ExecutorSpec
from harness.testing.conformance.expect import expect


@dataclass(frozen=True, slots=True)
class ProbeGroup:
    """A group that does what its name says: "fine", "raises" or "dies"; picklable, as groups must be."""

    name: str
    exclusive: bool = False

    @property
    def keys(self) -> Sequence[str]:
        return [f"accuracy/probe/{self.name}/{part}" for part in ("first", "second")]

    def execute(self, progress: Progress, *, fresh_process: bool = False) -> list[CellResult]:  # noqa: ARG002
        progress(self.keys[0], 1, 2)
        if self.name.startswith("raises"):
            raise RuntimeError("the probe raises")
        if self.name.startswith("dies"):
            os._exit(7)
        return self._results("ok")

    def failed(self, error_type: str, message: str) -> list[CellResult]:
        expect(error_type and message, "an executor must say why a group failed")
        return self._results("failed")

    def _results(self, status: str) -> list[CellResult]:
        fields = {"id": "0", "kind": "accuracy", "status": status, "model": "m", "precision": "fp32", "backend": "b"}
        return [CellResult.model_validate({"key": key, **fields}) for key in self.keys]


def check_executor(spec: ExecutorSpec, executor: Executor, *, isolated: bool) -> None:
    """Each cell of each group is answered once.

    isolated: also try a group that raises and one that kills its process: they give failed results and harm no other;
    for executors with processes of their own.
    """
    names = ["fine-1", *(["raises", "dies"] if isolated else []), "fine-2"]
    groups = [ProbeGroup(name, exclusive=name == "fine-2") for name in names]
    seen: list[str] = []

    def progress(key: str, done: int, total: int) -> None:  # noqa: ARG001
        seen.append(key)

    results = [result for each in executor.run(groups, progress) for result in each]
    answered = sorted(result.key for result in results)
    expect(answered == sorted(key for group in groups for key in group.keys), f"{spec.name}: answered for {answered}")
    for result in results:
        wanted = "ok" if "fine" in result.key else "failed"
        expect(result.status == wanted, f"{spec.name}: {result.key} is {result.status}, expected {wanted}")
    expect(seen, f"{spec.name}: progress never arrived")
    expect(list(executor.run([], progress)) == [], f"{spec.name}: results for no group")
