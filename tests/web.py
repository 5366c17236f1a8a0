"""A web server with TLS on this machine, for tests whose loop is busy with something else."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.channels.rallypoints import Authority


@dataclass
class Web:
    """Where it is, who signed its certificate, and what was asked for."""

    url: str
    ca: Path
    asked: list[str] = field(default_factory=list)


@contextmanager
def web_server(folder: Path, pages: Mapping[str, bytes]) -> Iterator[Web]:
    """Serve pages by their paths."""
    folder.mkdir(exist_ok=True)
    certificate = Authority.make(folder).issue("web")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append(self.path)
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    web = Web(f"https://127.0.0.1:{server.server_port}", folder / "ca.pem")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="web server")
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
