"""FastAPI on uvicorn (httptools, websockets): an SSE feed, the same feed as a WebSocket, and two LLM-style streams."""

import asyncio
import json
import os
import time

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from feed import Feed, tick
from ledger import Ledger
from serve import serve

HEARTBEAT = int(os.environ.get("HEARTBEAT", "15000")) / 1000  # s
FIRST_TOKEN = int(os.environ.get("FIRST_TOKEN", "100")) / 1000  # s
TOKEN_GAP = int(os.environ.get("TOKEN_GAP", "20")) / 1000  # s

app = FastAPI()
feed = Feed()
ledger = Ledger()


@app.get("/events")
async def events(request: Request):
    after = feed.start(request.headers.get("last-event-id"))

    async def stream():
        with ledger.subscribe(request.scope, "sse") as subscriber:
            async for event in feed.follow(subscriber, after):
                yield {"id": str(event["seq"]), "data": json.dumps(event)}
                subscriber.handed(event["seq"])

    return EventSourceResponse(stream(), ping=HEARTBEAT)


@app.websocket("/ws")
async def websocket(socket: WebSocket, after: str = ""):
    await socket.accept()
    with ledger.subscribe(socket.scope, "ws") as subscriber:

        async def write():
            async for event in feed.follow(subscriber, feed.start(after)):
                await socket.send_json(event)
                if subscriber.open:  # else the client hung up while this was written
                    subscriber.handed(event["seq"])

        writer = asyncio.create_task(write())
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
        subscriber.close()
        await asyncio.gather(writer, return_exceptions=True)  # a write to a closed socket fails


class Prompt(BaseModel):
    max_tokens: int = Field(default=20, ge=1, le=4096)


async def tokens(prompt, subscriber):
    """Yields word after word until there are enough or the client is gone."""
    await subscriber.sleep(FIRST_TOKEN)
    for n in range(prompt.max_tokens):
        if n:
            await subscriber.sleep(TOKEN_GAP)
        if not subscriber.open:
            return
        yield f"word{n} "


def reply(request, render):
    """Streams the events that render(subscriber) yields, and counts each, the end marker too."""

    async def stream():
        with ledger.subscribe(request.scope, "sse") as subscriber:
            async for event in render(subscriber):
                yield event
                subscriber.handed()

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


@app.post("/v1/chat/completions")
async def chat_completions(prompt: Prompt, request: Request):
    created = int(time.time())

    async def render(subscriber):
        async for token in tokens(prompt, subscriber):
            choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
            chunk = {"object": "chat.completion.chunk", "created": created, "choices": [choice]}
            yield f"data: {json.dumps(chunk)}\n\n"
        if subscriber.open:
            yield "data: [DONE]\n\n"

    return reply(request, render)


@app.post("/v1/messages")
async def messages(prompt: Prompt, request: Request):
    def named(kind, **fields):
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"

    async def render(subscriber):
        yield named("message_start", message={"role": "assistant", "content": []})
        async for token in tokens(prompt, subscriber):
            yield named("content_block_delta", index=0, delta={"type": "text_delta", "text": token})
        if subscriber.open:
            yield named("message_stop")

    return reply(request, render)


@app.get("/truth")
async def truth():
    return ledger.truth()


async def publish():
    feed.publish()


serve(app, HttpToolsProtocol, WebSocketsSansIOProtocol, tick(publish))
