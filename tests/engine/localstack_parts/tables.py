"""DynamoDB: moto's server in a process of its own, in the place of DynamoDB Local, whose licence does not let it be passed on."""

import os
import subprocess
import sys

from . import replace

SERVER = os.path.join(os.path.dirname(__file__), "tables_server.py")


def install() -> None:
    from localstack.services.dynamodb import server
    from localstack.services.dynamodbstreams.v2 import provider as streams
    from localstack.utils.threads import FuncThread

    def do_start_thread(self):
        # Only what Python and moto need: the account of its ARNs is that of the engine.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
        environment["MOTO_ACCOUNT_ID"] = "000000000000"
        process = subprocess.Popen([sys.executable, SERVER, str(self.port)], env=environment, stdin=subprocess.DEVNULL)
        self.moto = process
        thread = FuncThread(lambda *_: process.wait(), name="dynamodb-moto")
        thread.start()
        return thread

    def do_shutdown(self) -> None:
        self.moto.kill()

    replace(server.DynamodbServer, "do_start_thread", do_start_thread)
    replace(server.DynamodbServer, "do_shutdown", do_shutdown)
    replace(server.DynamodbServer, "url", property(lambda self: f"http://127.0.0.1:{self.port}"))
    # Streams and their iterators keep the names that moto gives them; DynamoDB Local has a region of its own.
    replace(streams.DynamoDBStreamsProvider, "modify_stream_arn_for_ddb_local", lambda self, arn: arn)
