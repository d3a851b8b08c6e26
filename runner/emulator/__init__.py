"""A Runpod on a loopback port: endpoints, latencies and faults in, the real API's behaviour out.

with Emulator(latency=parse_latency("0.1+0.5"), faults=["run=429:1*2"]) as emulator:
    ...  # talk to emulator.url, then look at emulator.requests, emulator.jobs, emulator.paid
"""

from .endpoints import Endpoint, public
from .faults import OUTCOMES, Fault, parse_fault
from .jobs import Job, Retention
from .latency import Latency, parse_latency
from .log import Request
from .server import Emulator, serve_forever
from .webhooks import Delivery
from .workers import environment

__all__ = [
    "OUTCOMES",
    "Delivery",
    "Emulator",
    "Endpoint",
    "Fault",
    "Job",
    "Latency",
    "Request",
    "Retention",
    "environment",
    "parse_fault",
    "parse_latency",
    "public",
    "serve_forever",
]
