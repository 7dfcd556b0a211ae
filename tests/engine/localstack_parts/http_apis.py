"""HTTP APIs (API Gateway v2), which the free LocalStack does not have: the resource types of CloudFormation, and the calls themselves.

An API answers at `/_aws/http-api/<id>/<stage>/<path>`. As on AWS: the most specific route is taken, the function gets payload format
2.0, and a route with `AWS_IAM` refuses a request without credentials and tells the function whose they are. Signatures are not checked,
throttles are not kept, and nothing is written to access logs.
"""

import base64
import json
import re
import time
import uuid
from urllib.parse import parse_qsl

from werkzeug.datastructures import Headers

from . import replace

PREFIX = "/_aws/http-api"
ANSWERED_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

# The properties of what is deployed: by type, then by id. Each type names the property that is its id.
IDS = {"Api": "ApiId", "Integration": "IntegrationId", "Route": "RouteId", "Stage": "StageName"}
deployed: dict[str, dict[str, dict]] = {kind: {} for kind in IDS}


def install() -> None:
    _resource_types()
    _router()


def _resource_types() -> None:
    from localstack.services.cloudformation import resource_provider as cloudformation

    done = cloudformation.OperationStatus.SUCCESS

    class Provider(cloudformation.ResourceProvider):
        """One resource type. Whatever is deployed is kept as it is asked for."""

        kind = ""

        def create(self, request):
            properties = dict(request.desired_state)
            # A stage is named by the template, everything else gets an id.
            properties.setdefault(IDS[self.kind], uuid.uuid4().hex[:10])
            deployed[self.kind][_key(self.kind, properties)] = properties
            return cloudformation.ProgressEvent(status=done, resource_model=properties)

        def update(self, request):
            name = IDS[self.kind]
            return self.create(_with(request, {name: request.previous_state[name]}))

        def read(self, request):
            return cloudformation.ProgressEvent(status=done, resource_model=request.desired_state)

        def delete(self, request):
            deployed[self.kind].pop(_key(self.kind, request.desired_state), None)
            return cloudformation.ProgressEvent(status=done, resource_model={})

    def _with(request, more: dict):
        request.desired_state = {**request.desired_state, **more}
        return request

    def provider(kind: str):
        own = f"/properties/{IDS[kind]}"
        parent = [] if kind == "Api" else ["/properties/ApiId"]
        created = {"Api": ["/properties/ProtocolType"], "Stage": [*parent, own]}.get(kind, parent)
        schema = {
            "typeName": f"AWS::ApiGatewayV2::{kind}",
            "properties": {},
            "primaryIdentifier": [own],
            "createOnlyProperties": created,
            "readOnlyProperties": [] if kind == "Stage" else [own],
        }
        members = {"TYPE": schema["typeName"], "SCHEMA": schema, "kind": kind}
        return type(f"ApiGatewayV2{kind}Provider", (Provider,), members)

    providers = {f"AWS::ApiGatewayV2::{kind}": provider(kind) for kind in IDS}
    executor = cloudformation.ResourceProviderExecutor
    others = executor.try_load_resource_provider

    def try_load_resource_provider(resource_type: str):
        own = providers.get(resource_type)
        found = own() if own else others(resource_type)
        # Otherwise it would be left out without a word: which types there are is in a catalogue that is not downloaded.
        if found is None:
            raise cloudformation.NoResourceProvider(f"{resource_type} is not known to this engine")
        return found

    replace(executor, "try_load_resource_provider", staticmethod(try_load_resource_provider))


def _key(kind: str, properties: dict) -> str:
    name = properties[IDS[kind]]
    return f"{properties['ApiId']}/{name}" if kind == "Stage" else name


