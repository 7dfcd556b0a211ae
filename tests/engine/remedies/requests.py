"""HTTP APIs: the `cookies` array of payload format 2.0.

AWS takes the cookies out of the headers into an array of their own; MiniStack leaves them in the headers only.
"""


def install(apigateway) -> None:
    run = apigateway.run_reentrant

    async def run_reentrant(function, record, event, **kwargs):
        if isinstance(event, dict) and event.get("version") == "2.0":
            headers = event.get("headers") or {}
            cookie = headers.pop("cookie", None)
            if cookie:
                event["cookies"] = [part.strip() for part in cookie.split(";") if part.strip()]
        return await run(function, record, event, **kwargs)

    apigateway.run_reentrant = run_reentrant
