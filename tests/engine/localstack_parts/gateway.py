"""The gateway listens on the host it is told. LocalStack takes only the port of `GATEWAY_LISTEN` and opens it to everybody.

A fifth of the time of a request goes into reading its content type with a parser of mails: each is read once.
"""

import functools
from types import SimpleNamespace

from . import replace


def install(host: str) -> None:
    from localstack.runtime.server import twisted
    from twisted.web import http

    replace(http, "_parseContentType", functools.lru_cache(maxsize=256)(http._parseContentType))
    open_endpoints = twisted.endpoints

    def endpoint(reactor, port):
        return open_endpoints.TCP4ServerEndpoint(reactor, port, interface=host)

    only_here = SimpleNamespace(TCP4ServerEndpoint=endpoint, TCP6ServerEndpoint=open_endpoints.TCP6ServerEndpoint)
    replace(twisted, "endpoints", only_here)
