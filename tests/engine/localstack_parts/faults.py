"""Faults at the tasks of state machines, for whoever asks for them: a suite that fails every task in every way.

`POST /_seatrial/faults` takes `{"model", "rules": [{"state", "fault", "times"}], "answers": {"<state>": {…}}, "retry_scale"}`. Rules hold
for executions whose input names that model, so that many run side by side; without a rule nothing here does anything. A rule strikes
the first `times` attempts of its state, or all of them without `times`. `answers` are merged into what a state's function says, to
reach a state that little data does not lead to. `GET /_seatrial/faults/<model>` tells what was struck, how often each state's
function was truly called, and how many calls are still to come. All of it happens where Step Functions calls: functions and definitions are those of the product.

Faults, by when they strike. Before the effect: `throttled`, `timeout`, `permanent`, and `overtaken`: a timeout as well, and what was
called goes on by itself. Its effect comes when the machine is further on, or has ended where every attempt is overtaken. After it, in place of the answer: `crash`, `late`
(a timeout), `runtime`, `oversize`, `garbled` (nothing that the machine reads is in it), and `stop`, `stop_parent` and `stop_child`,
which stop executions from outside at that moment. `duplicate` calls twice. Three are of task tokens: `lost`, their answer does not get
through; `repeated`, it gets through, and whoever gave it is not told; `forgotten`, the record of the stream that leads to it is given up.
"""

import copy
import json
import re
import threading
import time

from botocore.exceptions import ClientError

from . import replace

PATH = "/_seatrial/faults"
# More than Step Functions passes on: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
OVERSIZE = "x" * (256 * 1024)
ANSWERS = {"oversize", "garbled"}
BEFORE = {"throttled", "timeout", "permanent"}
CALLBACK = {"lost", "repeated", "forgotten"}
# The field of a nested execution's input that names the execution that started it.
PARENT = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"

_lock = threading.Lock()
_models: dict[str, dict] = {}
# Who waits for a task token: model and state.
_waiting: dict[str, tuple[str, str]] = {}
# And for which gate, by its id.
_gates: dict[str, tuple[str, str]] = {}
_retry_scale = 1.0


def install() -> None:
    _router()
    _tasks()
    _callbacks()
    _streams()
    _retries()


def _fresh(rules=(), answers=None) -> dict:
    return {"rules": list(rules), "answers": answers or {}, "called": {}, "attempts": {}, "pending": 0}


def _chosen(model: str, state: str, kinds=None, without=()) -> dict | None:
    """The rule whose fault is to strike now, if any. Whoever makes it strike says so by `_strikes`."""
    with _lock:
        for rule in _models.get(model, {}).get("rules", []):
            left = rule["times"] is None or rule["chosen"] < rule["times"]
            of_kind = (kinds is None or rule["fault"] in kinds) and rule["fault"] not in without
            if rule["state"] == state and left and of_kind:
                rule["chosen"] += 1
                return rule
    return None


def _strikes(rule: dict) -> None:
    with _lock:
        rule["struck"] += 1


def _count(model: str, what: str, state: str) -> None:
    with _lock:
        counts = _models[model][what]
        counts[state] = counts.get(state, 0) + 1


def _spoilt(fault: str, answer: dict) -> dict:
    """An answer as it comes with a fault of it: too large, or with none of its fields."""
    return {**answer, "padding": OVERSIZE} if fault == "oversize" else {}


def _router() -> None:
    from localstack.http import Response
    from localstack.services.edge import ROUTER

    def answer(body: dict, status: int = 200) -> Response:
        return Response(json.dumps(body), status=status, mimetype="application/json")

    def take(request) -> Response:
        global _retry_scale
        asked = request.json
        _retry_scale = float(asked.get("retry_scale", _retry_scale))
        if model := asked.get("model"):
            rules = [{"times": None, **rule, "chosen": 0, "struck": 0} for rule in asked.get("rules", [])]
            with _lock:
                _models[model] = _fresh(rules, asked.get("answers"))
        return answer({})

    def show(request, model: str) -> Response:
        with _lock:
            return answer(copy.deepcopy(_models.get(model) or _fresh()))

    ROUTER.add(PATH, take, methods=["POST"])
    ROUTER.add(f"{PATH}/<model>", show, methods=["GET"])


