"""Django on uvicorn (h11, wsproto): SSE with and without ids, and Django Channels on its in-memory layer."""

import json
import os
import time

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse, StreamingHttpResponse
from django.urls import path
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from feed import PERIOD, Feed, tick
from ledger import Ledger
from serve import serve

settings.configure(
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    ROOT_URLCONF=__name__,
)
django.setup()

POLL = float(os.environ.get("POLL", "1"))  # s between two looks of /dashboard

feed = Feed()
ledger = Ledger()


def event_stream(content):
    return StreamingHttpResponse(
        content, content_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )


async def clock(request):
    """A time RATE times a second, each connection on its own clock; no ids."""

    async def stream():
        with ledger.subscribe(request.scope, "sse") as subscriber:
            while subscriber.open:
                yield f"data: The server time is {time.time()}\n\n"
                subscriber.handed()
                await subscriber.sleep(PERIOD)

    return event_stream(stream())


async def dashboard(request):
    """What the feed published since, once every POLL seconds and in one write."""
    after = feed.start(request.headers.get("Last-Event-ID"))

    async def stream(after):
        with ledger.subscribe(request.scope, "sse") as subscriber:
            while subscriber.open:
                batch = feed.since(after)
                if batch:
                    yield "".join(f"id: {event['seq']}\ndata: {json.dumps(event)}\n\n" for event in batch)
                    after = batch[-1]["seq"]
                for event in batch:
                    subscriber.handed(event["seq"])
                await subscriber.sleep(POLL)

    return event_stream(stream(after))


async def truth(request):
    return JsonResponse(ledger.truth())


urlpatterns = [path("clock", clock), path("dashboard", dashboard), path("truth", truth)]


class Subscription(AsyncWebsocketConsumer):
    """Hands on what is sent to a channel group."""

    group = "feed"

    async def connect(self):
        self.subscriber = ledger.subscribe(self.scope, "ws")
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        self.subscriber.close()
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def event(self, message):
        """Called by Channels for each message of type "event" to the group."""
        try:
            await self.send(text_data=message["text"])
        except OSError:
            self.subscriber.close()  # disconnect follows
        if self.subscriber.open:
            self.subscriber.handed(message["seq"])


class Chat(Subscription):
    """Broadcasts every {user, text} that it receives."""

    group = "chat"

    async def connect(self):
        await super().connect()
        await self.send(text_data=json.dumps({"type": "system", "text": "welcome"}))

    async def receive(self, text_data=None, bytes_data=None):
        try:
            received = json.loads(text_data or bytes_data)
            message = {"type": "message", "user": received["user"], "text": received["text"]}
        except (ValueError, TypeError, KeyError):
            await self.close(code=1007)
            return
        message["timestamp"] = int(time.time() * 1000)
        await broadcast(self.group, None, message)


async def broadcast(group, seq, message):
    await get_channel_layer().group_send(group, {"type": "event", "seq": seq, "text": json.dumps(message)})


async def publish():
    event = feed.publish()
    await broadcast(Subscription.group, event["seq"], event)


app = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("ws/feed", Subscription.as_asgi()), path("ws/chat", Chat.as_asgi())]),
    }
)

serve(app, H11Protocol, WSProtocol, tick(publish))
