"""Starts MiniStack with remedies for what it gets wrong.

Nothing installed is edited: each remedy wraps functions of the loaded modules. They are private functions, so the version is
pinned and checked, and a name that is gone ends the start with a message instead of running half-remedied.

Run with a clean environment (see `xtask/src/emulator.rs`): MiniStack hands its whole environment on to every Lambda. The one argument is
the file for the ledger of rights, where IAM is enforced.
"""

import atexit
import importlib.metadata
import os
import sys

PINNED = "1.5.33"


def main() -> None:
    # A session of its own: a terminal's Ctrl-C does not reach it, and all processes of its functions are found by it.
    if os.getsid(0) != os.getpid():
        os.setsid()
    found = importlib.metadata.version("ministack")
    if found != PINNED:
        sys.exit(f"ministack {found} is installed, but the remedies are written for {PINNED}")

    import ministack.app as app
    from ministack.core import iam_actions, iam_evaluator, lambda_runtime, responses
    from ministack.services import apigateway, dynamodb, eventbridge, lambda_svc, sqs, stepfunctions

    from remedies import events, lambdas, latency, ledger, partitions, queues, requests, rights, states, streams

    try:
        latency.install(lambda_runtime)
        lambdas.install(lambda_runtime, lambda_svc)
        events.install(eventbridge, lambda_svc)
        queues.install(lambda_svc, sqs)
        streams.install(lambda_svc, dynamodb)
        states.install(stepfunctions)
        requests.install(apigateway)
        rights.install(app, iam_actions, responses, states.waiting_machine)
        partitions.install(iam_actions, iam_evaluator, dynamodb)
        if len(sys.argv) > 1:
            ledger.install(sys.argv[1], iam_evaluator)
    except AttributeError as error:
        sys.exit(f"a remedy does not fit ministack {found}: {error}")

    # An orderly end takes the functions' processes along.
    atexit.register(lambda: lambda_runtime.reset())
    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
