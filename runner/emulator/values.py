"""The one word for what comes in and goes out on the wire: any JSON value."""

from typing import Any

JSON = Any
