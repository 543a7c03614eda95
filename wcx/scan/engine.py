"""The one engine that reads layers: each piece of a tensor is read once, for every accumulator that wants it.

A Work is a layer and what is sought in it, as specs. A spec begins an accumulator, which takes pieces (add), joins with
one that saw other parts of the layer (merge) and gives its result (finish). Results are integers, or small values made
of them; they do not depend on how a layer is cut, nor on who reads which part.

Works become items, an item goes to a worker, and the worker's answers are merged here, in the order of the items.
Items, specs, released accumulators and results pickle, so threads and other processes are two ways to map a function.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Condition, Event
from typing import Any, Protocol, TypeVar

from wcx.scan.grid import ROWS, Grid, Stripe
from wcx.scan.layers import PIECE_BYTES, Codes, Layer, Piece
from wcx.scan.sources import Source
from wcx.scan.threads import map_ordered

_AHEAD = 8
_MEMORY = 104 << 20  # bytes that the accumulators of all workers may lend together
_READING_MEMORY = 32 << 20  # bytes that those of one reading may lend, unless one alone takes more

Tool = TypeVar("Tool")
OpenSource = Callable[[], Source]


class Accumulator(Protocol):
    """The state of one spec over a layer, or over a part of it."""

    def add(self, piece: Piece, codes: Codes) -> None:
        """Add a piece; its codes are valid until the next one."""

    def release(self) -> None:
        """Give back the worker's tools after the last piece of a part; from here on the accumulator pickles."""

    def merge(self, other: Any) -> None:  # noqa: ANN401
        """Add the state of a released accumulator of the same spec, from another part."""

    def finish(self) -> Any:  # noqa: ANN401
        """Return the result; all of the layer was seen."""


class Spec(Protocol):
    """A request to an accumulator for one result of a layer: a picklable value.

    grid: how the layer has to be cut; None takes any. ordered: pieces have to come in order, all to one accumulator.
    memory: bytes that an accumulator takes beyond some histograms.
    """

    @property
    def grid(self) -> Grid | None:
        """Return how the layer has to be cut."""

    @property
    def ordered(self) -> bool:
        """Return True if pieces have to come in order."""

    @property
    def memory(self) -> int:
        """Return the bytes of an accumulator."""

    def kernels(self, layer: Layer) -> Any:  # noqa: ANN401
        """Return the compiled code that it counts with, ready to run; None where it has none."""

    def begin(self, layer: Layer, tools: Tools) -> Accumulator:
        """Return an empty accumulator."""


class Unordered:
    """Base of most specs: they take pieces of any grid, in any order, and little memory; by NumPy."""

    __slots__ = ()

    @property
    def grid(self) -> Grid | None:
        """Return None: any."""
        return None

    @property
    def ordered(self) -> bool:
        """Return False."""
        return False

    @property
    def memory(self) -> int:
        """Return 0."""
        return 0

    def kernels(self, _layer: Layer) -> Any:  # noqa: ANN401
        """Return None."""
        return None


class Tools:
    """A worker's kernels and buffers, kept between layers for one place among the specs; buffers by key."""

    def __init__(self, kernels: Any) -> None:  # noqa: ANN401
        self.kernels = kernels
        self._kept: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Tool]) -> Tool:
        """Return the tool under the key; it is made the first time."""
        if key not in self._kept:
            self._kept[key] = make()
        tool: Tool = self._kept[key]
        return tool


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a layer, for the specs of those indices."""

    grid: Grid
    specs: tuple[int, ...]
    ordered: bool = False
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """A layer with its specs. bits: of a weight, by which the layer is cut; 0 for those of its dtype."""

    layer: Layer
    specs: tuple[Spec, ...]
    bits: int = 0

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The readings that serve all specs: one a grid, and more where their memory is too much for one."""
        if len(self.specs) == 1:
            (spec,) = self.specs
            return (Reading(spec.grid or ROWS, (0,), spec.ordered, spec.memory),)
        readings: list[Reading] = []
        usual = next((spec.grid for spec in self.specs if spec.grid is not None and spec.grid.gives_each_once), ROWS)
        for index, spec in enumerate(self.specs):
            grid = spec.grid or usual
            place = next((at for at, reading in enumerate(readings) if _has_room(reading, grid, spec.memory)), None)
            if place is None:
                readings.append(Reading(grid, (index,), spec.ordered, spec.memory))
            else:
                old = readings[place]
                together = old.ordered or spec.ordered, old.memory + spec.memory
                readings[place] = Reading(grid, (*old.specs, index), *together)
        return tuple(readings)

    @property
    def cell_bits(self) -> int:
        """Bits of a weight, by which the layer is cut."""
        return self.bits or self.layer.dtype.bits


