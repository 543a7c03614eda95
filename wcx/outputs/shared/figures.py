"""Numbers as a person reads them in a table: few digits, plain ASCII, the same everywhere."""

from __future__ import annotations

MISSING = "-"


def change(ratio: float | None) -> str:
    """Return a ratio as the change from 1.

    >>> change(0.876), change(1.00042), change(1.0), change(41.5)
    ('-12.4%', '+0.04%', '0.00%', '+4050%')
    """
    if ratio is None:
        return MISSING
    percent = 100 * (ratio - 1)
    places = 2 if abs(percent) < 0.995 else 1 if abs(percent) < 999.5 else 0
    text = f"{percent:+.{places}f}%"
    return text[1:] if float(text[:-1]) == 0 else text


def ratio(value: float | None) -> str:
    """Return a ratio whose denominator is not an expectation.

    >>> ratio(0.98765), ratio(41.5), ratio(None)
    ('0.988', '41.500', '-')
    """
    return MISSING if value is None else f"{value:.3f}"


def score(z: float | None) -> str:
    """Return a z-score with its sign.

    >>> score(-4.21), score(213.4), score(-123456.0)
    ('-4.2', '+213', '-1.2e5')
    """
    if z is None:
        return MISSING
    if abs(z) < 1e5:
        return f"{z:+.1f}" if abs(z) < 99.95 else f"{z:+.0f}"
    return _short_exponent(f"{z:+.1e}")


def share(value: float | None) -> str:
    """Return a part of a whole, in per cent.

    >>> share(0.2577), share(0.0635), share(0.000012), share(0.0)
    ('25.8%', '6.35%', '1.2e-3%', '0%')
    """
    if value is None:
        return MISSING
    percent = 100 * value
    if 0 < percent < 0.005:
        return _short_exponent(f"{percent:.1e}") + "%"
    return f"{percent:.{2 if 0 < percent < 9.995 else 1 if percent else 0}f}%"


def per_weight(bits: float | None, weights: int) -> str:
    """Return bits per weight.

    >>> per_weight(1900.0, 1000), per_weight(5.0, 10000), per_weight(5.0, 0)
    ('1.9000', '5.0e-4', '-')
    """
    return MISSING if bits is None or weights == 0 else _small(bits / weights, 4, 0.001)


def density(value: float | None) -> str:
    """Return a fraction between 0 and 1.

    >>> density(0.4999), density(0.00004), density(0.0)
    ('0.500', '4.0e-5', '0')
    """
    return MISSING if value is None else f"{value:.0f}" if value in (0, 1) else _small(value, 3, 0.001)


def load(value: float | None) -> str:
    """Return blocks per possible block.

    >>> load(0.0473), load(16.0), load(4096.0)
    ('0.05', '16.0', '4,096')
    """
    if value is None:
        return MISSING
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 999.95 else f"{value:,.0f}"


def two_places(value: float | None) -> str:
    """Return bits per block."""
    return MISSING if value is None else f"{value:.2f}"


def count(value: float | None) -> str:
    """Return a whole number, with thousands separated."""
    return MISSING if value is None else f"{value:,.0f}"


def any_number(value: object) -> str:
    """Return a measure without a format of its own: whole numbers whole, others with four digits.

    >>> any_number(2113), any_number(0.91234567), any_number(None)
    ('2,113', '0.9123', '-')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else MISSING


def nbytes(value: int) -> str:
    """Return a size in decimal units.

    >>> nbytes(999), nbytes(247848), nbytes(13_000_000_000)
    ('999 B', '247.8 kB', '13.0 GB')
    """
    if value < 1000:
        return f"{value} B"
    size = float(value)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:,.1f} TB"


def _small(value: float, places: int, limit: float) -> str:
    if value == 0 or abs(value) >= limit:
        return f"{value:.{places}f}"
    return _short_exponent(f"{value:.1e}")


def _short_exponent(text: str) -> str:
    return text.replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
