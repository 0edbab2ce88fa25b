"""A numbered feed of events with replay."""

import asyncio
import collections
import math
import os
import time

REPLAY_DEPTH = 1000
RATE = float(os.environ.get("RATE", "10"))  # events per second; 0 for none
PERIOD = 1 / RATE if RATE else math.inf  # s


class Feed:
    """Numbers events 1, 2, 3, … and keeps the last 1,000 for replay."""

    def __init__(self):
        self.seq = 0
        self._ring = collections.deque(maxlen=REPLAY_DEPTH)
        self._followers = set()

    def publish(self):
        self.seq += 1
        self._ring.append({"seq": self.seq, "sent": time.time()})
        for subscriber in self._followers:
            subscriber.wake.set()
        return self._ring[-1]

    def start(self, after):
        """The number to follow from: `after` where it is one, else now."""
        return int(after) if after and after.isdecimal() else self.seq

    def since(self, after):
        """The events after number `after` that are still kept."""
        oldest = self.seq - len(self._ring) + 1
        return [self._ring[n - oldest] for n in range(max(after + 1, oldest), self.seq + 1)]

    async def follow(self, subscriber, after):
        """Yields the events after number `after` for as long as the subscriber is open."""
        self._followers.add(subscriber)
        try:
            while True:
                for event in self.since(after):
                    if not subscriber.open:
                        return
                    yield event
                    after = event["seq"]
                if not subscriber.open:
                    return
                if after >= self.seq:
                    subscriber.wake.clear()
                    await subscriber.wake.wait()
        finally:
            self._followers.discard(subscriber)


async def tick(publish):
    """Calls publish RATE times a second.

    Each call has a due time of its own, so a late wake-up delays calls but never loses any.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + PERIOD
    while True:
        while due <= loop.time():
            await publish()
            due += PERIOD
        await asyncio.sleep(due - loop.time())
