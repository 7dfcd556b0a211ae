"""EventBridge to Lambda: an asynchronous invocation, tried again and given up as the alias says.

MiniStack invokes once and forgets a failure. Its own asynchronous invocations do what AWS does, but know only the settings of
`$LATEST`; here they get those of the alias that the rule names.
"""

import json
import logging


def install(eventbridge, lambda_svc) -> None:
    find, base = lambda_svc._get_func_record_for_ref, lambda_svc._get_base_func_record_for_ref
    parts = lambda_svc._lambda_function_name_and_qualifier_from_arn
    record_for, invoke = lambda_svc._execution_record_for_config, lambda_svc.invoke_async_with_retry

    def _dispatch_to_lambda(arn, payload):
        try:
            event = json.loads(payload)
        except (TypeError, ValueError):
            event = {"body": payload}
        function, config, name = find(arn)
        if not function or not config:
            logging.getLogger("eventbridge").warning("EventBridge → Lambda: function %s not found", name)
            return
        record = record_for(function, config)
        settings = (base(arn)[0] or {}).get("event_invoke_configs") or {}
        record["event_invoke_config"] = settings.get(parts(arn)[1] or "$LATEST")
        invoke(record, event)

    eventbridge._dispatch_to_lambda  # A name that is gone ends the start.
    eventbridge._dispatch_to_lambda = _dispatch_to_lambda