def _has_room(reading: Reading, grid: Grid, memory: int) -> bool:
    fits = not memory or not reading.memory or reading.memory + memory <= _READING_MEMORY
    return reading.grid == grid and fits


def nbytes_read(work: Work) -> int:
    """Return the number of bytes that all readings of a work take."""
    return work.layer.tensor.nbytes * len(work.readings)


# ------------------------------------------------------------------------------------------------------------ items


@dataclass(slots=True)
class Part:
    """A stripe of a work for one of its readings.

    index: of the work. readings: how many the work has. at: which of them this is. parts: how many stripes it has.
    """

    index: int
    work: Work
    reading: Reading
    stripe: Stripe
    at: int = 0
    readings: int = 1
    parts: int = 1


@dataclass(slots=True)
class Done:
    """A worker's answer to a part: its results, where it is all of a layer, else released accumulators; by spec."""

    part: Part
    found: tuple[Any, ...]


Item = list[Part]


def items_of(works: Sequence[Work]) -> list[Item]:
    """Cut works into items: a stripe of some 64 MiB each, or neighbouring small layers of 1 MiB together."""
    items: list[Item] = []
    room = 0
    for index, work in enumerate(works):
        layer, bits = work.layer, work.cell_bits
        nbytes = layer.weights * bits // 8
        readings = work.readings
        for at, reading in enumerate(readings):
            stripes = reading.grid.stripes(layer.rows, layer.columns, bits, whole=reading.ordered)
            parts = [Part(index, work, reading, stripe, at, len(readings), len(stripes)) for stripe in stripes]
            if len(parts) == 1 and nbytes <= room and items:
                items[-1] += parts
                room -= nbytes
            else:
                items += [[part] for part in parts]
                room = PIECE_BYTES - nbytes
    return items


# ----------------------------------------------------------------------------------------------------------- workers


class StoppedError(Exception):
    """Nobody waits for the item in hand any more."""


class Lender:
    """Bytes of memory that several workers share; a request for more than there is waits to have it all."""

    def __init__(self, nbytes: int) -> None:
        self._most = self._free = nbytes
        self._changed = Condition()

    @contextmanager
    def lent(self, nbytes: int) -> Iterator[None]:
        """Wait until that number of bytes is free, and lend them."""
        nbytes = min(nbytes, self._most)
        with self._changed:
            self._changed.wait_for(lambda: nbytes <= self._free)
            self._free -= nbytes
        try:
            yield
        finally:
            with self._changed:
                self._free += nbytes
                self._changed.notify_all()


class Worker:
    """One worker: a source, its tools, and the run of an item."""

    def __init__(
        self,
        source: Source,
        kernels: Any = None,  # noqa: ANN401
        on_bytes: Callable[[int], None] | None = None,
        lender: Lender | None = None,
        stopped: Event | None = None,
    ) -> None:
        self._source = source
        self._kernels = kernels
        self._on_bytes = on_bytes or (lambda _nbytes: None)
        self._lender = lender
        self._stopped = stopped
        self._tools: list[Tools] = []

    def run(self, item: Item) -> list[Done]:
        """Read the parts of an item."""
        return [self._read(part) for part in item]

    def _read(self, part: Part) -> Done:
        work, reading = part.work, part.reading
        while len(self._tools) < len(work.specs):
            self._tools.append(Tools(self._kernels))
        with self._lender.lent(reading.memory) if reading.memory and self._lender else nullcontext():
            accumulators = [work.specs[at].begin(work.layer, self._tools[at]) for at in reading.specs]
            self._feed(part, accumulators)
            if part.parts == 1:
                return Done(part, tuple([accumulator.finish() for accumulator in accumulators]))
        for accumulator in accumulators:
            accumulator.release()
        return Done(part, tuple(accumulators))

    def _feed(self, part: Part, accumulators: Sequence[Accumulator]) -> None:
        layer, grid, nbytes = part.work.layer, part.reading.grid, 0
        bits = layer.stored.bits
        for piece in grid.pieces(part.stripe, layer.rows, layer.columns, part.work.cell_bits):
            if self._stopped is not None and self._stopped.is_set():
                raise StoppedError
            codes = grid.read(self._source, layer, piece)
            for accumulator in accumulators:
                accumulator.add(piece, codes)
            nbytes += grid.nbytes(piece, bits)
            if nbytes >= PIECE_BYTES:
                self._on_bytes(nbytes)
                nbytes = 0
        self._on_bytes(nbytes)


