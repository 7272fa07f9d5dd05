# SPDX-License-Identifier: Apache-2.0
"""
Chromium from Debian without a window, and the phones of browser.js in a page of it, by SIP.js. It is
driven by the DevTools protocol; the page and SIP.js come from a little HTTP server on the loopback
of its namespace, so that the page may use a microphone (one that Chromium plays itself).
"""
import functools
import http.client
import http.server
import itertools
import json
import shutil
import threading
import time
from pathlib import Path

from lab import LabError, wait_for
from lab.base import run
from netns import tcp_connect, tcp_listener
from phones.stream import Connection

HERE = Path(__file__).resolve().parent
DEVTOOLS, PAGES = ("127.0.0.1", 9222), ("127.0.0.1", 8000)


def can_browser(build):
    """Whether Chromium and SIP.js (config/setup.sh puts it into a build directory) are there."""
    return shutil.which("chromium") is not None and (build / "sip.js/index.js").exists()


class Pages(http.server.SimpleHTTPRequestHandler):
    """GET of the page's files and of /sip.js/."""

    def __init__(self, sip_js, *more):
        self.sip_js = sip_js
        super().__init__(*more)

    def translate_path(self, path):
        root, _, name = path.removeprefix("/").rpartition("sip.js/")
        return str((self.sip_js / name) if path.startswith("/sip.js/") else HERE / (root or name))

    def log_message(self, *_):
        pass


class Browser:
    """One Chromium in a host's namespace; six: it finds the domain at the IPv6 virtual address."""

    def __init__(self, lab, host_name, six=False):
        self.lab, self.numbers = lab, itertools.count(1)
        self.there = lab.host(host_name)
        self.serve(lab.build / "sip.js")
        directory = lab.dir / f"chromium-{host_name}"
        directory.mkdir()
        vip = f"[{lab.vip6}]" if six else lab.vip
        self.process = lab.popen(
            host_name, "env", f"HOME={directory}", "chromium", "--headless=new", "--no-sandbox",
            f"--user-data-dir={directory}", f"--remote-debugging-port={DEVTOOLS[1]}",
            f"--host-resolver-rules=MAP {lab.domain} {vip}",
            f"--ignore-certificate-errors-spki-list={spki(lab.certificate[0])}",
            "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--disable-component-update", "--no-first-run", "--no-default-browser-check",
            "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            "--autoplay-policy=no-user-gesture-required", "about:blank",
            name=f"chromium-{host_name}")
        self.process.wait_line("DevTools listening on", 30)
        self.devtools = self.open_page(f"http://{PAGES[0]}:{PAGES[1]}/browser.html")
        wait_for(lambda: self.evaluate("!!window.makePhone"), 10, "the page to load")

    def serve(self, sip_js):
        self.pages = http.server.ThreadingHTTPServer(
            PAGES, functools.partial(Pages, sip_js), bind_and_activate=False)
        self.pages.socket.close()
        self.pages.socket = tcp_listener(self.there.namespace, *PAGES)
        threading.Thread(target=self.pages.serve_forever, daemon=True).start()

    def open_page(self, url):
        """A tab with this page; the connection by which DevTools speak about it."""
        asked = http.client.HTTPConnection(*DEVTOOLS)
        asked.sock = tcp_connect(self.there.namespace, *DEVTOOLS)
        asked.request("PUT", f"/json/new?{url}")
        tab = json.loads(asked.getresponse().read())
        asked.close()
        path = tab["webSocketDebuggerUrl"].partition(f":{DEVTOOLS[1]}")[2]
        return Connection(self.there.namespace, DEVTOOLS, "WS", path=path, protocol=None)

    def evaluate(self, expression, timeout=15):
        """What a JavaScript expression, or its promise, comes to; LabError when it throws."""
        number = next(self.numbers)
        self.devtools.send(json.dumps({
            "id": number, "method": "Runtime.evaluate",
            "params": {"expression": expression, "awaitPromise": True, "returnByValue": True,
                       "userGesture": True}}).encode())
        deadline = time.monotonic() + timeout
        while (data := self.devtools.receive(max(0, deadline - time.monotonic()))) is not None:
            said = json.loads(data)
            if said.get("id") != number:
                continue
            result = said.get("result", {})
            if "exceptionDetails" in result or "error" in said:
                raise LabError(f"{expression}: {json.dumps(said)[:800]}")
            return result["result"].get("value")
        raise LabError(f"{expression}: nothing within {timeout} s\n{self.process.tail()}")

    def phone(self, user, server=None, media=True):
        """A BrowserPhone, registered by wss:// unless another server is named."""
        return BrowserPhone(self, user, server or f"wss://{self.lab.domain}/", media)

    def stop(self):
        self.devtools.close()
        self.pages.shutdown()
        self.pages.server_close()
        self.process.stop(5)


class BrowserPhone:
    """A user in the page of a Browser."""

    def __init__(self, browser, user, server, media):
        self.browser, self.user, self.domain = browser, user, browser.lab.domain
        browser.evaluate(f"makePhone({json.dumps(user)}, {json.dumps(server)}, "
                         f"{json.dumps(self.domain)}, {json.dumps(media)})")
        self.say("register()")

    @property
    def aor(self):
        return f"sip:{self.user}@{self.domain}"

    def say(self, call):
        return self.browser.evaluate(f"phones[{json.dumps(self.user)}].{call}")

    def dial(self, uri):
        self.say(f"dial({json.dumps(uri.partition(':')[2].partition('@')[0])})")

    def answer(self):
        self.say("answer()")

    def established(self):
        """Waits; the Call-ID."""
        self.say("established()")
        return self.say("callId()")

    def hears(self):
        return self.say("hears()")

    def hang_up(self):
        self.say("hangUp()")

    def closed(self):
        self.say("closed()")


def spki(cert):
    """What Chromium calls a key: the base64 of the SHA-256 of its SubjectPublicKeyInfo."""
    return run("sh", "-ec", 'openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform der'
               ' | openssl dgst -sha256 -binary | openssl base64', "sh", cert).stdout.strip()