def _router() -> None:
    from localstack.aws.connect import connect_to
    from localstack.http import Response
    from localstack.services.edge import ROUTER

    def refused(status: int, message: str) -> Response:
        return Response(json.dumps({"message": message}), status=status, mimetype="application/json")

    def identity(authorization: str) -> dict | None:
        """Whose credentials a request is signed with."""
        found = re.search(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/", authorization)
        if not found:
            return None
        key, region = found.groups()
        if re.fullmatch(r"\d{12}", key):
            return {"accessKey": key, "accountId": key, "callerId": key, "userArn": f"arn:aws:iam::{key}:root", "userId": key}
        caller = connect_to(aws_access_key_id=key, region_name=region).sts.get_caller_identity()
        account = caller["Account"]
        if caller["Arn"].endswith(":root"):
            return None
        return {"accessKey": key, "accountId": account, "callerId": caller["UserId"], "userArn": caller["Arn"], "userId": caller["UserId"]}

    def serve(request, api_id: str, stage: str, path: str = "") -> Response:
        path = "/" + path
        if api_id not in deployed["Api"] or f"{api_id}/{stage}" not in deployed["Stage"]:
            return refused(404, "Not Found")
        route, parameters = best_route(api_id, request.method, path)
        if route is None:
            return refused(404, "Not Found")
        iam = None
        if route.get("AuthorizationType", "NONE") == "AWS_IAM":
            iam = identity(request.headers.get("Authorization", ""))
            if iam is None:
                return refused(403, "Forbidden")
        elif route.get("AuthorizationType", "NONE") != "NONE":
            return refused(501, f"AuthorizationType {route['AuthorizationType']} is not known here")
        integration = deployed["Integration"].get(route["Target"].removeprefix("integrations/"))
        if integration is None:
            return refused(500, "Internal Server Error")
        arn = integration["IntegrationUri"]
        region = arn.split(":")[3]
        event = payload(request, api_id, stage, path, route, parameters, iam)
        client = connect_to(region_name=region).lambda_
        try:
            answer = client.invoke(FunctionName=arn, Payload=json.dumps(event).encode())
        except client.exceptions.TooManyRequestsException:
            return refused(503, "Service Unavailable")
        said = answer["Payload"].read()
        if answer.get("FunctionError"):
            return refused(500, "Internal Server Error")
        return translate(Response, json.loads(said))

    for path in (f"{PREFIX}/<api_id>/<stage>", f"{PREFIX}/<api_id>/<stage>/", f"{PREFIX}/<api_id>/<stage>/<path:path>"):
        ROUTER.add(path, serve, methods=ANSWERED_METHODS)


def best_route(api_id: str, method: str, path: str) -> tuple[dict | None, dict[str, str]]:
    """The most specific route of an API, with the values of its path variables.

    A full match before one with a greedy variable, literal segments before variables, a method before ANY, and `$default` last.
    """
    candidates = []
    for route in deployed["Route"].values():
        if route["ApiId"] != api_id:
            continue
        if route["RouteKey"] == "$default":
            candidates.append(((-1, 0, 0), route, {}))
            continue
        wanted, pattern = route["RouteKey"].split(" ", 1)
        if wanted not in ("ANY", method):
            continue
        found = re.fullmatch(expression(pattern), path)
        if found:
            literal = sum(not segment.startswith("{") for segment in pattern.strip("/").split("/"))
            candidates.append(((int("+}" not in pattern), literal, int(wanted != "ANY")), route, found.groupdict()))
    if not candidates:
        return None, {}
    _, route, parameters = max(candidates, key=lambda candidate: candidate[0])
    return route, parameters


def expression(pattern: str) -> str:
    """A route's path as a regular expression: `{name}` is one segment, `{name+}` one or more."""
    parts = re.split(r"(\{\w+\+?\})", pattern)
    return "".join(
        f"(?P<{part.strip('{+}')}>{'.+' if part.endswith('+}') else '[^/]+'})" if part.startswith("{") else re.escape(part)
        for part in parts
    )


def payload(request, api_id: str, stage: str, path: str, route: dict, parameters: dict, iam: dict | None) -> dict:
    """What the function gets: payload format 2.0."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        name = name.lower()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    cookie = headers.pop("cookie", None)
    query = request.query_string.decode("latin-1")
    now = time.time()
    host = f"{api_id}.execute-api.localhost"
    event = {
        "version": "2.0",
        "routeKey": route["RouteKey"],
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": api_id,
            "domainName": host,
            "domainPrefix": api_id,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.remote_addr or "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": uuid.uuid4().hex,
            "routeKey": route["RouteKey"],
            "stage": stage,
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookie:
        event["cookies"] = [part.strip() for part in cookie.split(";") if part.strip()]
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values[name] = f"{values[name]},{value}" if name in values else value
    if values:
        event["queryStringParameters"] = values
    if parameters:
        event["pathParameters"] = parameters
    if iam:
        event["requestContext"]["authorizer"] = {"iam": iam}
    body = request.get_data()
    if body:
        try:
            event["body"] = body.decode()
        except UnicodeDecodeError:
            event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True
    return event


def translate(response_class, answer):
    """The function's answer as one over HTTP; what is no such answer is the body of a 200."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return response_class(json.dumps(answer), status=200, mimetype="application/json")
    body = answer.get("body") or ""
    body = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    headers = Headers({"Content-Type": "application/json"})
    for name, value in (answer.get("headers") or {}).items():
        headers[name] = str(value)
    headers.remove("Content-Length")
    for cookie in answer.get("cookies") or []:
        headers.add("Set-Cookie", cookie)
    return response_class(body, status=int(answer["statusCode"]), headers=headers)
