"""Declarative pipelines of text, pictures and their edits, on Runpod.

For programs and notebooks: `load`, `check`, `plan`, `run` and `run_sync`, see `runner.api`.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # the module that defines it takes as long to load as all of ``runner --version``
if TYPE_CHECKING:
    from .api import (
        CannotStart,
        Event,
        PipelineProblems,
        Problem,
        Run,
        RunFailed,
        RunnerError,
        RunOptions,
        RunState,
        UsageError,
        check,
        load,
        plan,
        run,
        run_sync,
    )

__all__ = [
    "CannotStart", "Event", "PipelineProblems", "Problem", "Run", "RunFailed", "RunOptions", "RunState", "RunnerError",
    "UsageError", "check", "load", "plan", "run", "run_sync",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """The names of `runner.api`, which is loaded when one of them is wanted."""
    if name in __all__:
        from . import api  # noqa: PLC0415 - the command line does without it

        return getattr(api, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
