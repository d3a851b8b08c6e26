"""Runpod over HTTP: its jobs, its OpenAI-compatible chat route, the files its replies point to."""
