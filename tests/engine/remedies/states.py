"""Step Functions: what the emulator leaves out of the Amazon States Language and of the API.

- `TimeoutSeconds` of a task as a JSONata expression; `Output` of a `Succeed` state; `TimeoutSeconds` of a machine (`TIMED_OUT`).
- A Lambda that fails before it answers its task token fails the task at once, and each attempt has a token of its own.
- Starting an execution that runs already with the same input returns it; `.sync` takes aliases and versions.
- A failed nested execution is `States.TaskFailed`; nested executions end with their parent and are reported on the event bus.
- A stopped execution makes no further attempts.
"""

import contextvars
import json
import threading

_current = contextvars.ContextVar("current_execution", default=None)
_awaited = contextvars.ContextVar("awaited_token", default=None)
# Which state machine waits for a token.
_machines: dict[str, str] = {}


def waiting_machine(token):
    """The ARN of the state machine whose execution waits for this token, if any does."""
    return _machines.get(token)


def install(sfn) -> None:
    _tasks(sfn)
    _callbacks(sfn)
    _succeed(sfn)
    _starts(sfn)
    _ends(sfn)


def _tasks(sfn) -> None:
    execute, arguments = sfn._execute_task, sfn._apply_jsonata_arguments

    def _execute_task(state_def, raw_input, execution, ctx):
        timeout = state_def.get("TimeoutSeconds")
        if isinstance(timeout, str):
            seconds = sfn._jsonata_state_field(state_def, "TimeoutSeconds", "number", raw_input, ctx)
            if seconds <= 0 or not float(seconds).is_integer():
                raise sfn._ExecutionError(
                    "States.QueryEvaluationError",
                    f"TimeoutSeconds must be a positive integer but was: {json.dumps(seconds)}",
                )
            state_def = {**state_def, "TimeoutSeconds": int(seconds)}
        marker = _current.set(execution)
        try:
            return execute(state_def, raw_input, execution, ctx)
        finally:
            _current.reset(marker)

    def _apply_jsonata_arguments(state_def, raw_input, ctx=None):
        # Called once for each attempt, before anything is sent.
        execution = _current.get()
        if execution is not None and execution["status"] != "RUNNING":
            raise sfn._ExecutionError("States.Runtime", f"the execution is {execution['status']}")
        retries = ((ctx or {}).get("State") or {}).get("RetryCount") or 0
        if retries and ".waitForTaskToken" in state_def.get("Resource", ""):
            ctx["Task"] = {"Token": sfn.new_uuid()}
        return arguments(state_def, raw_input, ctx)

    sfn._execute_task = _execute_task
    sfn._apply_jsonata_arguments = _apply_jsonata_arguments


def _callbacks(sfn) -> None:
    callback, call = sfn._invoke_with_callback, sfn._call_lambda

    def _invoke_with_callback(resource, input_data, token, state_def):
        marker = _awaited.set(token)
        execution = _current.get()
        if execution is not None:
            _machines[token] = execution["stateMachineArn"]
        try:
            return callback(resource, input_data, token, state_def)
        finally:
            _awaited.reset(marker)
            _machines.pop(token, None)

    def _call_lambda(func_ref, event):
        token = _awaited.get()
        try:
            return call(func_ref, event)
        except sfn._ExecutionError as error:
            waiting = sfn._task_tokens.get(token) if token else None
            if waiting and not waiting["event"].is_set():
                waiting["error"] = {"Error": error.error, "Cause": error.cause}
                waiting["event"].set()
            raise

    sfn._invoke_with_callback = _invoke_with_callback
    sfn._call_lambda = _call_lambda


def _succeed(sfn) -> None:
    output_path = sfn._apply_output_path

    def _apply_output_path(state_def, data, ctx=None):
        if state_def.get("Type") == "Succeed" and sfn._state_query_language(state_def, ctx) == "JSONata":
            return sfn._apply_jsonata_output(state_def, data, ctx, default=data)
        return output_path(state_def, data, ctx)

    sfn._apply_output_path = _apply_output_path


