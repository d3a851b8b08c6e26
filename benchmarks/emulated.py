"""The emulator, for who wants to know how often it was asked: ``python -m benchmarks.emulated LATENCY [FAULT…]``.

Its base URL is on stdout, and after each line on stdin the count of requests so far.
"""

from __future__ import annotations

import sys

from runner.emulator import Emulator, parse_fault, parse_latency


def main(latency: str, *faults: str) -> None:
    """Serve until stdin ends."""
    with Emulator(latency=parse_latency(latency), faults=[parse_fault(fault) for fault in faults]) as emulator:
        print(emulator.url, flush=True)
        for _ in sys.stdin:
            print(len(emulator.requests), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
