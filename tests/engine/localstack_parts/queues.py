"""SQS to Lambda: the function gets a message's body as it was sent. LocalStack reads bodies as JSON to filter by them, and hands on what
it would write itself."""

from . import replace


def install() -> None:
    from localstack.services.lambda_.event_source_mapping.pollers.sqs_poller import SqsPoller

    handle, add_metadata = SqsPoller.handle_messages, SqsPoller.add_source_metadata

    def handle_messages(self, messages):
        # One thread polls for one mapping.
        self.bodies = {message["MessageId"]: message.get("Body", "") for message in messages}
        return handle(self, messages)

    def add_source_metadata(self, events):
        return [{**event, "body": self.bodies[event["messageId"]]} for event in add_metadata(self, events)]

    replace(SqsPoller, "handle_messages", handle_messages)
    replace(SqsPoller, "add_source_metadata", add_source_metadata)
