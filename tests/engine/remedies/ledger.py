"""What every role was asked for, where IAM is enforced: the proof of least privilege.

For each role the ledger holds its *grants*, one for each combination of action, resource and leading key that its policies allow,
with how many requests used it; and its *denials*, each with what was asked. It is written as JSON while the engine runs, at most
every two seconds, and at its end.

The polls of event sources are Lambda's own, with the function's role; the engine makes them without asking, so each source counts as
one use of the actions that AWS documents for it.

A call that a resource's own policy allows is no denial, and uses no grant of the role.
"""

import atexit
import contextvars
import itertools
import json
import os
import threading

KEYS = "dynamodb:leadingkeys"
EVERY = 2.0
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html and …/services-dynamodb-eventsourcemapping.html
POLLS = {
    "sqs": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
    "dynamodb": ["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream", "dynamodb:ListStreams"],
}


class Ledger:
    def __init__(self, path, evaluator):
        self.path, self.evaluator = path, evaluator
        self.lock, self.changed = threading.Lock(), False
        self.used, self.denied = {}, {}

    def asked(self, ctx, policies, allowed) -> None:
        if ctx.principal_type != "AssumedRole":
            return
        role = self.evaluator._role_name_from_assumed_arn(ctx.principal_arn)
        with self.lock:
            self.changed = True
            if allowed:
                for grant in itertools.chain.from_iterable(self.matching(ctx, s) for p in policies for s in p):
                    self.used[(role, *grant)] = self.used.get((role, *grant), 0) + 1
            else:
                what = (role, ctx.action, ctx.resource_arn, tuple(self.keys_of(ctx)))
                self.denied[what] = self.denied.get(what, 0) + 1

    def matching(self, ctx, statement):
        """The grants of a statement that a request uses."""
        e = self.evaluator
        if statement.effect != "Allow" or not e._conditions_met(statement.conditions, ctx):
            return
        keys = self.keys_of(ctx)
        for action, resource, pattern in grants(statement):
            if (e.fnmatch_iam(ctx.action, action) and e.fnmatch_iam_cs(ctx.resource_arn, resource)
                    and (pattern is None or any(e.fnmatch_iam_cs(key, pattern) for key in keys))):
                yield action, resource, pattern

    @staticmethod
    def keys_of(ctx) -> list:
        keys = ctx.service_context.get(KEYS) or []
        return sorted({str(key) for key in ([keys] if isinstance(keys, str) else keys)})

    def polls(self) -> list:
        """What Lambda asks for in the name of functions that read a queue or a stream."""
        from ministack.services import lambda_svc

        found = []
        for account, region, mapping in lambda_svc._iter_all_esms():
            source = mapping["EventSourceArn"]
            function = lambda_svc._functions.get_scoped(account, region, mapping["FunctionName"])
            role = function["config"]["Role"].rsplit("/", 1)[1]
            for action in POLLS[source.split(":")[2]]:
                found.append((role, action, "*" if action == "dynamodb:ListStreams" else source))
        return found

    def write(self) -> None:
        from ministack.services import iam

        with self.lock:
            self.changed = False
            used, denied = dict(self.used), dict(self.denied)
        for role, action, resource in self.polls():
            used[(role, action, resource, None)] = used.get((role, action, resource, None), 0) + 1
        roles = {}
        for name, role in list(iam._roles.items()):
            account = role["Arn"].split(":")[4]
            policies = self.evaluator._gather_role_policies(name, account)
            given = sorted({g for p in policies for s in p if s.effect == "Allow" for g in grants(s)}, key=str)
            roles[name] = {
                "grants": [{"action": a, "resource": r, "key": k, "used": used.get((name, a, r, k), 0)} for a, r, k in given],
                "denials": [{"action": a, "resource": r, "keys": list(k), "times": n}
                            for (of, a, r, k), n in sorted(denied.items(), key=str) if of == name],
            }
        if not roles:
            return  # the end of the engine, after its state went
        beside = f"{self.path}.new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(roles, file, indent=1)
        os.replace(beside, self.path)

    def write_on(self) -> None:
        while True:
            threading.Event().wait(EVERY)
            if self.changed:
                self.write()


def grants(statement):
    """Each action on each resource for each leading key."""
    patterns = [None]
    for keys in (statement.conditions or {}).values():
        for name, values in keys.items():
            if name.lower() == KEYS:
                patterns = [values] if isinstance(values, str) else list(values)
    return itertools.product(statement.actions, statement.resources, patterns)


def install(path, evaluator) -> None:
    ledger = Ledger(path, evaluator)
    evaluate, enforce = evaluator.evaluate, evaluator.enforce
    # What a request is judged by: the policies of its role, which the decision also rests on a resource's own policy for.
    judged = contextvars.ContextVar("judged", default=None)

    def remember(ctx, policies, *limits):
        if judged.get() is None:
            judged.set((ctx, policies))
        return evaluate(ctx, policies, *limits)

    def enforced(*asked, **named):
        judged.set(None)
        denied = enforce(*asked, **named)
        if judged.get() is not None:
            ledger.asked(*judged.get(), denied is None)
        return denied

    evaluator.evaluate, evaluator.enforce = remember, enforced
    threading.Thread(target=ledger.write_on, daemon=True).start()
    atexit.register(ledger.write)
