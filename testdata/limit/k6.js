// What k6 is given to do: so many WebSockets, each of which counts its messages.
//
//   k6 run -e URL=ws://… -e CONNECTIONS=1000 -e SECONDS=8 k6.js
import { WebSocket } from 'k6/websockets';
import { Counter } from 'k6/metrics';

const received = new Counter('received');

export const options = {
  scenarios: {
    streams: {
      executor: 'per-vu-iterations',
      vus: Number(__ENV.CONNECTIONS),
      iterations: 1,
      maxDuration: '10m',
    },
  },
};

export default function () {
  const ws = new WebSocket(__ENV.URL);
  ws.onmessage = () => received.add(1);
  ws.onopen = () => setTimeout(() => ws.close(), Number(__ENV.SECONDS) * 1000);
}
