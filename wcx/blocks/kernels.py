"""All compiled code: raw codes of a tile of weights to counts of blocks, 4x4 or strings of 12.

Three phases per tile of about 131,072 weights. A: one linear stream, 64 codes at a time compared with the intervals of
a rule and turned into a 64-bit mask. B: four bit rows shuffled into 16-bit block codes. C: one histogram. Phases finer
than 64 Ki weights are slower (the random increments disturb the prefetcher). Bit-planes have a phase before A, which
makes a byte of each weight, and then A tests a bit of 64 bytes, plane after plane. Everything is serial, releases the
GIL, allocates nothing; threads live in Python above. Plain NumPy twins with the same results are in numpy_kernels.py.

Bits that are compared with later ones are copied from A's buffer, plane by plane; what changed is counted from two such
copies, the XOR of each tile going through B and C. Where nothing is packed, `packed` is None, which numba
prunes: analyze runs the code that it would if nothing could be packed, and what compare needs is compiled when it asks
for it.

Everything compiled stays in this one file, at module level: numba's cache on disk is stamped with the content of the
file that holds a function, and does not notice a change in a helper elsewhere.

Block code: cell (r, c) of a block is bit 4 r + c. The CTM table is invariant under the symmetries of the square, so the
order of the bits is free; this one makes a nibble of a bit row a row of a block.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic

TILE = 1 << 17
"""Weights in a tile; a row of up to a quarter of it fits."""

_STRING_TILE = TILE // 768 * 768  # whole strings, and whole words of bits
_LANES = 64
_AHEAD = 2048  # on Sapphire Rapids F32 goes from 0.70 to 1.15 of the read limit with it; 1024 and 4096 are worse
_VECTOR = 4  # words of a bit row that phase B takes together
_I64 = ir.IntType(64)


def _mask_stream(builder: Any, arguments: Any, bits: int) -> Any:
    """Emit phase A: for each 64 codes of `bits` bits a mask word, and the extremes of their magnitudes.

    The mask is an LLVM vector comparison bit-cast from <64 x i1> to i64, which is exact and fast on every target that
    numba has; relying on LLVM to vectorise a plain loop is luck. The extremes are kept in vectors of 64 bytes.
    """
    address, words, out, first, length, second, second_length, magnitude = arguments
    code = ir.IntType(bits)
    wide = ir.VectorType(code, _LANES)
    lanes = 512 // bits
    narrow = ir.VectorType(code, lanes)

    *rule, magnitudes = (
        _splat(builder, builder.trunc(value, code) if bits < 64 else value, _LANES)
        for value in (first, length, second, second_length, magnitude)
    )
    entry = builder.block
    loop = builder.append_basic_block("mask_loop")
    done = builder.append_basic_block("mask_done")
    builder.branch(loop)  # the caller never asks for 0 words

    builder.position_at_end(loop)
    index = builder.phi(_I64)
    low = builder.phi(narrow)
    high = builder.phi(narrow)
    index.add_incoming(ir.Constant(_I64, 0), entry)
    low.add_incoming(ir.Constant(narrow, [-1] * lanes), entry)
    high.add_incoming(ir.Constant(narrow, None), entry)
    source = builder.add(address, builder.mul(index, ir.Constant(_I64, 8 * bits)))
    codes = builder.load(builder.inttoptr(source, wide.as_pointer()), typ=wide, align=1)
    _prefetch(builder, source, 8 * bits)
    inside = builder.or_(
        builder.icmp_unsigned("<", builder.sub(codes, rule[0]), rule[1]),
        builder.icmp_unsigned("<", builder.sub(codes, rule[2]), rule[3]),
    )
    target = builder.add(out, builder.mul(index, ir.Constant(_I64, 8)))
    builder.store(builder.bitcast(inside, _I64), builder.inttoptr(target, _I64.as_pointer()), align=8)
    sizes = builder.and_(codes, magnitudes)
    new_low, new_high = low, high
    for start in range(0, _LANES, lanes):
        picked = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(start, start + lanes)))
        part = builder.shuffle_vector(sizes, sizes, picked)
        new_low = builder.select(builder.icmp_unsigned("<", part, new_low), part, new_low)
        new_high = builder.select(builder.icmp_unsigned(">", part, new_high), part, new_high)
    following = builder.add(index, ir.Constant(_I64, 1))
    index.add_incoming(following, loop)
    low.add_incoming(new_low, loop)
    high.add_incoming(new_high, loop)
    builder.cbranch(builder.icmp_signed("<", following, words), loop, done)

    builder.position_at_end(done)
    return _extreme(builder, new_low, lanes, "<"), _extreme(builder, new_high, lanes, ">")


def _prefetch(builder: Any, source: Any, nbytes: int) -> None:
    """Emit prefetches of what the loop reads `_AHEAD` bytes later; one past the end is harmless."""
    pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
    read, keep, data = (ir.Constant(number, value) for value in (0, 3, 1))
    for line in range(0, nbytes, 64):
        ahead = builder.add(source, ir.Constant(_I64, _AHEAD + line))
        builder.call(prefetch, [builder.inttoptr(ahead, pointer), read, keep, data])


def _extreme(builder: Any, vector: Any, lanes: int, order: str) -> Any:
    """Emit the smallest or largest lane of a vector, widened to 64 bits."""
    best = builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))
    for lane in range(1, lanes):
        other = builder.extract_element(vector, ir.Constant(ir.IntType(32), lane))
        best = builder.select(builder.icmp_unsigned(order, other, best), other, best)
    return builder.zext(best, _I64) if best.type.width < 64 else best


def _stream_signature(bits: int) -> Any:
    """Return the numba signature and the code generator of phase A for codes of `bits` bits."""
    pair = types.UniTuple(types.uint64, 2)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_tuple(builder, pair, _mask_stream(builder, arguments, bits))

    return pair(types.int64, types.int64, types.int64, *(types.uint64,) * 5), generate


@intrinsic
def _masks8(typing, address, words, out, first, length, second, second_length, magnitude):
    return _stream_signature(8)


@intrinsic
def _masks16(typing, address, words, out, first, length, second, second_length, magnitude):
    return _stream_signature(16)


@intrinsic
def _masks32(typing, address, words, out, first, length, second, second_length, magnitude):
    return _stream_signature(32)


@intrinsic
def _masks64(typing, address, words, out, first, length, second, second_length, magnitude):
    return _stream_signature(64)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    """Emit a vector of one value."""
    vector = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), lanes), None))


def _loop(builder: Any, number: Any, body: Callable[[Any], None]) -> None:
    """Emit body(index) for index from 0 to `number`, which is not 0."""
    entry = builder.block
    loop = builder.append_basic_block("loop")
    done = builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(_I64)
    index.add_incoming(ir.Constant(_I64, 0), entry)
    body(index)
    following = builder.add(index, ir.Constant(_I64, 1))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, number), loop, done)
    builder.position_at_end(done)


def _at(builder: Any, address: Any, index: Any, nbytes: int, kind: Any) -> Any:
    """Emit the address of an element, as a pointer to its kind."""
    place = builder.add(address, builder.mul(index, ir.Constant(_I64, nbytes)))
    return builder.inttoptr(place, kind.as_pointer())


def _look_up_signature(bits: int) -> Any:
    """Return the numba signature and the code generator of table[code] for codes of `bits` bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, number, out, table = arguments
        code, byte = ir.IntType(bits), ir.IntType(8)

        def look_up(index: Any) -> None:
            some = builder.load(_at(builder, address, index, bits // 8, code), typ=code, align=1)
            level = builder.load(_at(builder, table, builder.zext(some, _I64), 1, byte), typ=byte, align=1)
            builder.store(level, _at(builder, out, index, 1, byte), align=1)

        _loop(builder, number, look_up)
        return context.get_dummy_value()

    return types.none(*(types.int64,) * 4), generate


@intrinsic
def _look_up8(typing, address, number, out, table):
    return _look_up_signature(8)


@intrinsic
def _look_up16(typing, address, number, out, table):
    return _look_up_signature(16)


@intrinsic
def _quantize32(typing, address, words, out, lo, delta, highest, shift):
    """Emit the levels of 64 float32 numbers at a time.

    They are clipped by ordered comparisons, so that NaN gives 0, and rounded half to even by adding 1.5 * 2^23, whose
    last bits are those of the level. Division is true division.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, words, out, *numbers, shift = arguments
        lo, delta, highest = (_splat(builder, number, _LANES) for number in numbers)
        wide = ir.VectorType(ir.FloatType(), _LANES)
        integers, narrow = ir.VectorType(ir.IntType(32), _LANES), ir.VectorType(ir.IntType(8), _LANES)
        zero, magic = (ir.Constant(wide, [number] * _LANES) for number in (0.0, 1.5 * 2**23))
        shifts = _splat(builder, builder.trunc(shift, ir.IntType(32)), _LANES)

        def quantize(index: Any) -> None:
            source = builder.add(address, builder.mul(index, ir.Constant(_I64, 4 * _LANES)))
            weights = builder.load(builder.inttoptr(source, wide.as_pointer()), typ=wide, align=1)
            _prefetch(builder, source, 4 * _LANES)
            steps = builder.fdiv(builder.fsub(weights, lo), delta)
            steps = builder.select(builder.fcmp_ordered(">", steps, zero), steps, zero)
            steps = builder.select(builder.fcmp_ordered("<", steps, highest), steps, highest)
            levels = builder.lshr(builder.bitcast(builder.fadd(steps, magic), integers), shifts)
            builder.store(builder.trunc(levels, narrow), _at(builder, out, index, _LANES, narrow), align=1)

        _loop(builder, words, quantize)
        return context.get_dummy_value()

    return types.none(*(types.int64,) * 3, *(types.float32,) * 3, types.int64), generate


@intrinsic
def _bits8(typing, address, words, out, bit):
    """Emit for each 64 bytes a mask word: those in which a bit is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, words, out, bit = arguments
        wide = ir.VectorType(ir.IntType(8), _LANES)
        bits = _splat(builder, builder.trunc(bit, ir.IntType(8)), _LANES)

        def test(index: Any) -> None:
            some = builder.load(_at(builder, address, index, _LANES, wide), typ=wide, align=1)
            found = builder.icmp_unsigned("!=", builder.and_(some, bits), ir.Constant(wide, None))
            builder.store(builder.bitcast(found, _I64), _at(builder, out, index, 8, _I64), align=8)

        _loop(builder, words, test)
        return context.get_dummy_value()

    return types.none(*(types.int64,) * 4), generate


def _shuffle_signature(lanes: int) -> Any:
    """Return the numba signature and the code generator of phase B: four bit rows, `lanes` words of each at a time.

    row0..: addresses of the words with the first bits; shift0..: the offset of these bits in them (one word after
    the last is read). For each word of a row, four words of 16-bit codes of blocks come out.
    """
    wide = ir.VectorType(_I64, lanes)

    def constant(value: int) -> Any:
        return ir.Constant(wide, [value] * lanes)

    def load(builder: Any, start: Any, shift: Any, index: Any) -> Any:
        place = builder.add(start, builder.mul(index, ir.Constant(_I64, 8 * lanes)))
        after = builder.add(place, ir.Constant(_I64, 8))
        low, high = (
            builder.load(builder.inttoptr(some, wide.as_pointer()), typ=wide, align=8) for some in (place, after)
        )
        high = builder.shl(builder.shl(high, builder.sub(constant(63), shift)), constant(1))
        return builder.or_(builder.lshr(low, shift), high)

    def merge(builder: Any, first: Any, second: Any, mask: int, bits: int) -> tuple[Any, Any]:
        """Emit what a mask takes of both, the second `bits` up; and what it leaves, the first `bits` down."""
        taken, left, by = constant(mask), constant(mask << bits), constant(bits)
        upper = builder.shl(builder.and_(second, taken), by)
        lower = builder.and_(builder.lshr(first, by), taken)
        return builder.or_(builder.and_(first, taken), upper), builder.or_(lower, builder.and_(second, left))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *starts, shift0, shift1, shift2, shift3, number, out = arguments
        shifts = [_splat(builder, shift, lanes) for shift in (shift0, shift1, shift2, shift3)]

        def shuffle(index: Any) -> None:
            rows = [load(builder, start, shift, index) for start, shift in zip(starts, shifts, strict=True)]
            tops = merge(builder, rows[0], rows[1], 0x0F0F0F0F0F0F0F0F, 4)  # a byte: two rows of a block
            bottoms = merge(builder, rows[2], rows[3], 0x0F0F0F0F0F0F0F0F, 4)
            first = builder.mul(index, ir.Constant(_I64, 4))
            for half, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
                for place, codes in enumerate(merge(builder, top, bottom, 0x00FF00FF00FF00FF, 8)):
                    at = builder.add(first, ir.Constant(_I64, 2 * half + place))
                    builder.store(codes, _at(builder, out, at, 8 * lanes, wide), align=8)

        _loop(builder, number, shuffle)
        return context.get_dummy_value()

    return types.none(*(types.int64,) * 4, *(types.uint64,) * 4, types.int64, types.int64), generate


@intrinsic
def _shuffle_words(typing, row0, row1, row2, row3, shift0, shift1, shift2, shift3, number, out):
    return _shuffle_signature(1)


@intrinsic
def _shuffle_vectors(typing, row0, row1, row2, row3, shift0, shift1, shift2, shift3, number, out):
    return _shuffle_signature(_VECTOR)


@intrinsic
def _popcount(typing, word):
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _masks_interpreted(bits: int) -> Any:
    """Return phase A as plain Python, for runs with the compiler off."""

    def masks(address, words, out, first, length, second, second_length, magnitude):
        nbytes = int(words) * 8 * bits
        codes = np.frombuffer((ctypes.c_char * nbytes).from_address(int(address)), dtype=f"<u{bits // 8}")
        codes = codes.astype(object)
        top = 1 << bits
        inside = ((codes - int(first)) % top < int(length)) | ((codes - int(second)) % top < int(second_length))
        target = (ctypes.c_char * (int(words) * 8)).from_address(int(out))
        target[:] = np.packbits(inside.astype(bool), bitorder="little").tobytes()
        sizes = [code & int(magnitude) for code in codes]
        return np.uint64(min(sizes)), np.uint64(max(sizes))

    return masks


def _memory(address: int, number: int, kind: Any) -> Any:
    """View memory at an address as an array."""
    kind = np.dtype(kind)
    return np.frombuffer((ctypes.c_char * (int(number) * kind.itemsize)).from_address(int(address)), kind)


def _look_up_interpreted(kind: str) -> Any:
    """Return the lookup as plain Python."""

    def look_up(address, number, out, table):
        codes = _memory(address, number, kind)
        _memory(out, number, np.uint8)[:] = _memory(table, int(codes.max()) + 1, np.uint8)[codes]

    return look_up


def _shuffle_interpreted(lanes: int) -> Any:
    """Return phase B as plain Python."""

    def shuffle(row0, row1, row2, row3, shift0, shift1, shift2, shift3, number, out):
        number = lanes * int(number)
        rows = []
        for start, shift in ((row0, shift0), (row1, shift1), (row2, shift2), (row3, shift3)):
            words = _memory(start, number + 1, np.uint64).tolist()
            rows.append([(words[at] | words[at + 1] << 64) >> int(shift) for at in range(number)])
        target = _memory(out, 16 * number, np.uint16)
        for at, four in enumerate(zip(*rows, strict=True)):
            for block in range(16):
                target[16 * at + block] = sum((row >> 4 * block & 15) << 4 * place for place, row in enumerate(four))

    return shuffle


if config.DISABLE_JIT:
    _shuffle_words, _shuffle_vectors = _shuffle_interpreted(1), _shuffle_interpreted(_VECTOR)
    _look_up8, _look_up16 = _look_up_interpreted("<u1"), _look_up_interpreted("<u2")

    def _quantize32(address, words, out, lo, delta, highest, shift):
        with np.errstate(all="ignore"):
            steps = (_memory(address, 64 * words, np.float32) - lo) / delta
        levels = np.rint(np.where(steps > 0, np.minimum(steps, highest), np.float32(0))).astype(np.int64)
        _memory(out, 64 * words, np.uint8)[:] = levels >> shift & 255

    def _bits8(address, words, out, bit):
        found = _memory(address, 64 * words, np.uint8) & np.uint8(bit) != 0
        _memory(out, 8 * words, np.uint8)[:] = np.packbits(found, bitorder="little")

    _masks8, _masks16, _masks32, _masks64 = (_masks_interpreted(bits) for bits in (8, 16, 32, 64))

    def _popcount(word):
        return int(word).bit_count()


@njit(nogil=True, cache=True)
def _masks(itemsize, address, words, out, rule, magnitude):
    """Run phase A with the loop of the item size; returns the smallest and largest magnitude."""
    if itemsize == 1:
        return _masks8(address, words, out, rule[0], rule[1], rule[2], rule[3], magnitude)
    if itemsize == 2:
        return _masks16(address, words, out, rule[0], rule[1], rule[2], rule[3], magnitude)
    if itemsize == 4:
        return _masks32(address, words, out, rule[0], rule[1], rule[2], rule[3], magnitude)
    return _masks64(address, words, out, rule[0], rule[1], rule[2], rule[3], magnitude)


@njit(nogil=True, cache=True)
def _end(bits, words):
    """Write a word of zeros after the bits, which may be read; returns the number of ones before it."""
    bits[words] = np.uint64(0)
    ones = 0
    for index in range(words):
        ones += np.int64(_popcount(bits[index]))
    return ones


@njit(nogil=True, cache=True)
def _fill(itemsize, address, weights, bits, rule, magnitude):
    """Turn `weights` >= 64 codes into bits; returns the number of ones and the extremes of the magnitudes."""
    words = weights >> 6
    rest = weights & 63
    low, high = _masks(itemsize, address, words, bits.ctypes.data, rule, magnitude)
    if rest:  # the last 64 codes once more: no load leaves the tile
        start = address + (weights - 64) * itemsize
        tail_low, tail_high = _masks(itemsize, start, 1, bits.ctypes.data + 8 * words, rule, magnitude)
        bits[words] >>= np.uint64(64 - rest)
        words += 1
        low = min(low, tail_low)
        high = max(high, tail_high)
    return _end(bits, words), low, high


@njit(nogil=True, cache=True)
def _word_at(bits, position):
    """Return the 64 bits that begin at bit `position`."""
    shift = np.uint64(position & 63)
    return (bits[position >> 6] >> shift) | ((bits[(position >> 6) + 1] << (np.uint64(63) - shift)) << np.uint64(1))


@njit(nogil=True, cache=True)
def _shuffle_part(vectors, bits, at, columns, number, words, slot):
    """Cut `number` vectors or words of four bit rows, the first from bit `at` on, into words[slot] and those after."""
    start = bits.ctypes.data
    out = words.ctypes.data + 8 * slot
    row0 = start + (at >> 6 << 3)
    row1 = start + ((at + columns) >> 6 << 3)
    row2 = start + ((at + 2 * columns) >> 6 << 3)
    row3 = start + ((at + 3 * columns) >> 6 << 3)
    shift0 = np.uint64(at & 63)
    shift1 = np.uint64((at + columns) & 63)
    shift2 = np.uint64((at + 2 * columns) & 63)
    shift3 = np.uint64((at + 3 * columns) & 63)
    if vectors:
        _shuffle_vectors(row0, row1, row2, row3, shift0, shift1, shift2, shift3, number, out)
    else:
        _shuffle_words(row0, row1, row2, row3, shift0, shift1, shift2, shift3, number, out)


@njit(nogil=True, cache=True)
def _shuffle(bits, stripes, columns, words, narrow):
    """Cut `stripes` x 4 bit rows into blocks: their codes in `words` (4 a word, `narrow` is the same memory).

    The blocks of a row's whole words come first, in no particular order; then, one by one, those of the incomplete last
    words. Returns how many codes there are.
    """
    whole = columns >> 6
    total = stripes * whole
    vectors = whole // _VECTOR
    done = vectors * _VECTOR
    for stripe in range(stripes):
        at = 4 * stripe * columns
        slot = 4 * stripe * whole
        if vectors:
            _shuffle_part(True, bits, at, columns, vectors, words, slot)
        if done < whole:
            _shuffle_part(False, bits, at + (done << 6), columns, whole - done, words, slot + 4 * done)
    filled = 16 * total
    last = (columns & 63) >> 2
    if last:
        for stripe in range(stripes):
            at = 4 * stripe * columns + (whole << 6)
            row0 = _word_at(bits, at)
            row1 = _word_at(bits, at + columns)
            row2 = _word_at(bits, at + 2 * columns)
            row3 = _word_at(bits, at + 3 * columns)
            for block in range(last):
                shift = np.uint64(4 * block)
                low = ((row0 >> shift) & np.uint64(15)) | (((row1 >> shift) & np.uint64(15)) << np.uint64(4))
                high = ((row2 >> shift) & np.uint64(15)) | (((row3 >> shift) & np.uint64(15)) << np.uint64(4))
                narrow[filled] = np.uint16(low | (high << np.uint64(8)))
                filled += 1
    return filled


@njit(nogil=True, cache=True)
def _add(narrow, filled, histogram):
    for index in range(filled):
        histogram[narrow[index]] += np.uint32(1)


@njit(nogil=True, cache=True)
def _tile(rows, columns, start, strings):
    """Return how many rows the tile that begins at row `start` has; of strings, how many symbols."""
    size = _STRING_TILE if strings else max(4, (TILE // columns) & ~3)
    stop = columns if strings else rows
    symbols = 1 if strings else columns
    height = min(size, stop - start)
    if 0 < (stop - start - height) * symbols < 64:  # no tile of under 64 weights at the end
        return height - 768 if strings else stop - start
    return height


@njit(nogil=True, cache=True)
def _cut(bits, height, columns, strings, words, narrow):
    """Cut the bits of a tile into the codes of its blocks, in `narrow`; returns how many there are."""
    if not strings:
        return _shuffle(bits, height >> 2, columns, words, narrow)
    filled = height // 12
    for index in range(filled):
        narrow[index] = np.uint16(_word_at(bits, 12 * index) & np.uint64(0xFFF))
    return filled


@njit(nogil=True, cache=True)
def _pack(bits, weights, packed, position):
    """Write a tile's bits, at least 64 and then zeros, from bit `position` of a plane on."""
    some = packed[position >> 6 :]
    shift = np.uint64(position & 63)
    whole = ((position & 63) + weights) >> 6
    if position & 63 == 0:
        for index in range(whole):
            some[index] = bits[index]
        last = bits[whole]
    else:
        back = np.uint64(64) - shift
        some[0] = (some[0] & ((np.uint64(1) << shift) - np.uint64(1))) | (bits[0] << shift)
        for index in range(1, whole):
            some[index] = (bits[index - 1] >> back) | (bits[index] << shift)
        last = (bits[whole - 1] >> back) | (bits[whole] << shift)
    rest = ((position & 63) + weights) & 63
    if rest:
        some[whole] = last


@njit(nogil=True, cache=True)
def count_rows(
    itemsize, address, rows, columns, rules, magnitude, top, strings, bits, words, narrow, histograms, totals, packed
):
    """Count the blocks of `rows` contiguous rows of raw codes at `address`, tile by tile.

    rules: uint64 [2 + planes, 4], the code intervals of zero, of not-finite numbers, and of each plane's ones.
    magnitude, top: a code & magnitude of 0 or of at least `top` means that a tile has zeros or non-finite numbers and
    they are counted. strings: count strings of 12 of one row (symbol j is bit j) instead of 4x4. bits:
    uint64 [TILE / 64 + 2] scratch; words: uint64 [TILE / 48 + 1] scratch, narrow: the same memory as uint16.
    histograms: uint32 [planes, possible blocks], added to. totals: int64 [2 + planes], zeros, non-finite numbers and
    each plane's ones, added to. packed: None, or uint64 [planes, words], where the planes' bits are written in the
    order of the codes, the first in the lowest bit. 4 * columns <= TILE but for strings, rows * columns >= 64; what
    fills no block is only totalled, and packed.
    """
    planes = rules.shape[0] - 2
    start = 0
    stop = columns if strings else rows
    while start < stop:
        height = _tile(rows, columns, start, strings)
        weights = height if strings else height * columns
        base = address + (start if strings else start * columns) * itemsize
        for plane in range(planes):
            ones, low, high = _fill(itemsize, base, weights, bits, rules[2 + plane], magnitude)
            totals[2 + plane] += ones
            filled = _cut(bits, height, columns, strings, words, narrow)
            _add(narrow, filled, histograms[plane])
            if packed is not None:
                _pack(bits, weights, packed[plane], start if strings else start * columns)
            if plane == 0 and (low == 0 or high >= top):
                zeros, _, _ = _fill(itemsize, base, weights, bits, rules[0], magnitude)
                nonfinite, _, _ = _fill(itemsize, base, weights, bits, rules[1], magnitude)
                totals[0] += zeros
                totals[1] += nonfinite
        start += height


@njit(nogil=True, cache=True)
def _make_bytes(kind, source, weights, tables, group, lo, delta, highest, levels):
    """Make byte `group` of the level of each of `weights` >= 64 elements of a source; kind is their size in bytes."""
    out = levels.ctypes.data
    if kind <= 2:
        table = tables.ctypes.data + group * tables.shape[1]
        if kind == 1:
            _look_up8(source, weights, out, table)
        else:
            _look_up16(source, weights, out, table)
        return
    _quantize32(source, weights >> 6, out, lo, delta, highest, 8 * group)
    if weights & 63:  # the last 64 numbers once more: no load leaves the tile
        _quantize32(source + 4 * (weights - 64), 1, out + weights - 64, lo, delta, highest, 8 * group)


@njit(nogil=True, cache=True)
def _fill_bits(levels, weights, bit, bits):
    """Turn a bit of `weights` bytes into bits; returns the number of ones."""
    words = (weights + 63) >> 6
    _bits8(levels.ctypes.data, words, bits.ctypes.data, bit)
    if weights & 63:
        bits[words - 1] &= (np.uint64(1) << np.uint64(weights & 63)) - np.uint64(1)
    return _end(bits, words)


@njit(nogil=True, cache=True)
def count_planes(
    itemsize,
    address,
    rows,
    columns,
    rules,
    magnitude,
    top,
    kind,
    source,
    tables,
    lo,
    delta,
    highest,
    planes,
    strings,
    levels,
    bits,
    words,
    narrow,
    histograms,
    totals,
    ones,
    packed,
):
    """Count the blocks of several bit-planes, tile by tile; what is not said here is as in count_rows.

    kind, source: size and address of the elements that levels are made of: codes of 1 or 2 bytes, by `tables`, uint8
    [bytes of a level, codes]; or 4, float32 numbers, by lo, delta and the highest level. Where itemsize is 0, zeros and
    non-finite numbers are not counted. strings: as in count_rows. levels: uint8 [TILE + 128]
    scratch. histograms, ones: of the planes, added to. packed: of the planes, or None.
    """
    start = 0
    stop = columns if strings else rows
    while start < stop:
        height = _tile(rows, columns, start, strings)
        weights = height if strings else height * columns
        first = start if strings else start * columns
        if itemsize:
            zeros, low, high = _fill(itemsize, address + first * itemsize, weights, bits, rules[0], magnitude)
            totals[0] += zeros
            if low == 0 or high >= top:
                nonfinite, _, _ = _fill(itemsize, address + first * itemsize, weights, bits, rules[1], magnitude)
                totals[1] += nonfinite
        for plane in range(planes):
            if plane & 7 == 0:
                _make_bytes(kind, source + first * kind, weights, tables, plane >> 3, lo, delta, highest, levels)
            ones[plane] += _fill_bits(levels, weights, 1 << (plane & 7), bits)
            filled = _cut(bits, height, columns, strings, words, narrow)
            _add(narrow, filled, histograms[plane])
            if packed is not None:
                _pack(bits, weights, packed[plane], first)
        start += height


@njit(nogil=True, cache=True)
def _difference(bits, earlier, position, weights, changed):
    """XOR `weights` packed bits, from bit `position` on, with earlier ones; returns how many differ."""
    words = (weights + 63) >> 6
    now = bits[position >> 6 :]
    old = earlier[position >> 6 :]
    if position & 63 == 0:
        for index in range(words):
            changed[index] = now[index] ^ old[index]
    else:
        shift = np.uint64(position & 63)
        back = np.uint64(64) - shift
        for index in range(words - 1):
            changed[index] = ((now[index] ^ old[index]) >> shift) | ((now[index + 1] ^ old[index + 1]) << back)
        last = (now[words - 1] ^ old[words - 1]) >> shift
        if words < now.size:
            last |= (now[words] ^ old[words]) << back
        changed[words - 1] = last
    if weights & 63:
        changed[words - 1] &= (np.uint64(1) << np.uint64(weights & 63)) - np.uint64(1)
    return _end(changed, words)


@njit(nogil=True, cache=True)
def _add_sparse(words, narrow, filled, histogram):
    """Count codes most of which are 0, in `words` of 4 (`narrow` is the same memory): take these out first.

    One counter that is almost always the next, but not quite, takes up to three times as long as different ones.
    """
    some = 0
    for index in range(filled >> 2):
        word = words[index]
        words[some] = word
        some += np.int64(word != 0)
    found = 0
    for index in range(4 * some):
        code = narrow[index]
        narrow[found] = code
        found += np.int64(code != 0)
    for index in range(filled & ~3, filled):
        narrow[found] = narrow[index]
        found += 1
    histogram[0] += np.uint32(filled - found)
    _add(narrow, found, histogram)


@njit(nogil=True, cache=True)
def count_xor(bits, earlier, rows, columns, strings, changed, words, narrow, histograms, ones):
    """Count the blocks of the bits that differ between two packed copies of `rows` x `columns` planes, tile by tile.

    bits, earlier: uint64 [planes, words], as count_rows writes them. changed: scratch as count_rows has for bits.
    histograms: uint32 [planes, possible blocks]; ones: int64 [planes], how many bits differ; both added to. Other
    arguments are those of count_rows; columns alone are bounded.
    """
    stop = columns if strings else rows
    for plane in range(bits.shape[0]):
        start = 0
        while start < stop:
            height = _tile(rows, columns, start, strings)
            weights = height if strings else height * columns
            first = start if strings else start * columns
            found = _difference(bits[plane], earlier[plane], first, weights, changed)
            ones[plane] += found
            if found == 0:
                blocks = height // 12 if strings else (height >> 2) * (columns >> 2)
                histograms[plane, 0] += np.uint32(blocks)
            else:
                filled = _cut(changed, height, columns, strings, words, narrow)
                if found << 5 < weights:
                    _add_sparse(words, narrow, filled, histograms[plane])
                else:
                    _add(narrow, filled, histograms[plane])
            start += height


@njit(nogil=True, cache=True)
def _ones_between(bits, start, stop):
    """Count the ones among bits start .. stop."""
    ones = 0
    while start < stop:
        word = _word_at(bits, start)
        if stop - start < 64:
            word &= (np.uint64(1) << np.uint64(stop - start)) - np.uint64(1)
        ones += np.int64(_popcount(word))
        start += 64
    return ones


@njit(nogil=True, cache=True)
def _ones_of_rows(bits, rows, columns, width):
    """Count the ones in the first `width` columns of some rows."""
    if width == columns:
        return _ones_between(bits, 0, rows * columns)
    ones = 0
    for row in range(rows):
        ones += _ones_between(bits, row * columns, row * columns + width)
    return ones


@njit(nogil=True, cache=True)
def _slide_squares(bits, at, columns, left, stop, shift, histogram):
    """Count the 4x4 blocks that begin in one row, of first bit `at`, at columns left .. stop, every `shift`."""
    step = np.uint64(min(shift, 63))
    nibble = np.uint64(15)
    column = left
    while column < stop:
        row0 = _word_at(bits, at + column)
        row1 = _word_at(bits, at + column + columns)
        row2 = _word_at(bits, at + column + 2 * columns)
        row3 = _word_at(bits, at + column + 3 * columns)
        last = min(stop, column + 61)
        while column < last:
            low = (row0 & nibble) | ((row1 & nibble) << np.uint64(4))
            high = (row2 & nibble) | ((row3 & nibble) << np.uint64(4))
            histogram[low | (high << np.uint64(8))] += np.uint32(1)
            row0 >>= step
            row1 >>= step
            row2 >>= step
            row3 >>= step
            column += shift


@njit(nogil=True, cache=True)
def _slide_strings(bits, left, stop, shift, histogram):
    """Count the strings of 12 that begin at symbols left .. stop, every `shift`."""
    step = np.uint64(min(shift, 63))
    column = left
    while column < stop:
        row = _word_at(bits, column)
        last = min(stop, column + 53)
        while column < last:
            histogram[row & np.uint64(0xFFF)] += np.uint32(1)
            row >>= step
            column += shift


@njit(nogil=True, cache=True)
def count_sliding(
    itemsize,
    address,
    rows,
    columns,
    side,
    height,
    width,
    top,
    left,
    shift,
    rules,
    magnitude,
    highest,
    bits,
    histograms,
    totals,
):
    """Count overlapping blocks of `rows` contiguous rows of raw codes: the boundary `correlated`.

    side: 4 of squares, 12 of strings (of one row). height, width: the rows and columns whose weights are totalled and
    whose blocks are counted, namely those that begin at row top, top + shift, ... and column left, left + shift, ...;
    what comes after is there to complete them. highest: what count_rows has as `top`. Other arguments are those of
    count_rows; rows of squares are of at most TILE / 8 columns.
    """
    if side == 4:
        tile, more = TILE // columns - 3, 3
    else:
        tile, more = 1, 0
    planes = rules.shape[0] - 2
    start = 0
    first = 0
    while start < height and first < width:
        own_rows = min(tile, height - start)
        if (height - start - own_rows) * columns < 64:  # no tile of under 64 weights at the end
            own_rows = height - start
        read_rows = min(own_rows + more, rows - start)
        own = width
        read = columns
        if side == 12:
            own = min(_STRING_TILE - 64, width - first)
            read = min(own + 64, columns - first)
            if columns - first - own < 75:
                own = width - first
                read = columns - first
        base = address + (start * columns + first) * itemsize
        for plane in range(planes):
            _, low, high = _fill(itemsize, base, read_rows * read, bits, rules[2 + plane], magnitude)
            totals[2 + plane] += _ones_of_rows(bits, own_rows, read, own)
            if side == 12:
                begin = -((first - left) // -shift) * shift + left if first > left else left
                _slide_strings(bits, begin - first, min(own, read - 11), shift, histograms[plane])
            else:
                row = -((start - top) // -shift) * shift + top if start > top else top
                while row < start + own_rows and row + 4 <= rows:
                    _slide_squares(
                        bits, (row - start) * columns, columns, left, min(own, columns - 3), shift, histograms[plane]
                    )
                    row += shift
            if plane == 0 and (low == 0 or high >= highest):
                for total in range(2):
                    _fill(itemsize, base, read_rows * read, bits, rules[total], magnitude)
                    totals[total] += _ones_of_rows(bits, own_rows, read, own)
        if side == 12:
            first += own
        else:
            start += own_rows


@njit(nogil=True, cache=True)
def scan(histogram, pairs, codes, counts):
    """Move a histogram's non-zero entries into codes (ascending) and counts, clear it, return how many there were.

    histogram: uint32 [65536]; pairs: the same memory as uint64, by which 32 entries at a time are found to be zero.
    """
    found = 0
    for group in range(0, pairs.size, 16):
        some = pairs[group]
        for index in range(group + 1, group + 16):
            some |= pairs[index]
        if some:
            for index in range(2 * group, 2 * group + 32):
                if histogram[index]:
                    codes[found] = index
                    counts[found] = histogram[index]
                    histogram[index] = 0
                    found += 1
    return found


@njit(nogil=True, cache=True)
def add_codes(codes, shift, histogram):
    """Count the codes by their bits from bit `shift` on; histogram: int64, added to."""
    shift = np.uint64(shift)
    for index in range(codes.size):
        histogram[np.uint64(codes[index]) >> shift] += 1


@njit(nogil=True, cache=True)
def add_fractions(codes, mantissa, sums):
    """Add up fractions by sign and exponent; sums: int64 [3, cells], number, lower 26 and upper bits, added to."""
    shift = np.uint64(mantissa)
    fraction = (np.uint64(1) << shift) - np.uint64(1)
    lower = np.uint64((1 << 26) - 1)
    for index in range(codes.size):
        code = np.uint64(codes[index])
        cell = code >> shift
        code &= fraction
        sums[0, cell] += 1
        sums[1, cell] += np.int64(code & lower)
        sums[2, cell] += np.int64(code >> np.uint64(26))


@njit(nogil=True, cache=True)
def add_digits(codes, known, uppers, shift, histograms):
    """Count 16 bits, from bit `shift` on, of the codes whose bits from bit `known` on are one of uppers.

    uppers: uint64; histograms: int64 [uppers, 65536], added to.
    """
    known = np.uint64(known)
    shift = np.uint64(shift)
    for number in range(uppers.size):  # the inner loop is the long one: three times as fast as the other way round
        upper = uppers[number]
        for index in range(codes.size):
            code = np.uint64(codes[index])
            if code >> known == upper:
                histograms[number, (code >> shift) & np.uint64(0xFFFF)] += 1
