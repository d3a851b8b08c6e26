"""A language model as a program: weights in, an OpenAI-compatible server on a loopback port out, until stdin ends.

    python llama.py WEIGHTS    # says where it is in one line; who knows the first line of its stdin may ask

A process of its own, because native code that fails takes its process along. It imports nothing of ours.
"""

import os
import sys

import xllamacpp


def server(weights: str, key: str = "") -> xllamacpp.Server:
    """One thread, one text at a time, no graphics card: the same request gives the same text."""
    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.n_ctx = 8192  # what SmolLM2 was trained with
    params.n_parallel = params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_gpu_layers = 0
    params.fit_params = params.warmup = params.ui = params.endpoint_slots = False
    params.cache_ram_mib = 0
    params.verbosity = -1
    params.api_keys = [key] if key else []
    return xllamacpp.Server(params)


if __name__ == "__main__":
    serving = server(sys.argv[1], sys.stdin.readline().strip())
    print(serving.listening_address, flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on
    sys.stdin.read()
    os._exit(0)  # nobody waits for a text that is half written
