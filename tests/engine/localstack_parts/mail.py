"""Simple Email Service v2, which the free LocalStack does not have: as much of it as sends mail, which is caught and kept.

`GET /_aws/mail` shows what was sent, oldest first, in the form in which the other engine shows it.
"""

import json
import threading
import uuid

ACCOUNT = "000000000000"
_lock = threading.Lock()
_identities: set[str] = set()
_sent: list[dict] = []


def install() -> None:
    from localstack.http import Response
    from localstack.services.edge import ROUTER

    def answer(body: dict, status: int = 200, error: str = "") -> Response:
        headers = {"x-amzn-ErrorType": error} if error else {}
        return Response(json.dumps(body), status=status, headers=headers, mimetype="application/json")

    def text(part: dict | None) -> str:
        return (part or {}).get("Data", "")

    def create_identity(request) -> Response:
        with _lock:
            _identities.add(request.json["EmailIdentity"])
        return answer({"IdentityType": "EMAIL_ADDRESS", "VerifiedForSendingStatus": True})

    def get_identity(request, identity: str) -> Response:
        if identity not in _identities:
            return answer({"message": f"Email identity {identity} does not exist."}, 404, "NotFoundException")
        return answer({"IdentityType": "EMAIL_ADDRESS", "VerifiedForSendingStatus": True})

    def send(request) -> Response:
        asked = request.json
        sender = asked.get("FromEmailAddress", "")
        if sender not in _identities:
            why = f"Email address is not verified. The following identities failed the check: {sender}"
            return answer({"message": why}, 400, "MessageRejected")
        simple = (asked.get("Content") or {}).get("Simple")
        if simple is None:
            return answer({"message": "only simple messages are taken here"}, 400, "BadRequestException")
        message = {
            "MessageId": str(uuid.uuid4()),
            "From": sender,
            "To": (asked.get("Destination") or {}).get("ToAddresses") or [],
            "Subject": text(simple.get("Subject")),
            "BodyText": text(simple.get("Body", {}).get("Text")),
            "BodyHtml": text(simple.get("Body", {}).get("Html")),
        }
        with _lock:
            _sent.append(message)
        return answer({"MessageId": message["MessageId"]})

    def sent(request) -> Response:
        with _lock:
            return answer({"messages": {ACCOUNT: list(_sent)}})

    ROUTER.add("/v2/email/identities", create_identity, methods=["POST"])
    ROUTER.add("/v2/email/identities/<identity>", get_identity, methods=["GET"])
    ROUTER.add("/v2/email/outbound-emails", send, methods=["POST"])
    ROUTER.add("/_aws/mail", sent, methods=["GET"])
