"""A policy that decides choice after choice, each by what was decided before: an LSTM. Knows no reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from controllers.policies.policy import Array, Indices, absent, drawn
from controllers.problem import Points

#: parameters are drawn uniformly from plus and minus this (Zoph et al. 2018, appendix)
SPREAD = 0.1


class Recurrent:
    """An LSTM over the choices, in their order, that sees the decision before and has a softmax per choice.

    Zoph and Le, Neural Architecture Search with Reinforcement Learning, 2017, arXiv:1611.01578; one layer of
    100 units as in Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, 2018,
    arXiv:1707.07012, whose controller MnasNet takes.

    Args:
        sizes: number of options of each choice.
        seed: of the first parameters.
        aims: how many; what is fed in for each decision is the embedding of the decision before plus, where
            there are several, one of the aim.
        units: size of the hidden state and of the embeddings.
        gain: of a bias for each option of each choice, and aim, which starts at 0, as `Independent`'s; 0 for
            no bias, as in the papers.
        dtype: of the parameters.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        seed: int,
        *,
        aims: int = 1,
        units: int = 100,
        gain: float = 0.0,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._absent = absent(sizes).astype(dtype)
        self._gain = gain
        self._units = units
        # a token for the start, then one for each option of each choice
        self._offsets = 1 + np.concatenate([[0], np.cumsum(sizes)])
        choices, options = self._absent.shape
        shapes = {
            "embedding": (int(self._offsets[-1]), units),
            "input": (units, 4 * units),
            "hidden": (units, 4 * units),
            "offset": (4 * units,),
            "heads": (choices, units, options),
        }
        if aims > 1:
            shapes["aims"] = (aims, units)
        if gain:
            shapes["bias"] = (aims, choices, options)
        self._shapes: Mapping[str, tuple[int, ...]] = shapes
        rng = np.random.default_rng(seed)
        first = [
            np.zeros(prod(shape)) if name == "bias" else rng.uniform(-SPREAD, SPREAD, prod(shape))
            for name, shape in shapes.items()
        ]
        self.parameters: Array = np.concatenate(first).astype(dtype)

    def sample(self, rng: np.random.Generator, count: int, aim: int = 0) -> Points:
        """Points drawn at random for an aim, [count, d]."""
        parts = self._parts()
        inputs, constant = self._inputs(parts), self._constant(parts, aim)
        if "aims" in parts:
            inputs = inputs + parts["aims"][aim] @ parts["input"]
        state = cell = np.zeros((count, self._units), self.parameters.dtype)
        points = np.zeros((count, len(self._absent)), np.int64)
        tokens = np.zeros(count, np.int64)
        for at, head in enumerate(parts["heads"]):
            gates = self._gates(inputs[tokens] + state @ parts["hidden"])
            cell, _, state = self._step(gates, cell)
            points[:, at] = drawn(state @ head + constant[at], rng)
            tokens = self._offsets[at] + points[:, at]
        return points

    def forward(self, points: Points, aims: Indices | None = None) -> tuple[Array, Callable[[Array], Array]]:
        """Logits [n, d, o] and backpropagation through time; see `Policy`."""
        count, choices = points.shape
        units, dtype = self._units, self.parameters.dtype
        parts = self._parts()
        hidden, heads, inputs = parts["hidden"], parts["heads"], self._inputs(parts)
        tokens = np.concatenate([np.zeros((count, 1), np.int64), self._offsets[:-2] + points[:, :-1]], axis=1)
        fed = inputs[tokens.T]  # [d, n, 4h]
        aims = np.zeros(count, np.int64) if aims is None else aims
        if "aims" in parts:
            fed += (parts["aims"] @ parts["input"])[aims]
        gates = np.empty((choices, count, 4 * units), dtype)
        squashed = np.empty((choices, count, units), dtype)
        states = np.zeros((choices + 1, count, units), dtype)
        cells = np.zeros((choices + 1, count, units), dtype)
        for at in range(choices):
            gates[at] = self._gates(fed[at] + states[at] @ hidden)
            cells[at + 1], squashed[at], states[at + 1] = self._step(gates[at], cells[at])
        logits = (states[1:] @ heads).transpose(1, 0, 2) + self._constant(parts, aims)

        def backward(slopes: Array) -> Array:
            by_choice = slopes.transpose(1, 0, 2)
            by_states = by_choice @ heads.transpose(0, 2, 1)
            by_gates = np.empty_like(gates)
            keep, take, show = (gates[..., part * units : (part + 1) * units] for part in range(3))
            new = gates[..., 3 * units :]
            # slope of each gate's own function, sigmoid or tanh, at its output
            own = np.where(np.arange(4 * units) < 3 * units, gates * (1 - gates), 1 - gates * gates)
            by_cell_of_state = show * (1 - squashed * squashed)
            by_state = by_cell = np.zeros((count, units), dtype)
            for at in reversed(range(choices)):
                by_state = by_state + by_states[at]
                by_cell = by_cell + by_state * by_cell_of_state[at]
                row = by_gates[at]
                row[:, :units] = by_cell * cells[at]
                row[:, units : 2 * units] = by_cell * new[at]
                row[:, 2 * units : 3 * units] = by_state * squashed[at]
                row[:, 3 * units :] = by_cell * take[at]
                row *= own[at]
                by_cell = by_cell * keep[at]
                by_state = row @ hidden.T
            flat = by_gates.reshape(-1, 4 * units)
            by_inputs = _summed(flat, tokens.T.ravel(), len(inputs))
            by_input = parts["embedding"].T @ by_inputs
            if "aims" in parts:
                by_aims = np.zeros((len(parts["aims"]), 4 * units), dtype)
                np.add.at(by_aims, aims, by_gates.sum(axis=0))
                by_input += parts["aims"].T @ by_aims
            gradients = [
                by_inputs @ parts["input"].T,
                by_input,
                states[:-1].reshape(-1, units).T @ flat,
                flat.sum(axis=0),
                states[1:].transpose(0, 2, 1) @ by_choice,
            ]
            if "aims" in parts:
                gradients.append(by_aims @ parts["input"].T)
            if "bias" in parts:
                by_bias = np.zeros(parts["bias"].shape, dtype)
                np.add.at(by_bias, aims, slopes)
                gradients.append(self._gain * by_bias)
            return np.concatenate([part.ravel() for part in gradients])

        return logits, backward

    def _parts(self) -> Mapping[str, Array]:
        """Views of the parameters; not kept, since copies of a policy would lose them."""
        ends = np.cumsum([prod(shape) for shape in self._shapes.values()])
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(
                self._shapes.items(), np.split(self.parameters, ends[:-1]), strict=True
            )
        }

    @staticmethod
    def _inputs(parts: Mapping[str, Array]) -> Array:
        """What each token adds to the gates, [tokens, 4h]."""
        return parts["embedding"] @ parts["input"] + parts["offset"]

    def _constant(self, parts: Mapping[str, Array], aims: Indices | int) -> Array:
        """What is added to the heads' logits for aims [n] or one aim, [n, d, o] or [d, o]."""
        if "bias" not in parts:
            return self._absent
        constant: Array = self._absent + self._gain * parts["bias"][aims]
        return constant

    def _gates(self, before: Array) -> Array:
        """Forget, input and output gates, sigmoids, and the new content, a tanh; [n, 4h]."""
        units = self._units
        before[:, : 3 * units] *= 0.5  # sigmoid(x) = (1 + tanh(x / 2)) / 2: one call for all four
        after = np.tanh(before, out=before)
        after[:, : 3 * units] *= 0.5
        after[:, : 3 * units] += 0.5
        return after

    def _step(self, gates: Array, cell: Array) -> tuple[Array, Array, Array]:
        """The cell, its tanh, and the state after it; each [n, h]."""
        units = self._units
        cell = gates[:, :units] * cell + gates[:, units : 2 * units] * gates[:, 3 * units :]
        squashed = np.tanh(cell)
        return cell, squashed, gates[:, 2 * units : 3 * units] * squashed


def _summed(rows: Array, groups: Indices, count: int) -> Array:
    """Sums of rows [n, k] by the group of each [n], [count, k]; several times as fast as `np.add.at`."""
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    sums = np.zeros((count, rows.shape[1]), rows.dtype)
    sums[present] = np.add.reduceat(rows[order], starts, axis=0)
    return sums
