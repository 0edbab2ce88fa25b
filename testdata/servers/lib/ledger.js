'use strict';

const KEEP_CLOSED = 10_000;

// Who was handed how many events: what GET /truth answers.
class Ledger {
  #subscribers = new Map();
  #closed = [];
  #lastID = 0;
  #total = 0;

  // Enters the subscriber behind an HTTP request; ?client= names it.
  open(request, protocol) {
    const client = new URL(request.url, 'http://localhost').searchParams.get('client');
    const entry = { id: ++this.#lastID, client, protocol, sent: 0, first: null, last: null, open: true };
    this.#subscribers.set(entry.id, entry);
    return {
      // Counts one event. seq is null where events carry no number.
      handed: (seq = null) => {
        entry.first ??= seq;
        entry.last = seq;
        entry.sent++;
        this.#total++;
      },
      close: () => this.#close(entry),
    };
  }

  #close(entry) {
    if (!entry.open) return;
    entry.open = false;
    this.#closed.push(entry.id);
    if (this.#closed.length > KEEP_CLOSED) this.#subscribers.delete(this.#closed.shift());
  }

  toJSON() {
    return { subscribers: [...this.#subscribers.values()], total: this.#total };
  }
}

module.exports = { Ledger };
