"""A headless Chromium as a test drives it: by the devtools protocol over two pipes, without a further package."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    """One tab, and everything that it asked for or complained about.

    Attributes:
        requests: the addresses that it requested.
        complaints: errors and messages of the console, violations of the policy, uncaught exceptions.
    """

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = os.fdopen(write, "wb", buffering=0), os.fdopen(read, "rb")
        self._number = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            assert byte, "Chromium ended"
            text += byte
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        kind, of = event.get("method"), event.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.requests.append(of["request"]["url"])
        elif kind in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(of))

    def open(self, page: Path, width: int = 1200, dark: bool = False) -> None:
        """Load a page at a width in pixels."""
        self.requests, self.complaints = [], []
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.run("window.left = true")  # the page of before, which may have the same address
        self.call("Page.navigate", url=page.as_uri())
        here = f"document.readyState === 'complete' && location.href === {json.dumps(page.as_uri())}"
        self.wait(f"!window.left && {here}")

    def wait(self, script: str, seconds: float = 20) -> None:
        """Wait until an expression in the page is true."""
        end = monotonic() + seconds
        while not self.run(script):
            assert monotonic() < end, f"never true: {script}"

    def close(self) -> None:
        """End the connection."""
        self._write.close()
        self._read.close()

    def run(self, script: str) -> Any:
        """The value of an expression in the page, as JSON can say it."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium, or skip the test where there is none."""
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser is installed ({', '.join(NAMES)}), and a page's script needs one")
    (to_read, to_write), (from_read, from_write) = os.pipe(), os.pipe()
    # Chromium reads commands from descriptor 3 and writes answers to 4; the shell moves them there.
    line = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
    flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
    command = ["bash", "-c", line, program, *flags]
    with subprocess.Popen(
        command, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(to_read)
        os.close(from_write)
        try:
            tab = Browser(to_write, from_read)
            yield tab
            tab.close()
        finally:
            process.terminate()