def _tasks() -> None:
    from localstack.aws.connect import connect_to
    from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from localstack.services.stepfunctions.asl.component.common.timeouts.timeout import EvalTimeoutError
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.lambda_eval_utils import LambdaFunctionErrorException
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_lambda import StateTaskServiceLambda
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_sfn import StateTaskServiceSfn
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails

    def refused(code: str, message: str) -> ClientError:
        metadata = {"HTTPStatusCode": 400, "RequestId": "injected"}
        return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "Invoke")

    def failed(kind: str, message: str) -> LambdaFunctionErrorException:
        return LambdaFunctionErrorException("Unhandled", json.dumps({"errorType": kind, "errorMessage": message}))

    def uncaught(env, cause: str) -> FailureEventException:
        name = StatesErrorNameType.StatesRuntime
        details = EventDetails(taskFailedEventDetails={"error": name.to_name(), "cause": cause, "resourceType": "lambda", "resource": "invoke"})
        return FailureEventException(FailureEvent(env=env, error_name=StatesErrorName(typ=name), event_type="TaskFailed", event_details=details))

    # What a fault is in the words of each integration: one function's, and an execution's that is started.
    lambdas = {
        "throttled": lambda: refused("TooManyRequestsException", "Rate Exceeded."),
        "permanent": lambda: failed("Seatrial.Internal", "injected: it fails for good"),
        "crash": lambda: failed("Runtime.ExitError", "RequestId: injected Error: Runtime exited with error: signal: killed"),
    }
    executions = {
        "throttled": lambda: refused("ExecutionLimitExceeded", "injected: too many executions"),
        "permanent": lambda: refused("AccessDenied", "injected: it may not"),
        "crash": lambda: refused("SdkClient", "injected: the connection was lost"),
    }

    def stop(arn: str) -> None:
        region = arn.split(":")[3]
        connect_to(region_name=region).stepfunctions.stop_execution(executionArn=arn, error="Stopped", cause="from outside")

    def stop_at_last(arn: str) -> None:
        """Stops an execution that may only be beginning: this engine says yes to that, and lets it run."""
        executions = connect_to(region_name=arn.split(":")[3]).stepfunctions
        for _ in range(100):
            stop(arn)
            if executions.describe_execution(executionArn=arn)["status"] != "RUNNING":
                return
            time.sleep(0.05)

    def ended(arn: str) -> bool:
        executions = connect_to(region_name=arn.split(":")[3]).stepfunctions
        return executions.describe_execution(executionArn=arn)["status"] != "RUNNING"

    def comes_late(rule: dict, model: str, state: str, arn: str, call) -> None:
        """Calls when the machine is further on: after a while, or, where it never gets an answer, when it has ended."""
        known = _models[model]

        def come() -> None:
            try:
                since = time.monotonic()
                while rule["times"] is None and not ended(arn) and time.monotonic() - since < 120:
                    time.sleep(0.2)
                if rule["times"] is not None:
                    time.sleep(2)
                _count(model, "called", state)
                call()
                _strikes(rule)
            finally:
                with _lock:
                    known["pending"] -= 1

        with _lock:
            known["pending"] += 1
        threading.Thread(target=come, daemon=True).start()

    def whose(env):
        execution = env.states.context_object.context_object_data["Execution"]
        given = execution.get("Input")
        return execution["Id"], given if isinstance(given, dict) else {}

    def around(task, env, call, alone, errors, of_an_execution: bool) -> None:
        own, given = whose(env)
        model, state = given.get("model"), task.name
        if model not in _models:
            return call()
        _count(model, "attempts", state)
        token = env.states.context_object.context_object_data.get("Task", {}).get("Token")
        waits = token is not None and task.resource.condition == "waitForTaskToken"
        if waits:
            _waiting[token] = (model, state)
        # What strikes after a wait, or after an execution that is waited for, strikes when that is over.
        later = ANSWERS if waits or of_an_execution else set()
        rule = _chosen(model, state, without=CALLBACK | later)
        fault = rule and rule["fault"]
        if fault == "overtaken":
            # Of many attempts that are given up the first is late enough.
            if rule["chosen"] == 1:
                comes_late(rule, model, state, given.get(PARENT, own), alone)
            raise EvalTimeoutError()
        if fault == "timeout":
            _strikes(rule)
            raise EvalTimeoutError()
        if fault in BEFORE:
            _strikes(rule)
            raise errors[fault]()
        calls = 2 if fault == "duplicate" else 1
        for n in range(calls):
            _count(model, "called", state)
            call()
            if n + 1 < calls:
                env.stack.pop()
        if waits and (gate := re.search("ga_[0-9a-f]+", json.dumps(env.stack[-1].get("Payload")))):
            _gates[gate.group()] = (model, state)
        if state in _models[model]["answers"]:
            env.stack[-1]["Payload"] = {**env.stack[-1]["Payload"], **_models[model]["answers"][state]}
        # Counted only now: a call that failed by itself was not struck by anything.
        if rule:
            _strikes(rule)
        match fault:
            case "crash":
                raise errors["crash"]()
            case "late":
                raise EvalTimeoutError()
            case "runtime":
                raise uncaught(env, "injected: States.Runtime")
            case "oversize":
                env.stack[-1]["Payload"] = _spoilt(fault, env.stack[-1]["Payload"])
            case "garbled":
                del env.stack[-1]["Payload"]
            case "stop" if waits:
                # While it waits; stopped before, this engine would not find into the wait.
                threading.Timer(0.3, stop, [own]).start()
            case "stop":
                stop(own)
            case "stop_parent":
                stop(given[PARENT])
            case "stop_child":
                stop_at_last(env.stack[-1]["executionArn"])

    def wrap(kind, errors, of_an_execution: bool) -> None:
        service_task = kind._eval_service_task

        def _eval_service_task(self, env, resource_runtime_part, normalised_parameters, state_credentials):
            def call() -> None:
                service_task(self, env, resource_runtime_part, copy.deepcopy(normalised_parameters), state_credentials)

            asked, region = copy.deepcopy(normalised_parameters), whose(env)[0].split(":")[3]

            def alone() -> None:
                payload = asked["Payload"]
                payload = payload if isinstance(payload, (str, bytes)) else json.dumps(payload)
                connect_to(region_name=region).lambda_.invoke(FunctionName=asked["FunctionName"], Payload=payload)

            around(self, env, call, alone, errors, of_an_execution)

        replace(kind, "_eval_service_task", _eval_service_task)

    wrap(StateTaskServiceLambda, lambdas, False)
    wrap(StateTaskServiceSfn, executions, True)

    resolver = StateTaskServiceSfn._build_sync2_resolver

    def _build_sync2_resolver(self, env, *args, **kwargs):
        look = resolver(self, env, *args, **kwargs)

        def resolve():
            found = look()
            model = whose(env)[1].get("model")
            rule = _chosen(model, self.name, kinds=ANSWERS) if found is not None and model in _models else None
            if rule is None:
                return found
            _strikes(rule)
            return {**found, "Output": _spoilt(rule["fault"], found["Output"])}

        return resolve

    replace(StateTaskServiceSfn, "_build_sync2_resolver", _build_sync2_resolver)


