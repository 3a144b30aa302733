"""Fetches a page with CPython's urllib: `python_fetch URL [SECONDS]` prints it, or a summary if it is not text.

Waits for so many seconds until somebody listens.
"""

# CPython encodes host names with this codec. The component contains only the modules that are imported while it is
# built, and can find no others when it runs.
import encodings.idna  # noqa: F401
import sys
import time
import urllib.error
import urllib.request
import zlib

from wit_world import exports


class Run(exports.Run):
    def run(self):
        url, *rest = sys.argv[1:]
        until = time.monotonic() + float(rest[0] if rest else 0)
        with fetch(url, until) as response:
            assert response.status == 200, response.status
            page = response.read()
            promised = response.headers["Content-Length"]
            assert promised is None or int(promised) == len(page), (promised, len(page))
            is_text = response.headers["Content-Type"] != "application/octet-stream"
        print(page.decode() if is_text else f"{len(page)} bytes, Adler-32 {zlib.adler32(page):08x}\n", end="", flush=True)


def fetch(url, until):
    while True:
        try:
            return urllib.request.urlopen(url)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() >= until:
                raise
        time.sleep(0.01)