def _starts(sfn) -> None:
    start, start_sync, failure = sfn._start_execution, sfn._start_sync_execution, sfn._nested_execution_failure

    def running_with(arn, data):
        """The running execution of this name, if it has the same machine and input."""
        machine = sfn._resolve_state_machine_arn(data.get("stateMachineArn", ""))
        if machine is None or not data.get("name"):
            return None
        name = sfn._state_machines[machine]["name"]
        found = sfn._executions.get(arn(name, data["name"]))
        if found and found["status"] == "RUNNING" and found["input"] == data.get("input", "{}"):
            return found
        return None

    def arn(machine_name, name):
        return f"arn:aws:states:{sfn.get_region()}:{sfn.get_account_id()}:execution:{machine_name}:{name}"

    def _start_execution(data):
        found = running_with(arn, data)
        if found:
            return sfn.json_response({"executionArn": found["executionArn"], "startDate": found["startDate"]})
        return start(data)

    def _start_sync_execution(data):
        machine = sfn._resolve_state_machine_arn(data.get("stateMachineArn", ""))
        if machine:
            data = {**data, "stateMachineArn": machine}
            taken = data.get("name") and arn(sfn._state_machines[machine]["name"], data["name"])
            if taken and taken in sfn._executions:
                return sfn.error_response_json(
                    "StepFunctions.ExecutionAlreadyExistsException", f"Execution already exists: '{taken}'", 400
                )
        return start_sync(data)

    def _nested_execution_failure(payload):
        error, cause = failure(payload)
        described = {
            "ExecutionArn": payload.get("executionArn"),
            "StateMachineArn": payload.get("stateMachineArn"),
            "Name": payload.get("name"),
            "Status": payload.get("status"),
            "Input": payload.get("input"),
            "Error": payload.get("error") or error,
            "Cause": payload.get("cause") or cause,
        }
        return "States.TaskFailed", json.dumps(described)

    sfn._start_execution = _start_execution
    sfn._start_sync_execution = _start_sync_execution
    sfn._nested_execution_failure = _nested_execution_failure


def _ends(sfn) -> None:
    run, stop = sfn._run_execution, sfn._stop_execution
    children: dict[str, list[str]] = {}

    def expire(arn, seconds):
        execution = sfn._executions.get(arn)
        if not execution or execution["status"] != "RUNNING":
            return
        execution["status"] = "TIMED_OUT"
        execution["stopDate"] = sfn.now_iso()
        execution["error"], execution["cause"] = "States.Timeout", f"the execution ran longer than {seconds} s"
        sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}})
        sfn._emit_execution_status_event(execution)
        stop_children(arn)

    def machine_timeout(execution):
        machine = sfn._state_machines.get(execution["stateMachineArn"]) or {}
        try:
            return json.loads(machine.get("definition") or "{}").get("TimeoutSeconds")
        except ValueError:
            return None

    def stop_children(arn):
        for child in children.pop(arn, []):
            found = sfn._executions.get(child)
            if found and found["status"] == "RUNNING":
                _stop_execution({"executionArn": child, "cause": "the parent execution ended"})

    def _run_execution(arn):
        execution = sfn._executions.get(arn)
        parent = _current.get()
        if execution and parent is not None:
            # A nested execution of a standard machine is one like any other, not an express one.
            execution.pop("sync", None)
            children.setdefault(parent["executionArn"], []).append(arn)
            sfn._emit_execution_status_event(execution)
        seconds = machine_timeout(execution) if execution else None
        timer = None
        if isinstance(seconds, int) and seconds > 0:
            context = contextvars.copy_context()
            timer = threading.Timer(seconds, context.run, args=(expire, arn, seconds))
            timer.daemon = True
            timer.start()
        try:
            run(arn)
        finally:
            children.pop(arn, None)
            if timer:
                timer.cancel()

    def _stop_execution(data):
        response = stop(data)
        if response[0] == 200:
            stop_children(data.get("executionArn"))
        return response

    sfn._run_execution = _run_execution
    sfn._stop_execution = _stop_execution
