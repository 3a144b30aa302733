"""Serves pages with CPython's http.server: `python_serve ADDRESS PORT REQUESTS` ends after REQUESTS answers."""

# CPython encodes host names with this codec. The component contains only the modules that are imported while it is
# built, and can find no others when it runs.
import encodings.idna  # noqa: F401
import http.server
import socket
import sys

from wit_world import exports

GREETING = b"Hello from CPython.\n"


class Run(exports.Run):
    def run(self):
        host, port, requests = sys.argv[1:]

        class Server(http.server.HTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        with Server((host, int(port)), Handler) as server:
            print(f"listening on {server.server_address}", flush=True)
            for _ in range(int(requests)):
                server.handle_request()


class Handler(http.server.BaseHTTPRequestHandler):
    """`/` is a greeting, `/bytes/N` is N bytes."""

    def do_GET(self):
        if self.path == "/":
            body = GREETING
        elif self.path.startswith("/bytes/"):
            length = int(self.path.removeprefix("/bytes/"))
            body = (b"0123456789abcdef" * (length // 16 + 1))[:length]
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
