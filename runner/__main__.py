"""``python -m runner``, and the ``runner`` command."""

from __future__ import annotations

import sys

from . import __version__


def main() -> None:
    """Answer ``--version`` at the price of Python alone; everything else is for `cli`."""
    if sys.argv[1:] == ["--version"]:
        print(f"runner {__version__}")
        return
    try:
        from .cli import main as command_line  # noqa: PLC0415 - see above

        command_line()
    except KeyboardInterrupt:  # so early that the command line did not listen yet
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
