"""Amounts as on the command line: 64m, 1.5s, half a core."""
import re

SIZES = {'': 1, 'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}
TIMES = {'ns': 1, 'us': 10**3, 'ms': 10**6, 's': 10**9, 'm': 60 * 10**9, 'h': 3600 * 10**9}
IN_CORES = ('cpus', 'cpu_reserve')
IN_TIME = ('cpu_time', 'timeout', 'cpu_burst')
UNLIMITED = 2**64 - 1


def _scaled(text, units, default):
    match = re.fullmatch(r'([0-9]*\.?[0-9]+)([a-z]*)', text.lower())
    if not match or (match.group(2) or default) not in units:
        raise ValueError(f'{text!r} is no amount')
    return int(float(match.group(1)) * units[match.group(2) or default])


def amount(quota, value):
    """The number that the library wants. Numbers are bytes, counts, seconds or cores."""
    if value is None or value == 'unlimited':
        return UNLIMITED
    if quota in IN_CORES:
        return round(float(value) * 1000)
    if quota in IN_TIME:
        return _scaled(str(value), TIMES, 's')
    return _scaled(str(value).removesuffix('/s'), SIZES, '')
