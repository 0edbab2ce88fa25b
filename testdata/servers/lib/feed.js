'use strict';

const { EventEmitter } = require('node:events');

const REPLAY_DEPTH = 1000;

// Numbers events 1, 2, 3, …, emits each as 'event' and keeps the last 1,000 for replay.
class Feed extends EventEmitter {
  #ring = [];
  #seq = 0;

  constructor() {
    super();
    this.setMaxListeners(0);
  }

  publish(fields) {
    const event = { seq: ++this.#seq, ...fields };
    this.#ring.push(event);
    if (this.#ring.length > REPLAY_DEPTH) this.#ring.shift();
    this.emit('event', event);
  }

  // Delivers the events after number `after` that are still kept, then every new one; without a usable
  // number only new ones. Returns the function that stops it.
  follow(after, deliver) {
    const from = Number.parseInt(after, 10);
    this.#ring.filter((event) => event.seq > from).forEach(deliver);
    this.on('event', deliver);
    return () => this.off('event', deliver);
  }

  // Publishes RATE times a second (environment, default 10; 0 for never) what make(seq) returns.
  // Each event has a due time of its own, so a late timer delays events but never loses any.
  tick(make) {
    const period = 1000 / Number(process.env.RATE ?? 10);
    if (!Number.isFinite(period)) return;
    let due = performance.now();
    const publishDue = () => {
      for (; due <= performance.now(); due += period) this.publish(make(this.#seq + 1));
      setTimeout(publishDue, due - performance.now());
    };
    publishDue();
  }
}

module.exports = { Feed };
