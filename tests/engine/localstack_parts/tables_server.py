"""moto's DynamoDB and its streams, one request at a time: what a condition has seen is still so when its write is made.

Two things are mended. moto copies whole tables before each transaction and puts the copies in their places when it fails: that takes
seconds in a large table, and every reader of its stream is left with the one nobody writes to. Here the items a transaction names are put
back. And moto keeps every iterator of a stream that was ever handed out.
"""

import contextlib
import copy
import sys
import threading
from types import SimpleNamespace

from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table
from moto.dynamodbstreams.models import DynamoDBStreamsBackend
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

# Iterators of streams that are kept; each reader needs its last one only.
ITERATORS = 1_000


@contextlib.contextmanager
def all_or_nothing(backend: DynamoDBBackend, transact_items: list[dict]):
    """Puts the items that a transaction names, and the ends of the streams, back as they were when it fails."""
    before, ends = [], {}
    for item in transact_items:
        operation = next(iter(item.values()))
        table = backend.tables.get(operation.get("TableName"))
        if table is None:
            continue
        key = operation.get("Key") or operation.get("Item") or {}
        found = _find(table, key)
        before.append((table, key, copy.deepcopy(found)))
        if table.stream_shard:
            ends[id(table)] = (table, len(table.stream_shard.items))
    try:
        yield
    except Exception:
        for table, key, found in before:
            _put_back(table, key, found)
        for table, end in ends.values():
            del table.stream_shard.items[end:]
        raise


def _keys(table: Table, key: dict):
    from moto.dynamodb.models.dynamo_type import DynamoType

    hash_value = DynamoType(key[table.hash_key_attr])
    return hash_value, DynamoType(key[table.range_key_attr]) if table.range_key_attr else None


def _find(table: Table, key: dict):
    if table.hash_key_attr not in key or (table.range_key_attr and table.range_key_attr not in key):
        return None
    hash_value, range_value = _keys(table, key)
    if range_value is None:
        return table.items.get(hash_value)
    return table.items.get(hash_value, {}).get(range_value)


def _put_back(table: Table, key: dict, found) -> None:
    if _find(table, key) is None and found is None:
        return
    hash_value, range_value = _keys(table, key)
    if range_value is None:
        partition, name = table.items, hash_value
    else:
        partition, name = table.items[hash_value], range_value
    if found is None:
        partition.pop(name, None)
    else:
        partition[name] = found


def install() -> None:
    transact, records = DynamoDBBackend.transact_write_items, DynamoDBStreamsBackend.get_records

    def transact_write_items(self, transact_items):
        with all_or_nothing(self, transact_items):
            return transact(self, transact_items)

    def get_records(self, *args, **kwargs):
        answer = records(self, *args, **kwargs)
        while len(self.shard_iterators) > ITERATORS:
            self.shard_iterators.pop(next(iter(self.shard_iterators)))
        return answer

    # moto's own way back: a table is its own copy.
    models.copy = SimpleNamespace(deepcopy=lambda value: value if isinstance(value, Table) else copy.deepcopy(value))
    DynamoDBBackend.transact_write_items = transact_write_items
    DynamoDBStreamsBackend.get_records = get_records


class Quiet(WSGIRequestHandler):
    """Connections are kept, and requests are no news."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, *_args) -> None:
        pass


def main() -> None:
    install()
    application, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def serve(environ, start_response):
        with one_at_a_time:
            return application(environ, start_response)

    make_server("127.0.0.1", int(sys.argv[1]), serve, threaded=True, request_handler=Quiet).serve_forever()


if __name__ == "__main__":
    main()
