"""IAM, where it is enforced: actions, resources and condition keys that MiniStack does not know.

- `states:SendTask*` is checked on the state machine whose execution waits for the token.
- `ses:SendEmail` is checked on the sender's identity, with `ses:FromAddress`.
- A batch of SQS is the action of one message: there is no `sqs:SendMessageBatch` in IAM.
- One alias of a function is read, moved and deleted by actions of its own: only all of them are `lambda:ListAliases`.
"""

import json


def install(app, iam_actions, responses, waiting_machine) -> None:
    resource, action = iam_actions.extract_resource_arn, iam_actions.extract_iam_action
    enforce_ses, enforce = app._enforce_ses_v2, app._enforce_data_plane

    one_alias = {"GET": "lambda:GetAlias", "PUT": "lambda:UpdateAlias", "DELETE": "lambda:DeleteAlias"}

    def fields(body) -> dict:
        try:
            parsed = json.loads(body or b"{}")
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    def sends_mail(method, path) -> bool:
        return method == "POST" and path.rstrip("/").endswith("/outbound-emails")

    def extract_resource_arn(service, method, path, headers, body, query_params, region, account_id):
        if service == "states" and ".SendTask" in headers.get("x-amz-target", ""):
            return waiting_machine(fields(body).get("taskToken")) or "*"
        if service == "ses" and sends_mail(method, path):
            return f"arn:aws:ses:{region}:{account_id}:identity/{fields(body).get('FromEmailAddress', '')}"
        return resource(service, method, path, headers, body, query_params, region, account_id)

    def _enforce_ses_v2(method, path, headers, body, query_params, request_id):
        if not (app.AUTH and sends_mail(method, path)):
            return enforce_ses(method, path, headers, body, query_params, request_id)
        region = app.extract_region(headers, query_params)
        account = responses.get_account_id()
        arn = extract_resource_arn("ses", method, path, headers, body, query_params, region, account)
        context = {"ses:FromAddress": str(fields(body).get("FromEmailAddress", ""))}
        return enforce("sesv2", "ses:SendEmail", headers, query_params, request_id, resource_arn=arn,
                       service_context=context, named_resource=arn)

    def extract_iam_action(service, method, path, headers, body, query_params):
        found = action(service, method, path, headers, body, query_params)
        if found and found.startswith("sqs:") and found.endswith("Batch"):
            return found.removesuffix("Batch")
        if found == "lambda:ListAliases" and path.rstrip("/").split("/")[-2] == "aliases":
            return one_alias.get(method, found)
        return found

    iam_actions.extract_resource_arn = extract_resource_arn
    iam_actions.extract_iam_action = extract_iam_action
    app._enforce_ses_v2 = _enforce_ses_v2
