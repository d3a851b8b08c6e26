"""A client of a language server: JSON-RPC over its standard streams, as an editor speaks it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

_ABLE = {
    "workspace": {"configuration": True, "workspaceFolders": True},
    "textDocument": {
        "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
        "hover": {"contentFormat": ["markdown"]},
    },
}


class Client:
    """An editor with one folder open, in which `settings` of the section `yaml` hold."""

    def __init__(self, command: list[str], folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder, self._settings = folder, settings
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
        self._asked = 0
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        root = {"uri": self._folder.as_uri(), "name": "project"}
        self._ask("initialize", {"processId": None, "rootUri": root["uri"], "workspaceFolders": [root],
                                 "capabilities": _ABLE})  # fmt: skip
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": {"yaml": self._settings}})
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def open(self, file: str, text: str) -> list[str]:
        """Open a file that has this text, saved or not. What the editor would underline: ``line:column: words``."""
        uri = (self._folder / file).as_uri()
        self._diagnostics.pop(uri, None)
        self._tell("textDocument/didOpen", {"textDocument": {"uri": uri, "languageId": "yaml", "version": 1,
                                                             "text": text}})  # fmt: skip
        while uri not in self._diagnostics:
            self._hear(self._read())
        places = [(each["range"]["start"], each["message"]) for each in self._diagnostics[uri]]
        return [f"{start['line'] + 1}:{start['character'] + 1}: {message}" for start, message in places]

    def completions(self, file: str, text: str) -> dict[str, tuple[str, str]]:
        """What is offered where ``|`` stands in a text: by label, what would be inserted and what is said of it."""
        found = self._at("completion", file, text)
        items = found["items"] if isinstance(found, dict) else found
        return {item["label"]: (item.get("insertText", ""), _words(item.get("documentation"))) for item in items}

    def hover(self, file: str, text: str) -> str:
        """What is shown over the place where ``|`` stands in a text."""
        found = self._at("hover", file, text)
        return _words(found["contents"]) if found else ""

    def _at(self, what: str, file: str, text: str) -> Any:
        before, _, after = text.partition("|")
        self.open(file, before + after)
        place = {"line": before.count("\n"), "character": len(before.rpartition("\n")[2])}
        uri = (self._folder / file).as_uri()
        try:
            return self._ask(f"textDocument/{what}", {"textDocument": {"uri": uri}, "position": place})
        finally:
            self._tell("textDocument/didClose", {"textDocument": {"uri": uri}})

    def _ask(self, method: str, params: Mapping[str, Any]) -> Any:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == self._asked and "method" not in message:
                assert "error" not in message, message["error"]
                return message["result"]
            self._hear(message)

    def _hear(self, message: Mapping[str, Any]) -> None:
        """What the server says or asks of its own accord."""
        if message.get("method") == "workspace/configuration":
            wanted = [self._settings if item.get("section") == "yaml" else {} for item in message["params"]["items"]]
            self._send({"id": message["id"], "result": wanted})
        elif message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "id" in message and "method" in message:
            self._send({"id": message["id"], "result": None})

    def _tell(self, method: str, params: Mapping[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(content) + content)
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while header := self._process.stdout.readline().strip():
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the language server has ended"
        found: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return found


def _words(said: Any) -> str:
    return said if isinstance(said, str) else str(said["value"]) if isinstance(said, Mapping) else ""
