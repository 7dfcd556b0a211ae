"""Starts LocalStack without Docker, with what its free edition leaves out.

Nothing installed is edited: parts are put in their places before the start. They touch private functions, so the version is pinned and
checked, and a name that is gone ends the start with a message instead of running half of it.

Run with a clean environment, and with `GATEWAY_LISTEN` as host and port (see `xtask/src/emulator.rs`).
"""

import importlib.metadata
import os
import sys
import tempfile

PINNED = "4.14.0"

# What is the same wherever it runs. No telemetry, no downloads, no names that need a DNS server of its own.
ALWAYS = {
    "DISABLE_CORS_CHECKS": "1",
    "DISABLE_CORS_HEADERS": "1",
    "DISABLE_EVENTS": "1",
    "DNS_ADDRESS": "0",
    # Streams are looked at often: the answer of a gate waits for it.
    "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "0.5",
    "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": "0.02",
    "LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT": "30",
    # Also in a container it keeps its files where it is told, and asks no Docker for its own name.
    "OVERRIDE_IN_DOCKER": "0",
    "PROVIDER_OVERRIDE_DYNAMODB": "v2",
    "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "v2",
    "SKIP_SSL_CERT_DOWNLOAD": "1",
    "SQS_ENDPOINT_STRATEGY": "path",
}


def main() -> None:
    # A session of its own: a terminal's Ctrl-C does not reach it, and all processes of its functions are found by it.
    if os.getsid(0) != os.getpid():
        os.setsid()
    found = importlib.metadata.version("localstack-core")
    if found != PINNED:
        sys.exit(f"localstack-core {found} is installed, but what is added here is written for {PINNED}")
    host, _, port = os.environ.get("GATEWAY_LISTEN", "").rpartition(":")
    if not host or not port.isdigit():
        sys.exit("GATEWAY_LISTEN says no host and port, such as 127.0.0.1:4566")
    os.environ.update(ALWAYS)
    # How it names itself to its clients; a container is told, because it listens on every address.
    os.environ.setdefault("LOCALSTACK_HOST", f"{host}:{port}")
    os.environ.setdefault("FILESYSTEM_ROOT", tempfile.gettempdir())
    # With it the engine would call itself by the address that is meant for its clients.
    os.environ.pop("AWS_ENDPOINT_URL", None)

    from localstack_parts import events, expressions, faults, gateway, http_apis, lambdas, mail, queues, states, tables

    try:
        gateway.install(host)
        tables.install()
        lambdas.install()
        expressions.install()
        events.install()
        http_apis.install()
        mail.install()
        queues.install()
        states.install()
        faults.install()
    except (AttributeError, ImportError) as error:
        sys.exit(f"a part does not fit localstack-core {found}: {error}")

    from localstack.runtime.main import main as run

    run()


if __name__ == "__main__":
    main()
