"""What holds for everything of a kind, however many are registered: one check a kind, called by test_architecture.py.

A new measure, quantizer, format or output is held to this by being registered; its own tests pin what is its own.
"""

from __future__ import annotations

import copy
import io
import re
from fractions import Fraction
from math import isfinite

import numpy as np
import pytest
from strategies import DTYPE_NAMES, as_counts, bits_of, counts_of, random_plane, special_codes

from wcx.blocks.counts import BlockCounts
from wcx.core.comparison import Comparison, ModelSeries
from wcx.core.dtypes import DTYPES, CodeSet, DType
from wcx.core.errors import CheckpointError, UsageError
from wcx.core.measure import NUMBER_FORMATS, Measure
from wcx.core.scheme import Fit, Statistics
from wcx.formats.format import FileHead, Format, Match
from wcx.measures import AnyMeasure
from wcx.measures.compression import Compression
from wcx.measures.evidence import Evidence
from wcx.measures.statistics import UNIT_BITS, Moments
from wcx.measures.tables import load_table
from wcx.outputs import Output, View
from wcx.outputs.compare import WriteComparison
from wcx.quantizers import Quantizer, QuantizerKind

__all__ = ["check_comparison_output", "check_format", "check_measure", "check_output", "check_quantizer"]

UNITS = ("bits", "bits/block", "bits/weight", "blocks", "1", "")


# --------------------------------------------------------------------------------------------------------- measures


def check_measure(name: str, measure: AnyMeasure) -> None:
    """A name, a unit and a summary; of planes, a pure function of the counts that has the value of its example."""
    assert measure.name == name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert len(measure.summary) > 15
    if isinstance(measure, Measure):
        _check_of_planes(name, measure)
    elif isinstance(measure, Compression):
        compressor = measure.begin(1_000_000)
        size = len(compressor.compress(memoryview(bytes(1_000_000)))) + len(compressor.flush())
        assert abs(size - measure.example) <= measure.example // 10  # a library's version may differ a little
        assert measure.memory(1_000_000) > 0
    else:
        values, value = measure.example
        assert measure.evaluate(_moments(values)) == value


def _moments(values: tuple[float, ...]) -> Moments:
    """The exact moments of some values."""
    units = [int(Fraction(value) * (1 << UNIT_BITS)) for value in values if isfinite(value)]
    finite = [value for value in values if isfinite(value)]
    zeros = sum(value == 0 for value in values)
    squares = sum(unit * unit for unit in units)
    return Moments(
        len(values), zeros, len(values) - len(units), len(units), min(finite), max(finite), sum(units), squares
    )


def _check_of_planes(name: str, measure: Measure) -> None:
    assert measure.unit in UNITS
    assert measure.formula
    counts, value = measure.example
    ones = sum(code.bit_count() * count for code, count in counts.items())
    example = as_counts(dict(counts), 16 * sum(counts.values()), ones)
    assert measure.evaluate(Evidence(example, load_table("4x4"), 50)) == value
    for column in (*measure.columns, *(measure.null.columns if measure.null else ())):
        assert column.format in NUMBER_FORMATS
    text = measure.evaluate.__doc__ or ""
    assert re.search(r"\d|sum|log2|B / S", text), f"{name}: no formula, no range and no value in the docstring"
    assert len(text.strip().splitlines()[0]) > 20
    for counts in _many_counts():
        _check_pure(measure, counts)


def _many_counts() -> list[BlockCounts]:
    planes = [
        counts_of(random_plane(rows, columns, p))
        for rows, columns in ((4, 4), (21, 30), (128, 128))
        for p in (0, 0.3, 1)
    ]
    return [*planes, as_counts({0: 1 << 40, 65535: 3}, 16 * ((1 << 40) + 3), 48)]


def _check_pure(measure: Measure, counts: BlockCounts) -> None:
    before = copy.deepcopy(counts)
    table = load_table("4x4")
    shared = Evidence(counts, table, 50)
    values = [measure.evaluate(shared) for _ in range(2)]  # a second time, with all that was remembered
    values.append(measure.evaluate(Evidence(before, table, 50)))
    half = as_counts(dict(zip(counts.codes.tolist(), counts.counts.tolist(), strict=True)), counts.symbols, counts.ones)
    values.append(measure.evaluate(Evidence(half, table, 50)))
    assert values[0] == values[1] == values[2] == values[3]
    assert counts == before
    assert type(values[0]) in (float, int, str, type(None))  # plain Python, which JSON takes
    if isinstance(values[0], float):
        assert np.isfinite(values[0])


# ------------------------------------------------------------------------------------------------------- quantizers


PARAMETERS = {"threshold": "mean", "uniform": "8"}  # those that have to be given
STATISTICS = Statistics(100, -1.5, 2.0, 0.125, 0.5, (-1.0, 1.0))