@dataclass(frozen=True, slots=True)
class Job:
    """The common part of all items. open_source: gives a worker its source. compiled: count by compiled code."""

    open_source: OpenSource
    compiled: bool = False


def run_item(job: Job, item: Item) -> list[Done]:
    """Return a worker's answers to one item, from the job alone: the function that another process maps over items."""
    kernels = _kernels(item[0].work) if job.compiled else None
    return Worker(job.open_source(), kernels).run(item)


def _kernels(work: Work) -> Any:  # noqa: ANN401
    """Return the compiled code that the specs of a work count with."""
    return next((made for spec in work.specs if (made := spec.kernels(work.layer)) is not None), None)


class Engine(Protocol):
    """Maps a job over items, yielding the answers in the order of the items. threads: the number of workers."""

    @property
    def threads(self) -> int:
        """Return the number of workers."""

    def run(
        self, job: Job, items: Sequence[Item], threads: int, ahead: int, on_bytes: Callable[[int], None] | None
    ) -> Generator[list[Done], None, None]:
        """Yield the answers to each item, by at most `threads` workers, no more than `ahead` items beyond the next."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of this process, above kernels and reads that release the lock."""

    threads: int = 1

    def run(
        self, job: Job, items: Sequence[Item], threads: int, ahead: int, on_bytes: Callable[[int], None] | None
    ) -> Generator[list[Done], None, None]:
        """Yield the answers to each item, in order."""
        kernels = _kernels(items[0][0].work) if job.compiled else None
        lender, stopped = Lender(_MEMORY), Event()
        make = lambda: Worker(job.open_source(), kernels, on_bytes, lender, stopped)  # noqa: E731
        yield from map_ordered(make, Worker.run, items, min(threads, self.threads), ahead, on_stop=stopped.set)


# -------------------------------------------------------------------------------------------------------------- scan


class _Waiting:
    """Results of a work so far, by spec; for readings in several parts, the accumulators merged so far."""

    def __init__(self, part: Part) -> None:
        self._readings = part.readings
        self._merged: dict[int, tuple[tuple[Accumulator, ...], int]] = {}
        self.results: list[Any] = [None] * len(part.work.specs)

    def take(self, done: Done) -> bool:
        """Take in an answer; return True if that was the last one."""
        part, found = done.part, done.found
        if part.parts > 1:
            merged, left = self._merged.pop(part.at, (found, part.parts))
            if merged is not found:
                for accumulator, other in zip(merged, found, strict=True):
                    accumulator.merge(other)
            if left > 1:
                self._merged[part.at] = merged, left - 1
                return False
            found = tuple(accumulator.finish() for accumulator in merged)
        for at, result in zip(part.reading.specs, found, strict=True):
            self.results[at] = result
        self._readings -= 1
        return not self._readings


def scan(
    works: Sequence[Work],
    open_source: OpenSource,
    engine: Engine | None = None,
    *,
    threads: int | None = None,
    ahead: int = _AHEAD,
    compiled: bool = False,
    on_bytes: Callable[[int], None] | None = None,
    together: bool = False,
) -> Generator[tuple[Any, ...], None, None]:
    """Yield the results of each work, in order: one for each of its specs.

    threads: workers at most, those of the engine by default. ahead: items that may be done before their turn. compiled:
    count by compiled code. on_bytes: called, by workers, with the bytes read since the last call. together: all works
    go in order through one worker, whose tools last. The results depend on none of these. Raises what sources raise.
    """
    engine = engine or Threads()
    items = items_of(works)
    if together:
        items = [[part for item in items for part in item]] if items else []
    if not items:
        return
    waiting: dict[int, _Waiting] = {}
    job = Job(open_source, compiled)
    answers = engine.run(job, items, threads or engine.threads, ahead, on_bytes)
    with closing(answers):
        for done in (done for answer in answers for done in answer):
            index = done.part.index
            if done.part.readings == done.part.parts == 1:
                yield done.found
                continue
            if index not in waiting:
                waiting[index] = _Waiting(done.part)
            state = waiting[index]
            if state.take(done):
                del waiting[index]
                yield tuple(state.results)
