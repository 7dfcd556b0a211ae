"""Lambda without Docker: each execution environment is a process on this machine, with a runtime API of its own.

As on AWS: an environment serves one invocation at a time; one that runs too long is killed with all it has started and says
`Sandbox.Timedout`; one that ends by itself says `Runtime.ExitError`; the next invocation gets a new process in the same environment,
whose temporary directory is still there. Memory is not limited.

An asynchronous invocation through an alias is tried again and given up as the alias says: LocalStack looks for the settings of the version
behind it alone. An alias that is there can be given weights, unchecked: LocalStack does not say which version
they are beside, and fails.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from . import replace
from .runtime_api import Invocation, RuntimeApi

# How much of what a process wrote goes to CloudWatch for one invocation, in characters.
MOST_LOG = 1_000_000


def install() -> None:
    """Makes this the way in which functions run."""
    from localstack import config
    from localstack.services.lambda_ import provider
    from localstack.services.lambda_.invocation import execution_environment, version_manager
    from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
    from localstack.services.lambda_.invocation.lambda_models import AliasRoutingConfig, Function, InvocationResult
    from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

    class ProcessExecutor(RuntimeExecutor):
        """One execution environment."""

        def __init__(self, id: str, function_version) -> None:
            super().__init__(id=id, function_version=function_version)
            self.environment: dict[str, str] = {}
            self.process: subprocess.Popen | None = None
            self.api: RuntimeApi | None = None
            self.tmp = tempfile.mkdtemp(prefix=f"lambda-{function_version.id.function_name}-")
            self.lines: list[str] = []
            self.reader: threading.Thread | None = None
            self.stopped = False

        def start(self, env_vars: dict) -> None:
            code = str(self.function_version.config.code.get_unzipped_code_location())
            self.environment = _environment(env_vars, code, self.tmp)
            self._spawn()
            failure = self._settle(config.LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT)
            if failure:
                raise StatusErrorException("Environment startup failed", payload=failure)

        def _spawn(self) -> None:
            """A new process in this environment."""
            self._end_process()
            self.api = RuntimeApi()
            code = self.environment["LAMBDA_TASK_ROOT"]
            self.process = subprocess.Popen(
                [os.path.join(code, "bootstrap")], cwd=code, env={**self.environment, "AWS_LAMBDA_RUNTIME_API": self.api.address},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                # A group, so that what it starts ends with it; the session stays that of the engine.
                process_group=0,
            )
            self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
            self.reader.start()

        def _read(self, process) -> None:
            name = self.function_version.id.function_name
            for line in process.stdout:
                text = line.decode(errors="replace").rstrip("\n")
                self.lines.append(text)
                print(f"[{name}] {text}", flush=True)

        def _settle(self, patience: float) -> bytes | None:
            """Waits until the process asks for work; otherwise the error that it, or its end, is."""
            api, deadline = self.api, time.monotonic() + patience
            while not api.settled.wait(0.01):
                if self.process.poll() is not None:
                    return self._exited("")
                if self.stopped or time.monotonic() > deadline:
                    self._end_process()
                    return _error("Sandbox.Timedout", f"Error: Init timed out after {patience:.2f} seconds")
            return api.init_error

        def _exited(self, request_id: str) -> bytes:
            code = self.process.wait()
            how = f"signal: {signal.Signals(-code).name.removeprefix('SIG').lower()}" if code < 0 else f"exit status {code}"
            before = f"RequestId: {request_id} " if request_id else ""
            return _error("Runtime.ExitError", f"{before}Error: Runtime exited with error: {how}")

        def invoke(self, payload: dict) -> InvocationResult:
            timeout, request_id = float(self.function_version.config.timeout), payload["invoke-id"]
            begun = time.monotonic()
            self.lines = [f"START RequestId: {request_id} Version: {self.function_version.id.qualifier}"]
            if self.process is None or self.process.poll() is not None or self.api.init_error:
                self._spawn()
                failure = self._settle(timeout)
                if failure:
                    return self._result(request_id, failure, True, begun)
            invocation = Invocation(
                request_id, payload["invoked-function-arn"], payload["trace-id"], payload["payload"].encode(), timeout
            )
            self.api.send(invocation)
            while not invocation.ended.wait(0.02):
                if self.process.poll() is not None:
                    # Its last words may still be on their way.
                    if not invocation.ended.wait(0.1):
                        invocation.end(self._exited(request_id), True)
                elif time.time() > invocation.deadline:
                    self._end_process()
                    invocation.end(
                        _error("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"), True
                    )
            return self._result(request_id, invocation.answer or b"null", invocation.failed, begun)

        def _result(self, request_id: str, answer: bytes, failed: bool, begun: float) -> InvocationResult:
            if self.process is None or self.process.poll() is not None:
                self.reader.join(1)
            milliseconds = (time.monotonic() - begun) * 1000
            self.lines.append(f"END RequestId: {request_id}")
            self.lines.append(f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms")
            logs = "\n".join(self.lines)[-MOST_LOG:]
            return InvocationResult(request_id, answer, is_error=failed, logs=logs)

        def _end_process(self) -> None:
            process, api = self.process, self.api
            if process is not None:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
            if api is not None:
                self.api = None
                api.close()

        def stop(self) -> None:
            self.stopped = True
            self._end_process()
            shutil.rmtree(self.tmp, ignore_errors=True)

        def get_address(self) -> str:
            return "127.0.0.1"

        def get_endpoint_from_executor(self) -> str:
            return "127.0.0.1"

        def get_runtime_endpoint(self) -> str:
            return f"http://{self.api.address}" if self.api else ""

        def get_logs(self) -> str:
            return "\n".join(self.lines)

        @classmethod
        def prepare_version(cls, function_version) -> None:
            function_version.config.code.prepare_for_execution()

        @classmethod
        def cleanup_version(cls, function_version) -> None:
            """The code belongs to its function, which removes it."""

    def executor() -> type[RuntimeExecutor]:
        return ProcessExecutor

    for module in (provider, execution_environment, version_manager):
        replace(module, "get_runtime_executor", executor)

    construct = Function.__init__

    def __init__(self, *args, **kwargs) -> None:
        construct(self, *args, **kwargs)
        self.event_invoke_configs = EventInvokeConfigs(self)

    replace(Function, "__init__", __init__)

    weigh = provider.LambdaProvider._create_routing_config_model

    def _create_routing_config_model(self, weights, function_version=None):
        return weigh(self, weights, function_version) if function_version else AliasRoutingConfig(version_weights=weights)

    replace(provider.LambdaProvider, "_create_routing_config_model", _create_routing_config_model)


class EventInvokeConfigs(dict):
    """By version or alias; a version that has none has those of the alias that leads to it."""

    def __init__(self, function) -> None:
        super().__init__(function.event_invoke_configs)
        self.function = function

    def get(self, qualifier, default=None):
        if qualifier in self:
            return self[qualifier]
        leads = (self[name] for name, alias in self.function.aliases.items() if alias.function_version == qualifier and name in self)
        return next(leads, default)


def _environment(wanted: dict, code: str, tmp: str) -> dict[str, str]:
    """What AWS sets, with the places that are other here. Nothing of the engine's own."""
    environment = {name: str(value) for name, value in wanted.items() if not name.startswith("LOCALSTACK_") and value is not None}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": f"{code}:{code}/lib",
        **environment,
        "LAMBDA_TASK_ROOT": code,
        "TMPDIR": tmp,
    }


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
