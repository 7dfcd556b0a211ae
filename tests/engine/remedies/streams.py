"""DynamoDB streams to Lambda: partial batch failures and a limit of attempts.

MiniStack takes every answer without an error for a success of the whole batch, so a record reported in `batchItemFailures` would
be lost, and it repeats a failing batch forever. Here a reported failure makes the batch come again (on AWS from the first failed
record on: handlers must be idempotent either way), and `MaximumRetryAttempts` is kept.
"""

import json


def install(lambda_svc, dynamodb) -> None:
    execute = lambda_svc._execute_function
    attempts: dict[str, int] = {}

    def reported_failures(result) -> list:
        body = result.get("body")
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError:
                return []
        failures = body.get("batchItemFailures") if isinstance(body, dict) else None
        return failures if isinstance(failures, list) else []

    def mapping_of(func, stream_arn):
        name = (func.get("config") or func).get("FunctionName")
        for _account, _region, mapping in lambda_svc._iter_all_esms():
            if mapping.get("EventSourceArn") == stream_arn and mapping.get("FunctionName") == name:
                return mapping
        return {}

    def _execute_function(func, event):
        result = execute(func, event)
        records = event.get("Records") if isinstance(event, dict) else None
        if not (isinstance(records, list) and records and isinstance(records[0], dict)):
            return result
        if records[0].get("eventSource") != "aws:dynamodb":
            return result
        mapping = mapping_of(func, records[0].get("eventSourceARN"))
        partial = "ReportBatchItemFailures" in (mapping.get("FunctionResponseTypes") or [])
        failed = bool(result.get("error")) or (partial and bool(reported_failures(result)))
        key = f"{mapping.get('UUID')}:{records[0].get('eventID')}"
        if not failed:
            attempts.pop(key, None)
            return result
        attempts[key] = attempts.get(key, 0) + 1
        limit = mapping.get("MaximumRetryAttempts")
        if limit is not None and int(limit) >= 0 and attempts[key] > int(limit):
            attempts.pop(key, None)
            return {"body": {"discarded": len(records)}, "log": result.get("log", "")}
        if result.get("error"):
            return result
        return {
            "error": True,
            "body": {"errorType": "PartialBatchFailure", "errorMessage": json.dumps(reported_failures(result))},
            "log": result.get("log", ""),
        }

    if not hasattr(dynamodb, "stream_records_since"):
        raise AttributeError("dynamodb.stream_records_since is gone")
    lambda_svc._execute_function = _execute_function
