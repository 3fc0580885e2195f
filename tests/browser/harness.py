"""A real JupyterLab and a real Chromium: what widgets are tested in (docs/widgets.md shows a test in ten lines).

`Lab` starts JupyterLab on 127.0.0.1 in a folder of its own; `Page` opens a notebook in Chromium, runs it, and keeps the
address of every request, so that a test can say that none left the machine.
"""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbformat

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def find_chromium() -> str | None:
    """The path of the system's Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


def outside(address: str) -> bool:
    """Whether an address leads off this machine (data:, blob: and about: lead nowhere)."""
    parts = urlsplit(address)
    return parts.scheme not in {"data", "blob", "about"} and parts.hostname not in LOOPBACK


class Lab:
    """JupyterLab on a free port of 127.0.0.1, serving ``folder``; `stop` ends it and its kernels."""

    def __init__(self, folder: Path):
        self.folder, self.token = folder, secrets.token_hex(16)
        home = folder / ".home"  # settings, trust and kernels' files of this server alone
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",  # beside another worker, two threads a kernel wait for one another
        }
        environment.pop("WORKBENCH_RUN_FOLDER", None)
        settings = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False}  # no pop-up over the page, no question to the network
        (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
        self.log = (folder / "lab.log").open("w")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
                f"--IdentityProvider.token={self.token}",
                f"--ServerApp.root_dir={folder}",
                "--LabApp.expose_app_in_browser=True",
                "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
            ],
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.runtime = home / "runtime"
        self.address = self._wait(60)

    def _wait(self, seconds: float) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            for file in self.runtime.glob("jpserver-*.json"):
                try:
                    address = json.loads(file.read_text())["url"]
                    with urllib.request.urlopen(f"{address}api?token={self.token}", timeout=5):
                        return address
                except (json.JSONDecodeError, urllib.error.URLError, OSError):
                    continue  # half written, or not yet listening
            time.sleep(0.1)
        self.stop()
        said = (self.folder / "lab.log").read_text()[-2000:]
        raise RuntimeError(f"JupyterLab did not start in {seconds:g} s:\n{said}")

    def write(self, name: str, cells: list[str]) -> str:
        """A notebook of these code cells in the served folder; its name."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.folder / name)
        return name

    def copy(self, paper: str, **parameters) -> str:
        """notebooks/PAPER.ipynb in the served folder, its parameters set as the runner sets them."""
        notebook = nbformat.read(ROOT / "notebooks" / f"{paper}.ipynb", as_version=4)
        cells = notebook.cells
        place = next(i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))
        lines = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
        cells.insert(place + 1, nbformat.v4.new_code_cell(lines))
        nbformat.write(notebook, self.folder / f"{paper}.ipynb")
        return f"{paper}.ipynb"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # the server shuts its kernels down
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(15)
        self.log.close()


class Page:
    """One notebook open in Chromium. ``page`` is Playwright's; `requests` are all addresses asked for so far."""

    def __init__(self, browser, lab: Lab, notebook: str, *, width: int = 1280, height: int = 1000):
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.said: list[str] = []
        self.page.on("console", lambda line: self.said.append(line.text) if line.type == "error" else None)
        self.page.goto(f"{lab.address}lab/tree/{quote(notebook)}?token={lab.token}&reset")
        # The status line says idle too early: only the session knows when the kernel can be spoken to.
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel"
            "?.connectionStatus === 'connected'",
            timeout=60_000,
        )

    def run_all(self, timeout: float = 180) -> None:
        """Run every cell; an exception in a cell fails here, with its last line."""
        self.page.set_default_timeout(timeout * 1000)
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        errors = self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells"
            ".flatMap(cell => cell.outputs || []).filter(output => output.output_type === 'error')"
            ".map(output => `${output.ename}: ${output.evalue}`)"
        )
        self.page.set_default_timeout(30_000)
        assert not errors, errors

    def execute(self, code: str) -> None:
        """Hand code to the kernel without waiting for it, as another cell would."""
        self.page.evaluate(
            "code => { window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
            ".requestExecute({ code }); }",
            code,
        )

    def command(self, name: str, **arguments) -> None:
        """A command of JupyterLab, as its palette calls it."""
        self.page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments])

    def widget(self, index: int = 0):
        """The page's ``index``-th widget, in view, once it has its answer."""
        root = self.page.locator(".wb").nth(index)
        root.wait_for(state="attached")
        root.scroll_into_view_if_needed()
        self.settled(index)
        return root

    def settled(self, index: int = 0, timeout: float = 60) -> None:
        """Wait until the widget shows the answer to what it asks."""
        self.page.wait_for_function(
            "i => document.querySelectorAll('.wb')[i]?.getAttribute('aria-busy') === 'false'",
            arg=index,
            timeout=timeout * 1000,
        )

    def table(self, index: int = 0) -> list[list[str]]:
        """The body of the widget's table, as shown, opening it first where it is closed."""
        root = self.page.locator(".wb").nth(index)
        toggle = root.get_by_role("button", name="Table", exact=True)
        if toggle.get_attribute("aria-pressed") == "false":
            toggle.click()
        return root.locator("table").evaluate(
            "node => [...node.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent))"
        )

    def errors(self) -> list[str]:
        """What the page's own scripts wrote to the console as errors; JupyterLab's talk of its server is left out."""
        return [text for text in self.said if not re.search("Failed to load resource|WebSocket", text)]

    def outside(self) -> list[str]:
        """The addresses asked for that are not on this machine."""
        return [address for address in self.requests if outside(address)]

    def close(self) -> None:
        self.context.close()