def check_quantizer(name: str, kind: QuantizerKind) -> None:
    """A name and a line about it; as many sets of codes as planes, of codes that the dtype has and that are numbers."""
    assert kind.name == name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert kind.summary
    assert "\n" not in kind.summary
    quantizer = kind.parse(PARAMETERS.get(name))
    assert quantizer.name.partition(":")[0] == name
    assert quantizer.zero in ("zero", "one", None)
    for dtype in map(DTYPES.__getitem__, DTYPE_NAMES):
        for statistics in (STATISTICS, Statistics()):
            if quantizer.refuses(dtype) is None:
                _check_cut(quantizer, dtype, quantizer.fit(statistics))
    for nonsense in ("", "nonsense", ":", "\n"):
        with pytest.raises(UsageError):
            kind.parse(nonsense)


def _check_cut(quantizer: Quantizer, dtype: DType, fit: Fit) -> None:
    """As many parts as planes, each named once; the same cut again; sets of codes that the dtype has."""
    planes, cut = quantizer.planes(dtype), quantizer.cut(dtype, fit)
    assert planes
    assert len(set(planes)) == len(planes) == len(cut)
    assert cut == quantizer.cut(dtype, fit)
    for rule in cut if isinstance(cut, tuple) else ():
        _check_codes(rule, dtype.bits)


def _check_codes(rule: CodeSet, bits: int) -> None:
    """Two intervals that lie in the dtype and do not overlap."""
    top = 1 << bits
    intervals = [(rule.first, rule.length), (rule.second_first, rule.second_length)]
    for first, length in intervals:
        assert 0 <= first < top
        assert 0 <= length <= top - first
        assert length < 1 << 64
    (first, length), (second, second_length) = intervals
    assert not length or not second_length or first + length <= second or second + second_length <= first


def check_dtype(name: str) -> None:
    """Zero, positive, negative and non-finite codes: all of them once, but for infinities, which have a sign too."""
    dtype = DTYPES[name]
    assert dtype.name == name
    assert dtype.bits == bits_of(name)
    for rule in (dtype.positive, dtype.negative, dtype.zero, dtype.nonfinite, dtype.nonnegative):
        _check_codes(rule, dtype.bits)
    for code in special_codes(name):
        signs = [code in some for some in (dtype.positive, dtype.negative, dtype.zero)]
        assert sum(signs) + (code in dtype.nonfinite) >= 1
        assert sum(signs) <= 1
        assert (code in dtype.nonnegative) == (signs[0] or signs[2])


# ---------------------------------------------------------------------------------------------------------- formats


def check_format(name: str, format_: Format) -> None:
    """A name, suffixes with their dots, a sniff that answers whatever it is shown, an open that says what is wrong."""
    assert format_.name == name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert format_.suffixes
    assert all(suffix.startswith(".") for suffix in format_.suffixes)
    for head in _strange_files():
        answer = format_.sniff(head)
        assert isinstance(answer, Match)
        assert answer == format_.sniff(head)
    for path in ("/no/such/file", "", "\0", "/dev/null"):
        with pytest.raises(CheckpointError):
            format_.open(path)


def _strange_files() -> list[FileHead]:
    random = np.random.default_rng(0)
    heads = [
        b"",
        b"\0",
        b"{",
        b"[",
        b"\x80\x02",
        b"PK\x03\x04",
        b"GGUF",
        b"\xff" * 70_000,
        b"\0" * 70_000,
        b'{"a":' * 9000,
    ]
    heads += [random.bytes(int(size)) for size in random.integers(0, 3000, 100)]
    heads += [int(size).to_bytes(8, "little") + b'{"' for size in (0, 2, 10**8, 2**63, 2**64 - 1)]
    names = [
        "",
        "model",
        ".safetensors",
        "model.safetensors",
        "model.safetensors.index.json",
        "a/b\n",
        "\udc80",
        "x" * 5000,
    ]
    sizes = (0, 7, 1 << 63)
    return [
        FileHead(names[number % len(names)], size, head[:65536], head[-65536:])
        for number, head in enumerate(heads)
        for size in (len(head), *sizes)
    ]


# ---------------------------------------------------------------------------------------------------------- outputs


def check_output(name: str, output: Output) -> None:
    """Opened on a stream, it writes there and nowhere else, also when there is nothing to write."""
    assert output.name == name
    assert output.summary
    assert all(suffix.startswith(".") for suffix in output.suffixes)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    stream = io.StringIO()
    writer = output.open_writer(stream, View())
    for method in ("layer", "report", "error", "end"):
        assert callable(getattr(writer, method))
    writer.end()


def check_comparison_output(name: str, write: WriteComparison) -> None:
    """Writes on the stream and nowhere else, also of a comparison of nothing."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    model = ModelSeries((), {}, {})
    nothing = Comparison("wcx/comparison/1", "0.1.0", {}, (), (), model, (), (), (), (), None, (), (), ())
    stream = io.StringIO()
    write(nothing, stream, View())
    assert stream.getvalue().endswith("\n")
