"""Runs an ASGI application on uvicorn, to the convention that all servers here keep."""

import asyncio
import os
import signal
import sys
import threading

import uvicorn

from ledger import hang_up


def http_protocol(base):
    class Protocol(base):
        def eof_received(self):
            """Lets a response under way end with its last chunk when the client closes its sending half.

            uvicorn alone would close the connection there and leave the response cut off.
            """
            if self.cycle is None or self.cycle.response_complete:
                return False
            self.cycle.keep_alive = False
            hang_up(self.cycle.scope)
            return True

    return Protocol


def websocket_protocol(base):
    class Protocol(base):
        def eof_received(self):
            """Notes that uvicorn is about to drop the connection: what the application sends now is lost."""
            hang_up(self.scope)

    return Protocol


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        # uvicorn's own handler waits for every stream to end.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        print(f"listening on http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}", flush=True)


def exit_with_parent():
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


def serve(app, http, ws, publisher):
    """Listens on 127.0.0.1:PORT (environment; 0 or none picks a free port), says so in one line, and ends on
    SIGTERM or with the parent process, when stdin reaches its end.

    http and ws are uvicorn's protocol classes; publisher is a coroutine to run beside the application.
    """
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=int(os.environ.get("PORT", "0")),
        http=http_protocol(http),
        ws=websocket_protocol(ws),
        lifespan="off",
        log_level="warning",
        backlog=4096,
    )

    async def run():
        await asyncio.gather(publisher, Server(config).serve())

    threading.Thread(target=exit_with_parent, daemon=True).start()
    asyncio.run(run())
