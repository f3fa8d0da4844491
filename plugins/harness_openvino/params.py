"""Parameters of the backend."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.api import Params


class OpenVinoParams(Params):
    """OpenVINO on the CPU."""

    precision_hint: Literal["f32", "bf16", "f16"] = "f32"
    """The type that float layers are computed in. OpenVINO's own default is bf16 wherever the CPU has it, which is not
    comparable to float32; integer layers of an int8 file are not concerned."""
    static_shapes: bool = True
    """Compile once more for the shapes that are timed, as one does where they never change; it saves allocations."""
    hyper_threading: bool = False
    """Let two threads share a core."""
    pinning: bool = False
    """Bind threads to cores: steadier alone on a machine, harmful beside anything else."""
    streams: int = Field(1, gt=0)
    """Requests that the plugin is prepared to run at a time."""
