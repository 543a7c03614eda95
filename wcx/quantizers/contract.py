"""The contract of a quantizer: the answers that it must give, and those that it inherits.

A quantizer turns a tensor of any real dtype into planes of bits. It never sees the weights: it is given the dtype and
exact statistics, and returns a rule that workers apply to raw codes.

- `needs` names the statistics of the finite values that it wants (range, means, quantiles); one pass computes them.
- `fit` makes of these Statistics a Fit: plain numbers, which the report prints as they are.
- `cut` makes of a dtype and a Fit a PlaneRule: one CodeSet a plane where a plane is a set of values above or below
  some bound, so that nothing is decoded; a UniformRule or a BitRule where the planes are the bits of a number.
- `planes` names the planes, in the order of the rule; `refuses` gives the reason why a dtype has none.

The same dtype and Fit must give the same rule, and a Fit must not depend on anything but the statistics: the rows of a
tensor are cut on different machines. NaN must fall in a plane by rule, never by accident.

A quantizer is one file: a frozen dataclass of its parameters, whose `name` is the text that parses to an equal one, a
function that parses the parameters, and a Kind of both, which is registered under its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from wcx.core.dtypes import DType, PlaneRule
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Needs(NamedTuple):
    """The statistics that a quantizer must have of a tensor. quantiles: which, each from 0 to 1.

    float32_rank: compute the rank of a quantile in float32, as torch.quantile does.
    """

    range: bool = False
    mean: bool = False
    mean_abs: bool = False
    quantiles: tuple[float, ...] = ()
    float32_rank: bool = False


NOTHING = Needs()
"""The needs of a quantizer that looks at each weight on its own."""


class Quantizer(Protocol):
    """A quantizer with its parameters."""

    @property
    def name(self) -> str:
        """The specification in full, as the report prints it."""

    @property
    def zero(self) -> str | None:
        """The bit of a weight of 0, `zero` or `one`; None where the quantizer leaves no choice."""
        return None

    @property
    def stored(self) -> bool:
        """True where it takes integer codes as they are stored, whatever their zero point."""
        return False

    @property
    def needs(self) -> Needs:
        """The statistics that `fit` needs."""
        return NOTHING

    def refuses(self, dtype: DType) -> str | None:
        """Return the reason why tensors of a dtype can't be cut, or None."""
        return None

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Return the names of the planes of a tensor of that dtype."""

    def fit(self, statistics: Statistics) -> Fit:
        """Return the parameters for a tensor: plain numbers, by which every weight can be cut on its own."""
        return Fit()

    def cut(self, dtype: DType, fit: Fit) -> PlaneRule:
        """Return the rule by which the codes of a tensor become its planes."""

    def recompute(
        self, values: NDArray[np.float64], finite: NDArray[np.float64]
    ) -> Mapping[str, NDArray[np.bool_]] | None:
        """Return the planes by name for `wcx verify`, made of numbers alone; None where wcx's own are to be taken.

        values: a matrix of weights; each plane has its shape. finite: all finite values of the tensor.
        """
        return None


@runtime_checkable
class QuantizerKind(Protocol):
    """An entry of the registry: a name, a line for `wcx kinds`, and the reading of parameters."""

    @property
    def name(self) -> str:
        """The word before the colon."""

    @property
    def summary(self) -> str:
        """A line for `wcx kinds`."""

    def parse(self, parameters: str | None) -> Quantizer:
        """Make a quantizer from what follows the name and a colon; raise UsageError if it is not valid."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A QuantizerKind of a function that parses."""

    name: str
    summary: str
    parse: Callable[[str | None], Quantizer]


def kind_without_parameters(quantizer: Quantizer, summary: str) -> Kind:
    """Return the kind of the one quantizer of that name."""

    def parse(parameters: str | None) -> Quantizer:
        if parameters is not None:
            raise UsageError(f"{quantizer.name} takes no parameters, not {parameters!r}")
        return quantizer

    return Kind(quantizer.name, summary, parse)


def bit_names(bits: int) -> tuple[str, ...]:
    """Return the names of planes that are the bits of a number, bit0 the least significant."""
    return tuple(f"bit{bit}" for bit in range(bits))
