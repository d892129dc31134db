"""The maximum of a smooth function of a few parameters, found to the last digits.

A bounded quasi-Newton search comes near from several starts; Newton's steps on the analytic
gradient then go to where it vanishes, because a likelihood is too flat at its top for its value
to tell the sixth digit of a parameter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regulars.value.cells import Floats

Objective = Callable[[Floats], tuple[float, Floats]]
"""Value and gradient of what is maximised; per member, so that they are of the order of 1."""

NDArrayInt = NDArray[np.intp]

_STEP_TOLERANCE = 1e-10
_NEWTON_STEPS = 50
_DIFFERENCE = 1e-5
_AGREEMENT = 1e-9


class FitFailed(ValueError):
    """The likelihood has no maximum that could be found; ``reason`` is a word for the record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Maximum:
    """Where the function is largest.

    Attributes:
        at: the parameters, as the objective takes them.
        value: the objective there.
        is_at_bound: some parameter stands at the edge of what is allowed.
    """

    at: Floats
    value: float
    is_at_bound: bool


def maximise(
    objective: Objective, starts: Sequence[Sequence[float]], lower: Floats, upper: Floats
) -> Maximum:
    """Find the maximum within bounds; deterministic for the same objective.

    Args:
        objective: what to maximise.
        starts: points to begin from, tried in order until two agree.
        lower: smallest value of each parameter.
        upper: largest value of each parameter.

    Raises:
        FitFailed: from no start was a maximum reached.
    """
    best: Maximum | None = None
    for start in starts:
        found = _climb(objective, np.asarray(start, dtype=np.float64), lower, upper)
        if found is None:
            continue
        if best is not None and abs(found.value - best.value) <= _AGREEMENT:
            return best
        if best is None or found.value > best.value:
            best = found
    if best is None:
        raise FitFailed("not_converged")
    return best


def _climb(objective: Objective, start: Floats, lower: Floats, upper: Floats) -> Maximum | None:
    from scipy.optimize import minimize

    def falling(at: Floats) -> tuple[float, Floats]:
        value, gradient = objective(at)
        return -value, -gradient

    near = minimize(
        falling,
        np.clip(start, lower, upper),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(lower, upper, strict=True)),
        options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9},
    )
    at = np.clip(np.asarray(near.x, dtype=np.float64), lower, upper)
    return _polish(objective, at, lower, upper) if np.all(np.isfinite(at)) else None


def _polish(objective: Objective, at: Floats, lower: Floats, upper: Floats) -> Maximum | None:
    """Newton's steps over the parameters that no bound holds; None when they do not settle."""
    value, gradient = objective(at)
    for _ in range(_NEWTON_STEPS):
        held = ((at <= lower) & (gradient < 0)) | ((at >= upper) & (gradient > 0))
        free = np.flatnonzero(~held)
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return None
        if free.size == 0:
            return Maximum(at, value, is_at_bound=True)
        step = _newton_step(_curvature(objective, at, free), gradient[free])
        moved, size = _advance(objective, at, free, step, (lower, upper), value)
        if size <= _STEP_TOLERANCE:
            return Maximum(moved, objective(moved)[0], is_at_bound=bool(held.any()))
        at = moved
        value, gradient = objective(at)
    return None


def _curvature(objective: Objective, at: Floats, free: NDArrayInt) -> Floats:
    """Second derivatives in the free parameters, by central differences of the gradient."""
    matrix = np.empty((free.size, free.size))
    for row, index in enumerate(free):
        shift = np.zeros_like(at)
        shift[index] = _DIFFERENCE
        ahead, behind = objective(at + shift)[1], objective(at - shift)[1]
        matrix[row] = (ahead[free] - behind[free]) / (2 * _DIFFERENCE)
    return (matrix + matrix.T) / 2


def _newton_step(curvature: Floats, gradient: Floats) -> Floats:
    """Newton's step, uphill whatever the curvature: directions that bend upwards are turned."""
    values, vectors = np.linalg.eigh(-curvature)
    safe = np.maximum(np.abs(values), 1e-9)
    step: Floats = vectors @ ((vectors.T @ gradient) / safe)
    return np.clip(step, -1.0, 1.0)


def _advance(
    objective: Objective,
    at: Floats,
    free: NDArrayInt,
    step: Floats,
    bounds: tuple[Floats, Floats],
    value: float,
) -> tuple[Floats, float]:
    """The point after the longest part of the step that does not lead down, and its length."""
    scale = 1.0
    while True:
        moved = at.copy()
        moved[free] += scale * step
        moved = np.clip(moved, *bounds)
        size = float(np.abs(moved - at).max())
        # So near the top, the value's own rounding decides: the gradient is to be trusted.
        if size <= 1e-6 or objective(moved)[0] >= value:
            return moved, size
        scale /= 2
