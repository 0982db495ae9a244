"""Whether the time a wrong signature takes to refuse tells how much of it is right.

    python benchmarks/timing.py [--count 100000] [--json FILE]

Wrong signatures are checked in random order: with no byte of the MAC right, with its first, or with all but its last.
Of each is told the median, and the difference of that to the median of the first kind, with its 95 % interval by
bootstrap over 200 blocks of neighbours.
"""

from __future__ import annotations

import base64
import gc
import random
import secrets
import statistics
import time
from typing import Any

from flask_condor.signature import SIGNATURE
from flask_condor.signature import Signatures
from flask_condor.signature import sign
from frame import keep
from frame import parser_of
from werkzeug.datastructures import Headers

BODY = b'{"event":"order.paid","payload":{"id":17}}'
BLOCKS = 200
RESAMPLES = 2_000


def wrong(mac: bytes, right: int) -> str:
    """Return a signature whose first *right* bytes are those of *mac*, the next one is not, and the rest is random."""
    random_bytes = secrets.token_bytes(len(mac))
    altered = mac[:right] + bytes([mac[right] ^ 0xFF]) + random_bytes[right + 1 :]
    return f"v1,{base64.b64encode(altered).decode()}"


def measure(count: int) -> dict[int, list[int]]:
    """Return the nanoseconds of each check, by how many bytes were right."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    signatures, now = Signatures([secret]), time.time()
    headers = sign(secret, "msg_1", now, BODY)
    mac = base64.b64decode(headers[SIGNATURE][3:])
    taken: dict[int, list[int]] = {0: [], 1: [], 31: []}
    kinds = [kind for kind in taken for _ in range(count // len(taken))]
    random.shuffle(kinds)
    requests = [Headers(headers | {SIGNATURE: wrong(mac, kind)}) for kind in kinds]
    gc.disable()
    for kind, given in zip(kinds, requests, strict=True):
        began = time.perf_counter_ns()
        signer = signatures.signer(given, BODY, now)
        ended = time.perf_counter_ns()
        taken[kind].append(ended - began)
        assert signer is None
    gc.enable()
    return taken


def interval(one: list[int], other: list[int]) -> list[float]:
    """Return the 95 % interval of how much longer *other* takes than *one*, at the median."""
    size = len(one) // BLOCKS
    places = [slice(start, start + size) for start in range(0, size * BLOCKS, size)]
    differences = [statistics.median(other[place]) - statistics.median(one[place]) for place in places]
    found = sorted(statistics.median(random.choices(differences, k=BLOCKS)) for _ in range(RESAMPLES))
    return [found[round(RESAMPLES * share)] for share in (0.025, 0.975)]


def main() -> None:
    options = parser_of(__doc__, count=100_000).parse_args()
    taken = measure(max(options.count, 3 * BLOCKS))
    none = taken.pop(0)
    figures: dict[str, Any] = {"no byte right": {"median in ns": statistics.median(none)}}
    for right, some in taken.items():
        difference = statistics.median(some) - statistics.median(none)
        figures[f"{right} of 32 right"] = {"more in ns": difference, "95 % interval": interval(none, some)}
    keep(figures, options, ["standardwebhooks"])


if __name__ == "__main__":
    main()
