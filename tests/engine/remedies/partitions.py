"""`dynamodb:LeadingKeys`, where IAM is enforced: MiniStack does not know this condition key.

Without it a condition `ForAllValues:StringLike` on the leading keys holds for every request, as it does on AWS where a key is
absent, and each role could reach each partition. A request of one item has that item's partition key, a query the one it asks for, a
batch those of all its items. A transaction is checked item by item, each with its own.
"""

import contextvars
import json
import re

KEY = "dynamodb:LeadingKeys"
# The keys of a transaction's items that are not checked yet, in the order of the checks.
WAITING = contextvars.ContextVar("waiting", default=())
MEMBERS = ("Put", "Update", "Delete", "ConditionCheck", "Get")
EQUALS = re.compile(r"([#\w.]+)\s*=\s*(:\w+)")


def install(iam_actions, iam_evaluator, dynamodb) -> None:
    context_of, checks_of = iam_actions.dynamodb_service_context, iam_actions.dynamodb_transaction_checks
    members, enforce = iam_actions._DYNAMODB_TRANSACT_ITEM_ACTIONS, iam_evaluator.enforce

    def partition(table, index=None) -> str:
        """The name of the partition key of a table or of its index."""
        found = dynamodb._tables.get(str(table).rsplit("/", 1)[-1]) or {}
        schema = found.get("KeySchema") or []
        for one in found.get("GlobalSecondaryIndexes") or []:
            if one.get("IndexName") == index:
                schema = one["KeySchema"]
        return next((part["AttributeName"] for part in schema if part["KeyType"] == "HASH"), "")

    def text(value) -> str:
        return str(next(iter(value.values()))) if isinstance(value, dict) and value else ""

    def of_item(detail) -> list:
        attributes = detail.get("Key") or detail.get("Item") or {}
        name = partition(detail.get("TableName"))
        return [text(attributes[name])] if name in attributes else []

    def of_query(request) -> list:
        name = partition(request.get("TableName"), request.get("IndexName"))
        names, values = request.get("ExpressionAttributeNames") or {}, request.get("ExpressionAttributeValues") or {}
        pairs = EQUALS.findall(request.get("KeyConditionExpression") or "")
        return [text(values.get(value)) for left, value in pairs if names.get(left, left) == name]

    def of_batch(tables) -> list:
        keys = []
        for table, asked in tables.items():
            items = asked.get("Keys") if isinstance(asked, dict) else None
            for item in items if items is not None else asked:
                write = item.get("PutRequest") or item.get("DeleteRequest") or {"Key": item}
                keys += of_item({**write, "TableName": table})
        return keys

    def parsed(body) -> dict:
        try:
            request = json.loads(body or b"{}")
        except (ValueError, UnicodeDecodeError):
            return {}
        return request if isinstance(request, dict) else {}

    def dynamodb_service_context(body):
        request = parsed(body)
        if "RequestItems" in request:
            keys = of_batch(request["RequestItems"])
        elif "KeyConditionExpression" in request:
            keys = of_query(request)
        else:
            keys = of_item(request)
        return {**context_of(body), **({KEY: sorted(set(keys))} if keys else {})}

    def dynamodb_transaction_checks(iam_action, body, region, account_id):
        checks = checks_of(iam_action, body, region, account_id)
        items = [i for i in parsed(body).get("TransactItems") or [] if isinstance(i, dict)] if checks else []
        keys = [of_item(item[member]) for item in items for member in members if member in item]
        WAITING.set(tuple(keys) if len(keys) == len(checks) else ())
        return checks

    def enforced(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
        waiting = WAITING.get()
        if waiting and "dynamodb:EnclosingOperation" in (service_context or {}):
            WAITING.set(waiting[1:])
            service_context = {**service_context, KEY: waiting[0]}
        return enforce(access_key_id, iam_action, service, region, resource_arn=resource_arn, service_context=service_context)

    if not set(MEMBERS) <= set(members):
        raise AttributeError(f"the members of a transaction are now {sorted(members)}")
    iam_actions.dynamodb_service_context = dynamodb_service_context
    iam_actions.dynamodb_transaction_checks = dynamodb_transaction_checks
    iam_evaluator.enforce = enforced
