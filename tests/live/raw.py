"""A client without a browser's manners: any header, any host, any path."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from serving import Address


@dataclass
class Client:
    """Speaks to a live server; keeps its cookies, once it has any."""

    live: Address
    cookies: dict[str, str] = field(default_factory=dict)
    xsrf: str = ""

    def send(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        """Status, headers and text. Header names are written with `_` for `-`."""
        place = self.live.place
        connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=10)
        known = {"host": place.host, "cookie": self.cookie, "x-xsrftoken": self.xsrf}
        known |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in known.items():
                if value:
                    connection.putheader(name, value)
            if content is not None:
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")
        finally:
            connection.close()

    @property
    def cookie(self) -> str:
        """The header."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def greet(self) -> Client:
        """Open the printed address, and learn the value that later requests must show."""
        _, headers, _ = self.send("GET", self.live.url.partition(self.live.place.host)[2])
        self._keep(headers)
        _, headers, text = self.send("GET", "/_live/hello")
        self._keep(headers)
        self.xsrf = json.loads(text)["xsrf"]
        return self

    def _keep(self, headers: http.client.HTTPMessage) -> None:
        for line in headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value

    def kernel(self, lab: str = "01-demo") -> str:
        """The id of the lab's kernel, started when it is not there."""
        session = {"path": lab, "name": lab, "type": "notebook", "kernel": {"name": "python3"}}
        status, _, text = self.send("POST", "/_live/api/sessions", session)
        assert status == 201, text
        return str(json.loads(text)["kernel"]["id"])

    def kernels(self) -> list[dict[str, Any]]:
        """Every kernel of the server."""
        found: list[dict[str, Any]] = json.loads(self.send("GET", "/_live/api/kernels")[2])
        return found

    def upgrade(self, kernel: str, **headers: str) -> tuple[int, socket.socket]:
        """Ask for a kernel's WebSocket: the status of the answer, and the connection."""
        place = self.live.place
        key = base64.b64encode(os.urandom(16)).decode()
        known = {
            "host": place.host,
            "origin": f"http://{place.host}",
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-key": key,
            "sec-websocket-version": "13",
            "cookie": self.cookie,
        } | headers
        lines = [f"GET /_live/api/kernels/{kernel}/channels?session_id=x HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in known.items() if value]
        sock = socket.create_connection(("127.0.0.1", place.port), timeout=20)
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(sock.recv(65536).split(b" ", 2)[1]), sock


def frame(size: int) -> bytes:
    """A text message of that many bytes, as a browser would mask it."""
    return b"\x81\xff" + struct.pack("!Q", size) + bytes(4) + b"x" * size


def ends(sock: socket.socket) -> bool:
    """Whether the other side closes the connection."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True
