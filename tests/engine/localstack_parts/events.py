"""EventBridge: a target that is a state machine starts an execution also where its input was transformed, and so has no id to be named by."""

import uuid

from . import replace


def install() -> None:
    from localstack.services.events.target import StatesTargetSender, to_json_str

    def send_event(self, event, trace_header):
        self.service = "stepfunctions"
        name = event.get("id") if isinstance(event, dict) else None
        self.client.start_execution(
            stateMachineArn=self.target["Arn"], name=str(name or uuid.uuid4()), input=to_json_str(event)
        )

    replace(StatesTargetSender, "send_event", send_event)
