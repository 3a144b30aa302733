"""Fetches a page with CPython's urllib over `wasi:http`, which has TLS: `python_https URL [BODY]` prints it.

This build of CPython has no module `ssl`, so its own handlers open no `https` URL. `WasiHandler` opens `http` and
`https` URLs with requests of `wasi:http`. Redirections, statuses and header fields stay with urllib. BODY is sent by
POST.
"""

import contextlib
import http.client
import io
import sys
import urllib.error
import urllib.request
import urllib.response

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import outgoing_handler, types
from wit_world.imports.streams import StreamError_Closed


class Run(exports.Run):
    def run(self):
        if not 2 <= len(sys.argv) <= 3:
            fail("usage: python_https URL [BODY]")
        url, *body = sys.argv[1:]
        urllib.request.install_opener(urllib.request.build_opener(WasiHandler))
        try:
            with urllib.request.urlopen(url, body[0].encode() if body else None, timeout=60) as response:
                page = response.read()
        except (ValueError, OSError) as error:
            fail(f"cannot fetch {url}: {error}")
        sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()


def fail(message):
    """Ends the program with a failure, which has no value."""
    print(message, file=sys.stderr, flush=True)
    raise Err(None)


# As a subclass it replaces the handler of `http` that openers have by default.
class WasiHandler(urllib.request.HTTPHandler):
    """Opens URLs with requests of `wasi:http`. The body of a request is bytes, or iterates over bytes."""

    def http_open(self, request):
        return self.send(request, types.Scheme_Http())

    def https_open(self, request):
        return self.send(request, types.Scheme_Https())

    https_request = urllib.request.HTTPHandler.http_request

    def send(self, request, scheme):
        try:
            head = types.OutgoingRequest(types.Fields.from_list(fields_of(request)))
            head.set_method(types.Method_Other(request.get_method()))
            head.set_scheme(scheme)
            head.set_authority(request.host)
            head.set_path_with_query(request.selector)
            body = head.body()
            pending = outgoing_handler.handle(head, options_of(request))
            send_body(body, request.data)
            response = result_of(pending)
        except Err as error:
            raise urllib.error.URLError(reason_of(error.value)) from None
        status = response.status()
        message = http.client.HTTPMessage()
        for name, value in response.headers().entries():
            message[name] = value.decode("latin-1")
        page = urllib.response.addinfourl(io.BufferedReader(Body(response)), message, request.full_url, status)
        # Where HTTPErrorProcessor looks for it.
        page.msg = http.client.responses.get(status, "")
        return page


# Fields of the connection are the host's, which refuses them from a program.
HOST_FIELDS = {"connection", "host", "transfer-encoding"}


def fields_of(request):
    fields = ((name.lower(), value.encode("latin-1")) for name, value in request.header_items())
    return [(name, value) for name, value in fields if name not in HOST_FIELDS]


def options_of(request):
    """The time-out of a request is for each time that it waits, as for sockets. Without one the host's hold."""
    if not isinstance(request.timeout, (int, float)):
        return None
    nanoseconds = int(request.timeout * 1e9)
    options = types.RequestOptions()
    options.set_connect_timeout(nanoseconds)
    options.set_first_byte_timeout(nanoseconds)
    options.set_between_bytes_timeout(nanoseconds)
    return options


def send_body(body, data):
    """Sends what urllib calls data: nothing, bytes or an iterable of bytes."""
    pieces = [data] if isinstance(data, bytes) else data or []
    most = 4096  # What one call takes.
    with body.write() as stream:
        for piece in pieces:
            for at in range(0, len(piece), most):
                try:
                    stream.blocking_write_and_flush(piece[at : at + most])
                except Err:
                    # The rest is not wanted; the response says why.
                    return
    types.OutgoingBody.finish(body, None)


def result_of(pending):
    """The response, when its head is here."""
    with pending, pending.subscribe() as ready:
        ready.block()
        # The outer result is an error only if it was taken before.
        result = pending.get().value
        if isinstance(result, Err):
            raise result
        return result.value


REASONS = {
    types.ErrorCode_ConnectionRefused: ConnectionRefusedError,
    types.ErrorCode_ConnectionTerminated: ConnectionResetError,
    types.ErrorCode_ConnectionTimeout: TimeoutError,
    types.ErrorCode_ConnectionReadTimeout: TimeoutError,
    types.ErrorCode_ConnectionWriteTimeout: TimeoutError,
    types.ErrorCode_HttpResponseTimeout: TimeoutError,
}


def reason_of(code):
    """Python's exception for an error of `wasi:http`, whose text is the error's name and value, if it has them."""
    if code is None:
        return OSError("wasi:http does not take the request's method or URL")
    text = type(code).__name__.removeprefix("ErrorCode_")
    if getattr(code, "value", None) is not None:
        text += f": {code.value}"
    return REASONS.get(type(code), OSError)(text)


class Body(io.RawIOBase):
    """The body of a response, which is read from the connection as it is wanted."""

    def __init__(self, response):
        # A resource must be dropped before the one that it is a part of.
        self.resources = contextlib.ExitStack()
        self.resources.enter_context(response)
        self.stream = self.resources.enter_context(self.resources.enter_context(response.consume()).stream())

    def readable(self):
        return True

    def readinto(self, buffer):
        try:
            more = self.stream.blocking_read(len(buffer))
        except Err as error:
            if isinstance(error.value, StreamError_Closed):
                return 0
            failure = error.value.value
            code = types.http_error_code(failure)
            raise (OSError(failure.to_debug_string()) if code is None else reason_of(code)) from None
        buffer[: len(more)] = more
        return len(more)

    def close(self):
        if not self.closed:
            self.resources.close()
        super().close()
