"""The official Python SDK as an agent would use it.

    DOORWARD_SESSION=… python py_client.py URL [--calls N] [--parallel N] [--notifications N]
                                               [--timeout SECONDS] [--mode auto|legacy]
                                               [--interactive] [--sse]

Connects, lists the tools, calls `echo` N times, and can wait for N notifications on the event
stream. Prints one JSON line and exits with 0 or 1. With --interactive it then obeys lines on
standard input (`call [N]`, `list`, `notifications N`), answers each with one JSON line, and
prints the result when the input ends. `--mode auto` asks with `server/discover` first.
"""

import argparse
import json
import logging
import os
import sys
from contextlib import asynccontextmanager

import anyio
import httpx2
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client


class ToolError(Exception):
    """The server answered a call with a result that says it failed."""


def leaves(error):
    """The errors inside a group, which is what task groups raise."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


class Agent:
    def __init__(self, options):
        self.options = options
        self.notified = anyio.Event()
        self.notifying = False
        self.client = None
        self.result = {
            "ok": False, "client": "python", "server": None, "tools": [], "calls": 0,
            "notifications": 0, "errors": [],
        }

    def note(self, step, error):
        for leaf in leaves(error):
            entry = {"step": step, "kind": type(leaf).__name__, "message": str(leaf)}
            details = getattr(leaf, "error", None)
            if details is not None and hasattr(details, "code"):
                entry |= {"code": details.code, "data": details.data}
            self.result["errors"].append(entry)

    async def attempt(self, step, run, *args):
        try:
            await run(*args)
        except Exception as error:
            self.note(step, error)

    async def on_log(self, _message):
        self.result["notifications"] += 1
        self.notified.set()
        self.notified = anyio.Event()

    async def call(self, number):
        message = f"message {number}"
        answer = await self.client.call_tool("echo", {"message": message})
        text = answer.content[0].text if answer.content else None
        if answer.is_error:
            raise ToolError(text)
        if text != f"Echo: {message}":
            raise ValueError(f"unexpected answer: {text}")
        self.result["calls"] += 1

    async def calls(self, total):
        numbers = iter(range(1, total + 1))

        async def worker():
            for number in numbers:
                await self.attempt("call", self.call, number)

        async with anyio.create_task_group() as group:
            for _ in range(self.options.parallel):
                group.start_soon(worker)

    async def list(self):
        listed = await self.client.list_tools(cache_mode="refresh")
        self.result["tools"] = [tool.name for tool in listed.tools]

    async def notifications(self, at_least):
        if not self.notifying:
            self.notifying = True
            await self.client.call_tool("toggle-simulated-logging", {})
        while self.result["notifications"] < at_least:
            await self.notified.wait()

    async def obey(self):
        async for line in anyio.wrap_file(sys.stdin):
            word, *rest = line.split() or [""]
            count = int(rest[0]) if rest else 1
            before, failures = self.result["calls"], len(self.result["errors"])
            if word == "call":
                await self.calls(count)
            elif word == "list":
                await self.attempt("list", self.list)
            elif word == "notifications":
                at_least = self.result["notifications"] + count
                await self.attempt("notifications", self.notifications, at_least)
            else:
                self.note("input", ValueError(f"unknown: {line}"))
            errors = self.result["errors"][failures:]
            show({
                "done": word, "ok": not errors, "calls": self.result["calls"] - before,
                "tools": len(self.result["tools"]),
                "notifications": self.result["notifications"], "errors": errors,
            })

    @asynccontextmanager
    async def connection(self):
        bearer = os.environ.get("DOORWARD_SESSION")
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        timeout = httpx2.Timeout(30, read=300)
        async with httpx2.AsyncClient(headers=headers, timeout=timeout) as http:
            transport = streamable_http_client(self.options.url, http_client=http)
            if self.options.sse:
                transport = sse_client(self.options.url, headers=headers)
            async with Client(
                transport, mode=self.options.mode, logging_callback=self.on_log
            ) as client:
                yield client

    async def work(self):
        connected = False
        try:
            async with self.connection() as self.client:
                connected = True
                info = self.client.server_info
                self.result["server"] = info.name if info else None
                await self.attempt("list", self.list)
                await self.calls(self.options.calls)
                if self.options.notifications:
                    await self.attempt(
                        "notifications", self.notifications, self.options.notifications
                    )
                if self.options.interactive:
                    self.announce(True)
                    await self.obey()
        except Exception as error:
            self.note("close" if connected else "connect", error)
            if self.options.interactive and not connected:
                self.announce(False)

    def announce(self, connected):
        show({
            "connected": connected, "tools": len(self.result["tools"]),
            "calls": self.result["calls"], "errors": self.result["errors"],
        })

    async def run(self):
        with anyio.move_on_after(self.options.timeout) as limit:
            await self.work()
        if limit.cancelled_caught:
            seconds = self.options.timeout
            self.note("timeout", TimeoutError(f"not finished after {seconds:g} s"))
        self.result["ok"] = not self.result["errors"]
        show(self.result)
        # A read of standard input may still be waiting in its thread.
        os._exit(0 if self.result["ok"] else 1)


def show(value):
    print(json.dumps(value), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--notifications", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--interactive", action="store_true")
    parser.add_argument("--sse", action="store_true")
    return parser.parse_args()


async def main():
    await Agent(arguments()).run()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    anyio.run(main)
