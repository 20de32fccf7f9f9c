"""browser.py - a headless Chromium for tests, over the pipe of its DevTools protocol: no driver and no library is needed"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium-headless-shell", "chromium")
PATIENCE = float(os.environ.get("PATIENCE", "60"))  # seconds with one answer, or with what is waited for


class Failed(Exception):
    """Something is not as the test wants it."""


class Browser:
    """One page. `said` has all that the console and the browser itself had to complain of."""

    def __init__(self):
        program = next((found for found in map(shutil.which, NAMES) if found), None)
        if not program:
            raise Failed("no Chromium: tests/packages web")
        self.profile = tempfile.mkdtemp(prefix="rmigrate-web.")
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        for end in (to_read, from_write):
            os.set_inheritable(end, True)
        # The protocol is spoken on the descriptors 3 and 4.
        self.process = subprocess.Popen(
            ["bash", "-c", 'exec "$@" 3<&"$0" 4>&"$END"', str(to_read), program, "--remote-debugging-pipe", "--headless",
             "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
             f"--user-data-dir={self.profile}", "about:blank"],
            env={**os.environ, "END": str(from_write)}, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.to, self.source, self.buffer, self.number = to_write, from_read, b"", 0
        self.said = []
        self.session = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except Failed:
            self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.source)
        shutil.rmtree(self.profile, ignore_errors=True)

    # ---- the protocol: JSON, each message ended by a NUL

    def _message(self, end):
        while b"\0" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.source], [], [], left)[0]:
                return None
            more = os.read(self.source, 1 << 20)
            if not more:
                raise Failed("the browser has ended")
            self.buffer += more
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.said.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.said.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.said.append(f'{params["entry"]["text"]} {params["entry"].get("url", "")}')

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._message(end)
            if answer is None:
                raise Failed(f"{method}: no answer")
            if answer.get("id") != self.number:
                self._note(answer)
                continue
            if "error" in answer:
                raise Failed(f'{method}: {answer["error"]["message"]}')
            return answer.get("result", {})

    # ---- the page

    def look(self, expression):
        """The value of an expression of JavaScript; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failed(f'{expression}: {answer["exceptionDetails"].get("exception", {}).get("description")}')
        return answer["result"].get("value")

    def until(self, expression, what=None):
        """Waits until it is true, and is its value."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.look(f"((value) => value instanceof Node ? true : value)({expression})")
            if value:
                return value
            if time.monotonic() > end:
                raise Failed(f"not within the time: {what or expression}; the page says: {self.look('document.body.innerText')[:3000]}")
            time.sleep(0.05)

    def go(self, url):
        self.call("Page.navigate", url=url)
        self.until('document.readyState === "complete"')

    def size(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def media(self, **features):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def key(self, key, code=None, text=None):
        numbers = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38}
        common = {"key": key, "code": code or key, "windowsVirtualKeyCode": numbers.get(key, ord(key[0]))}
        text = "\r" if key == "Enter" else text
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def click(self, selector):
        """With the mouse, in the middle of the first such element, as a person does."""
        box = self.until(f"""(() => {{
            const one = document.querySelector({json.dumps(selector)});
            if (!one) return null;
            one.scrollIntoView({{block: "center"}});
            const box = one.getBoundingClientRect();
            return box.width ? [box.left + box.width / 2, box.top + box.height / 2] : null;
        }})()""", f"something to click: {selector}")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def picture(self, file, whole=False):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(file, "wb") as out:
            out.write(base64.b64decode(shot["data"]))
