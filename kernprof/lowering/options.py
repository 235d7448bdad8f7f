"""What decides how layers become launches."""

from __future__ import annotations

from dataclasses import dataclass

from kernprof.errors import ShapeError, UnknownNameError
from kernprof.lowering.launch import Direction, Lowering, Phase, kernel_specs
from kernprof.networks.infer import MAX_INDEX
from kernprof.networks.ir import Engine


@dataclass(frozen=True, slots=True)
class LoweringOptions:
    """Switches of a lowering; the defaults are what ``caffe time`` does with a deploy file.

    Parameters
    ----------
    lowering
        The way of turning layers into launches.
    direction
        FORWARD, BACKWARD or BOTH passes.
    batch
        Images per launch sequence.
    phase
        TRAIN or TEST. ``caffe time`` runs TRAIN unless told otherwise.
    engine
        What Caffe's default engine is: CUDNN when it was built with it, else CAFFE. A layer that
        names an engine keeps it.
    batch_statistics
        Overrides where BatchNorm takes its statistics from: True from the batch, False from the
        stored ones; None as the network says (``BatchNorm.global_stats``).
    data_gradients
        Whether gradients of the layers' inputs are computed, for all inputs that depend on a
        parameter. None: with ``caffe`` only in layers that lead to a loss layer, so in a deploy
        file nowhere (``Net::Init`` of BVLC/caffe); with the other lowerings everywhere.
    sm_count
        Streaming multiprocessors of the GPU that cuDNN's tiles are chosen for; by default those of
        the reference paper's Tesla P100.
    sgemm, depthwise, pointwise
        Which of the registry's variants stand for the matrix product and the direct kernels.
    """

    lowering: Lowering = Lowering.CAFFE
    direction: Direction = Direction.BOTH
    batch: int = 1
    phase: Phase = Phase.TRAIN
    engine: Engine = Engine.CUDNN
    batch_statistics: bool | None = None
    data_gradients: bool | None = None
    sm_count: int = 56
    sgemm: str = "sgemm_register"
    depthwise: str = "depthwise_tiled"
    pointwise: str = "pointwise_register"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ShapeError(f"batch is {self.batch}; it must be at least 1")
        if self.batch > MAX_INDEX:
            raise ShapeError(f"batch is more than {MAX_INDEX}, the most that kernels can index")
        if self.sm_count < 1:
            raise ShapeError(f"sm_count is {self.sm_count}; it must be at least 1")
        if self.engine is Engine.DEFAULT:
            raise ShapeError("engine says what the default engine is; it must be cudnn or caffe")
        for family in ("sgemm", "depthwise", "pointwise"):
            name: str = getattr(self, family)
            variants = [
                spec.name
                for spec in kernel_specs().values()
                if spec.family == family and "backward" not in spec.name
            ]
            if name not in variants:
                raise UnknownNameError(f"{family} kernel", name, variants)

    @property
    def wants_data_gradients(self) -> bool:
        """Whether gradients of inputs are computed, for a layer that leads to no loss."""
        if self.data_gradients is None:
            return self.lowering is not Lowering.CAFFE
        return self.data_gradients

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The single passes that ``direction`` stands for."""
        if self.direction is Direction.BOTH:
            return (Direction.FORWARD, Direction.BACKWARD)
        return (self.direction,)
