"""Lambda environments: a private temporary directory each, and the variables that AWS sets, not those of the server.

On AWS `/tmp` belongs to one execution environment and outlives a crash of the process in it. Here all processes share the
host's, so each environment gets a directory of its own by `TMPDIR`, kept over respawns and removed with the environment.
"""

import os
import shutil
import tempfile
import threading

# Variables of the server that no function should see.
OF_THE_SERVER = (
    "AUTH", "BIND_HOST", "GATEWAY_PORT", "HOME", "IOT_MTLS_ENABLED", "LAMBDA_ACCOUNT_CONCURRENCY", "LOG_LEVEL", "MINISTACK_ACCOUNT_ID",
    "MINISTACK_HOST", "MINISTACK_REGION", "PYTHONDONTWRITEBYTECODE", "SFN_WAIT_SCALE", "SFTP_ENABLED",
)

def install(lambda_runtime, lambda_svc) -> None:
    spawning = threading.local()
    spawn = lambda_runtime.ProvidedWorker._spawn
    discard = lambda_runtime.ProvidedWorker._discard_tmpdir
    worker_env = lambda_svc._provided_worker_env

    def _spawn(self, *args, **kwargs):
        if getattr(self, "private_tmp", None) is None or not os.path.isdir(self.private_tmp):
            self.private_tmp = tempfile.mkdtemp(prefix=f"lambda-{self.func_name}-")
        spawning.tmp = self.private_tmp
        try:
            return spawn(self, *args, **kwargs)
        finally:
            spawning.tmp = None

    def _discard_tmpdir(self):
        discard(self)
        private, self.private_tmp = getattr(self, "private_tmp", None), None
        if private:
            shutil.rmtree(private, ignore_errors=True)

    def _provided_worker_env(config, code_dir, port):
        own = (config.get("Environment") or {}).get("Variables") or {}
        env = worker_env(config, code_dir, port)
        for variable in OF_THE_SERVER:
            if variable not in own:
                env.pop(variable, None)
        name = config.get("FunctionName", "unknown")
        env.setdefault("AWS_LAMBDA_LOG_GROUP_NAME", f"/aws/lambda/{name}")
        env.setdefault("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        env.setdefault("TZ", ":UTC")
        env.setdefault("LD_LIBRARY_PATH", f"{code_dir}:{code_dir}/lib")
        private = getattr(spawning, "tmp", None)
        if private:
            env["TMPDIR"] = private
        return env

    lambda_runtime.ProvidedWorker._spawn = _spawn
    lambda_runtime.ProvidedWorker._discard_tmpdir = _discard_tmpdir
    lambda_svc._provided_worker_env = _provided_worker_env
