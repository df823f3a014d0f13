#!/usr/bin/env python3
"""compare.py FIRST SECOND: the outputs of results.cu on two GPUs.

Lines `exact NAME HASH` must be equal, and lines `near NAME ULPS VALUE…` hold 32-bit floats, in hexadecimal, that are no more than
ULPS units in the last place apart. Prints what differs and exits 1, or the counts.
"""
import pathlib
import sys


def order(bits):
    """Floats as integers in their order, so that neighbours differ by one; both zeros are 0."""
    return -(bits & 0x7FFFFFFF) if bits >> 31 else bits


def is_nan(bits):
    return bits & 0x7FFFFFFF > 0x7F800000


def distance(first, second):
    if is_nan(first) or is_nan(second):
        return 0 if is_nan(first) and is_nan(second) else float("inf")
    return abs(order(first) - order(second))


def read(path):
    lines = [line.split() for line in pathlib.Path(path).read_text().splitlines()]
    if ["done"] not in lines:
        raise SystemExit(f"{path}: the program did not end well")
    return {(kind, name): rest for kind, name, *rest in (line for line in lines if line[0] in ("exact", "near"))}


def main(arguments):
    if len(arguments) != 2:
        raise SystemExit("usage: compare.py FIRST SECOND")
    first, second = (read(path) for path in arguments)
    if not first or first.keys() != second.keys():
        raise SystemExit("not the same results: %s" % sorted(first.keys() ^ second.keys()))
    differing = 0
    for (kind, name), values in first.items():
        others = second[kind, name]
        if kind == "exact" and values != others:
            print(f"{name}: {values[0]} and {others[0]}")
            differing += 1
        elif kind == "near":
            worst = max(distance(int(a, 16), int(b, 16)) for a, b in zip(values[1:], others[1:], strict=True))
            if worst > int(values[0]):
                print(f"{name}: {worst} units in the last place apart, {values[0]} are stated")
                differing += 1
    print(f"{len(first) - differing} alike, {differing} not")
    sys.exit(1 if differing else 0)


main(sys.argv[1:])