def _callbacks() -> None:
    from localstack.aws.api import CommonServiceException
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    succeed = StepFunctionsProvider.send_task_success

    def lost() -> CommonServiceException:
        return CommonServiceException("ServiceUnavailable", "injected: the answer did not get through", status_code=503)

    def send_task_success(self, context, task_token, output, **kwargs):
        model, state = _waiting.get(task_token, (None, None))
        rule = _chosen(model, state, kinds={"lost", "repeated"} | ANSWERS) if model else None
        fault = rule and rule["fault"]
        if fault == "lost":
            _strikes(rule)
            raise lost()
        if fault in ANSWERS:
            # AWS would not even take one that is too large.
            output = json.dumps(_spoilt(fault, json.loads(output)))
        answer = succeed(self, context, task_token, output, **kwargs)
        if rule:
            _strikes(rule)
        if fault == "repeated":
            raise lost()
        return answer

    # The wrapped method is known to the dispatcher by its own attributes.
    send_task_success.__dict__.update(succeed.__dict__)
    replace(StepFunctionsProvider, "send_task_success", send_task_success)


def _streams() -> None:
    from localstack.services.lambda_.event_source_mapping.senders.lambda_sender import LambdaSender

    send = LambdaSender.send_events

    def forgotten(event) -> bool:
        keys = event.get("dynamodb", {}).get("Keys", {}) if isinstance(event, dict) else {}
        gate = keys.get("pk", {}).get("S", "").removeprefix("GATE#")
        model, state = _gates.get(gate, (None, None))
        rule = _chosen(model, state, kinds={"forgotten"}) if model else None
        if rule:
            _strikes(rule)
        return rule is not None

    def send_events(self, events):
        if isinstance(events, list):
            events = [event for event in events if not forgotten(event)]
            if not events:
                return {}
        return send(self, events)

    replace(LambdaSender, "send_events", send_events)


def _retries() -> None:
    """Waits between attempts may be shortened: definitions are those of the product, whose waits are made for AWS."""
    from types import SimpleNamespace

    from localstack.services.stepfunctions.asl.component.common.retry import retrier_decl

    sleep = retrier_decl.time.sleep
    replace(retrier_decl, "time", SimpleNamespace(sleep=lambda seconds: sleep(seconds * _retry_scale)))
