"""Runpod over HTTP: its jobs, its OpenAI-compatible chat route, the files its replies point to."""

from .offline import Offline
from .provider import Runpod

__all__ = ["Offline", "Runpod"]
