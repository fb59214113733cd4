"""Least squares on many rows at once: by one factorisation where a model is linear, else by Levenberg and Marquardt.

Rows lie along the last axis; what is not held does not count. A row that does not determine the parameters, and one
for which no end was found, has no result: NaN. All is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Model = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]

TILE = 2**20  # numbers of one array at a time
MOST_STEPS = 200
_CLOSE = 1.5e-8  # the relative change of costs or parameters below which a fit has ended
_STEP = math.sqrt(np.finfo(np.float64).eps)
_LEAST_PIVOT = 1e-12  # of a normal matrix of columns of length one: as small, a column depends on those before it
_LARGEST_DAMPING = 1e16


class Design(NamedTuple):
    """A model that is linear: what it gives without parameters, and its columns as an orthonormal basis times R."""

    offset: np.ndarray
    basis: np.ndarray
    triangle: np.ndarray
    columns: np.ndarray


def design(model: Model, x: np.ndarray, count: int) -> Design | None:
    """The parts of a linear model of so many parameters; None where it is not finite or its columns depend."""
    # One row without parameters, and one for each of them: the model is asked but once.
    rows = np.vstack([np.zeros(count), np.eye(count)])
    offset, *made = _evaluated(model, x, [column[:, None] for column in rows.T], count + 1)
    columns = np.stack(made, axis=1) - offset[:, None]
    if len(x) < count or not (np.isfinite(columns).all() and np.isfinite(offset).all()):
        return None
    lengths = np.linalg.norm(columns, axis=0)
    if not lengths.all():
        return None
    basis, triangle = np.linalg.qr(columns / lengths)
    if np.abs(np.diag(triangle)).min() < _LEAST_PIVOT:
        return None
    return Design(offset, basis, triangle, lengths)


def linear(values: np.ndarray, held: np.ndarray, parts: Design | None, count: int) -> np.ndarray:
    """The parameters of a linear model for each row, by least squares.

    Rows without gaps are one product of matrices. The others have normal equations of their own, in the basis that
    all share; one step of refinement makes up for their squared condition.
    """
    out = np.full((len(values), count), np.nan)
    if parts is None:
        return out
    offset, basis, triangle, lengths = parts
    whole = held.all(axis=1)
    solution = np.full_like(out, np.nan)
    solution[whole] = (values[whole] - offset) @ basis
    gapped = np.flatnonzero(~whole & (held.sum(axis=1) >= count))
    if gapped.size:
        weights = held[gapped].astype(np.float64)
        wanted = np.where(held[gapped], values[gapped] - offset, 0)
        pairs = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
        factor = _cholesky((weights @ pairs).reshape(-1, count, count))
        first = _solved(factor, wanted @ basis)
        rest = wanted - weights * (first @ basis.T)
        solution[gapped] = first + _solved(factor, rest @ basis)
    # The triangle is that of all rows, and small: solved for all at once.
    out[...] = np.linalg.solve(triangle, solution.T).T / lengths
    return out


def nonlinear(
    values: np.ndarray, held: np.ndarray, model: Model, x: np.ndarray, guess: Sequence[float], most: int = MOST_STEPS
) -> np.ndarray:
    """The parameters of any model for each row, by least squares from a guess; each row ends by itself."""
    count = len(guess)
    out = np.full((len(values), count), np.nan)
    rows = np.flatnonzero(held.sum(axis=1) >= count)
    wanted = np.where(held[rows], values[rows], 0)
    state = _State(rows, wanted, held[rows], np.tile(np.asarray(guess, np.float64), (len(rows), 1)))
    state.residuals = state.left(model, x, state.parameters)
    state.costs = _squares(state.residuals)
    state.keep(np.isfinite(state.costs))
    for _ in range(most):
        if not len(state.rows):
            break
        ended = _step(state, model, x)
        out[state.rows[ended]] = state.parameters[ended]
        state.keep(~ended)
    return out


class _State:
    """The rows that have not ended yet."""

    def __init__(self, rows: np.ndarray, wanted: np.ndarray, held: np.ndarray, parameters: np.ndarray):
        self.rows, self.wanted, self.held, self.parameters = rows, wanted, held, parameters
        self.damping = np.full(len(rows), 1e-3)
        self.scales = np.zeros_like(parameters)
        self.residuals = self.costs = np.empty(0)

    def left(self, model: Model, x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """What the model leaves of the values."""
        made = _evaluated(model, x, [column[:, None] for column in parameters.T], len(parameters))
        return np.where(self.held, self.wanted - made, 0)

    def keep(self, which: np.ndarray) -> None:
        if not which.all():
            for name, held in vars(self).items():
                setattr(self, name, held[which])


def _step(state: _State, model: Model, x: np.ndarray) -> np.ndarray:
    """Try one step for each row; which rows have ended with it."""
    slopes = _slopes(state, model, x)
    normal = slopes.transpose(0, 2, 1) @ slopes
    gradient = (slopes.transpose(0, 2, 1) @ state.residuals[..., None])[..., 0]
    diagonal = np.diagonal(normal, axis1=1, axis2=2)
    state.scales = np.maximum(state.scales, diagonal)
    scales = np.where(state.scales > 0, state.scales, 1)
    lengths = np.sqrt(scales)
    damped = normal / (lengths[:, :, None] * lengths[:, None, :])
    damped[:, range(damped.shape[1]), range(damped.shape[1])] += state.damping[:, None]
    change = _solved(_cholesky(damped), gradient / lengths) / lengths
    trial = state.parameters + change
    residuals = state.left(model, x, trial)
    costs = _squares(residuals)
    better = costs <= state.costs
    # As MINPACK has it: the costs neither fell nor could have fallen, or the parameters hardly moved.
    foreseen = (change * (gradient + state.damping[:, None] * scales * change)).sum(axis=1)
    settled = (np.abs(state.costs - costs) <= _CLOSE * state.costs) & (foreseen <= _CLOSE * state.costs)
    moved = np.sqrt((scales * change**2).sum(axis=1))
    still = moved <= _CLOSE * np.sqrt((scales * state.parameters**2).sum(axis=1))
    state.parameters = np.where(better[:, None], trial, state.parameters)
    state.residuals = np.where(better[:, None], residuals, state.residuals)
    state.costs = np.where(better, costs, state.costs)
    state.damping = np.where(better, np.maximum(state.damping / 10, 1e-14), np.maximum(state.damping, 1e-7) * 10)
    return settled | still | (state.costs == 0) | (state.damping > _LARGEST_DAMPING)


def _slopes(state: _State, model: Model, x: np.ndarray) -> np.ndarray:
    """How the model changes with each parameter, by differences."""
    found = np.empty((*state.wanted.shape, state.parameters.shape[1]))
    for number in range(state.parameters.shape[1]):
        moved = state.parameters.copy()
        old = moved[:, number].copy()
        moved[:, number] += np.where(old == 0, _STEP, _STEP * np.abs(old))
        width = moved[:, number] - old
        found[..., number] = (state.residuals - state.left(model, x, moved)) / width[:, None]
    return np.where(np.isfinite(found), found, 0)


def _squares(residuals: np.ndarray) -> np.ndarray:
    costs = np.einsum("nt,nt->n", residuals, residuals)
    return np.where(np.isnan(costs), np.inf, costs)


def _evaluated(model: Model, x: np.ndarray, parameters: Sequence[np.ndarray], rows: int) -> np.ndarray:
    made = np.asarray(model(x, parameters), np.float64)
    return np.broadcast_to(made, (rows, len(x)))


def _cholesky(matrices: np.ndarray) -> np.ndarray:
    """The lower factors of many small matrices at once; NaN for one that has none."""
    factor = np.zeros_like(matrices)
    for column in range(matrices.shape[1]):
        known = factor[:, column, :column]
        pivot = matrices[:, column, column] - (known**2).sum(axis=1)
        root = np.sqrt(np.where(pivot > _LEAST_PIVOT * matrices[:, column, column], pivot, np.nan))
        factor[:, column, column] = root
        below = factor[:, column + 1 :, :column] @ known[:, :, None]
        factor[:, column + 1 :, column] = (matrices[:, column + 1 :, column] - below[..., 0]) / root[:, None]
    return factor


def _solved(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve with the factors of many small matrices at once."""
    solution = right.copy()
    size = factor.shape[1]
    for row in range(size):
        solution[:, row] -= (factor[:, row, :row] * solution[:, :row]).sum(axis=1)
        solution[:, row] /= factor[:, row, row]
    for row in reversed(range(size)):
        solution[:, row] -= (factor[:, row + 1 :, row] * solution[:, row + 1 :]).sum(axis=1)
        solution[:, row] /= factor[:, row, row]
    return solution
