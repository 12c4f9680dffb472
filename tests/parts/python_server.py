"""A protected MCP server and its authorization server in one: the official Python SDK's own.

    python python_server.py '{"transport": "sse"}'

Prints one JSON line when it is ready and ends when its standard input ends. Endpoints, metadata,
client authentication and token errors are the SDK's; what it leaves to its users, where codes and
tokens are kept, is here: refresh tokens are rotated, and a family dies by the use of an old one.
"""

import json
import logging
import secrets
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

import anyio
import httpx2
import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthToken
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

DEFAULTS = {
    "transport": "streamable",  # or "sse", the transport of 2024-11-05
    "access_token_ttl": 3600,
}
SCOPES = ["mcp:read", "mcp:write"]
COUNTED = {
    "/register": "registrations",
    "/authorize": "authorize_requests",
    "/token": "token_requests",
    "/revoke": "revocations",
    "/sse": "streams",
}


class Memory(OAuthAuthorizationServerProvider):
    """Who signs in is let in at once; all that was issued is kept until the program ends."""

    def __init__(self, ttl, count):
        self.ttl, self.count = ttl, count
        self.clients, self.codes, self.access, self.refresh = {}, {}, {}, {}
        self.spent = {}

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client_info):
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client, params):
        code = AuthorizationCode(
            code=secrets.token_urlsafe(32), scopes=params.scopes or SCOPES,
            expires_at=time.time() + 60, client_id=client.client_id, subject="alice",
            **params.model_dump(exclude={"state", "scopes"}),
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(self, client, authorization_code):
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client, authorization_code):
        del self.codes[authorization_code.code]
        self.count("code_ok")
        return self.issue(authorization_code, authorization_code.scopes)

    async def load_refresh_token(self, client, refresh_token):
        if family := self.spent.get(refresh_token):
            self.count("reuse")
            self.end(family)
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        self.end(refresh_token.token)
        self.count("refresh_ok")
        issued = self.issue(refresh_token, scopes)
        self.spent[refresh_token.token] = issued.refresh_token
        return issued

    def issue(self, grant, scopes):
        about = {
            "client_id": grant.client_id, "scopes": scopes, "resource": grant.resource,
            "subject": grant.subject,
        }
        access = AccessToken(
            token=secrets.token_urlsafe(32), expires_at=int(time.time() + self.ttl), **about
        )
        refresh = RefreshToken(token=secrets.token_urlsafe(32), **about)
        self.access[access.token] = access
        self.refresh[refresh.token] = refresh
        return OAuthToken(
            access_token=access.token, token_type="Bearer", expires_in=self.ttl,
            scope=" ".join(scopes), refresh_token=refresh.token,
        )

    def end(self, refresh_token):
        while refresh_token:
            self.refresh.pop(refresh_token, None)
            refresh_token = self.spent.get(refresh_token)

    async def load_access_token(self, token):
        found = self.access.get(token)
        return found if found and found.expires_at > time.time() else None

    async def revoke_token(self, token):
        self.count("revoked")
        self.access.pop(token.token, None)
        self.end(token.token)


class Counting:
    """Counts what comes for each endpoint, and what of it fails."""

    def __init__(self, app, counts):
        self.app, self.counts = app, counts

    async def __call__(self, scope, receive, send):
        name = COUNTED.get(scope.get("path"))
        if name:
            self.counts[name] = self.counts.get(name, 0) + 1

        async def watched(message):
            if name and message.get("status", 200) >= 400:
                self.counts[f"{name}_failed"] = self.counts.get(f"{name}_failed", 0) + 1
            await send(message)

        await self.app(scope, receive, watched)


def mcp_server(origin, path, provider):
    auth = AuthSettings(
        issuer_url=origin, resource_server_url=f"{origin}{path}", required_scopes=SCOPES,
        validate_token_resource=True, revocation_options=RevocationOptions(enabled=True),
        client_registration_options=ClientRegistrationOptions(
            enabled=True, valid_scopes=SCOPES, default_scopes=SCOPES
        ),
    )
    server = MCPServer("python", auth=auth, auth_server_provider=provider, log_level="CRITICAL")

    @server.tool()
    def echo(message: str) -> str:
        """Says the same again."""
        return f"Echo: {message}"

    return server


async def main():
    settings = DEFAULTS | json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    counts = {}

    def count(name):
        counts[name] = counts.get(name, 0) + 1

    provider = Memory(settings["access_token_ttl"], count)
    path = "/sse" if settings["transport"] == "sse" else "/mcp"
    server = mcp_server(origin, path, provider)
    app = server.sse_app() if path == "/sse" else server.streamable_http_app()

    async def sign_in(request):
        asked = await request.json()
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(asked["url"], follow_redirects=False)
        location = answer.headers.get("location")
        assert location and urlsplit(location).netloc != urlsplit(origin).netloc, answer.text
        return JSONResponse({"location": location, "status": answer.status_code})

    async def show_counts(_request):
        return JSONResponse(counts)

    async def expire(_request):
        provider.access.clear()
        return JSONResponse({})

    control = Starlette(routes=[
        Route("/counts", show_counts),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/expire-access-tokens", expire, methods=["POST"]),
    ])
    app.router.routes.insert(0, Mount("/control", app=control))
    config = uvicorn.Config(Counting(app, counts), log_level="critical", lifespan="on")
    serving = uvicorn.Server(config)

    def end_with_parent():
        sys.stdin.read()
        serving.should_exit = serving.force_exit = True

    threading.Thread(target=end_with_parent, daemon=True).start()
    print(
        json.dumps({"ready": True, "url": origin + path, "control": f"{origin}/control"}),
        flush=True,
    )
    await serving.serve(sockets=[listener])


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    anyio.run(main)
