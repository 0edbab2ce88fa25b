"""Who was handed how many events: what GET /truth answers."""

import asyncio
import collections
import urllib.parse

KEEP_CLOSED = 10_000


class Subscriber:
    """One SSE stream or WebSocket; `?client=` names it. A context manager that closes it."""

    def __init__(self, number, scope, protocol, ledger):
        query = urllib.parse.parse_qs(scope["query_string"].decode())
        self.entry = {
            "id": number,
            "client": query.get("client", [None])[0],
            "protocol": protocol,
            "sent": 0,
            "first": None,
            "last": None,
            "open": True,
        }
        self.wake = asyncio.Event()  # set when there is news: an event published, or the subscriber gone
        self._ledger = ledger
        scope["state"]["subscriber"] = self  # where hang_up finds it

    @property
    def open(self):
        return self.entry["open"]

    def handed(self, seq=None):
        """Counts one event. seq is None where events carry no number."""
        if self.entry["first"] is None:
            self.entry["first"] = seq
        self.entry["last"] = seq
        self.entry["sent"] += 1
        self._ledger.total += 1

    def close(self):
        if self.open:
            self.entry["open"] = False
            self.wake.set()
            self._ledger.closed(self.entry["id"])

    async def sleep(self, seconds):
        """Sleeps, but no longer than the subscriber stays open."""
        try:
            await asyncio.wait_for(self.wake.wait(), seconds)
        except TimeoutError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Ledger:
    def __init__(self):
        self.total = 0
        self._subscribers = {}
        self._closed = collections.deque()
        self._last = 0

    def subscribe(self, scope, protocol):
        """Enters the subscriber behind an ASGI scope."""
        self._last += 1
        subscriber = Subscriber(self._last, scope, protocol, self)
        self._subscribers[self._last] = subscriber.entry
        return subscriber

    def closed(self, number):
        self._closed.append(number)
        if len(self._closed) > KEEP_CLOSED:
            del self._subscribers[self._closed.popleft()]

    def truth(self):
        return {"subscribers": list(self._subscribers.values()), "total": self.total}


def hang_up(scope):
    """Closes the subscriber of an ASGI scope, if it has one."""
    subscriber = scope["state"].get("subscriber")
    if subscriber:
        subscriber.close()
