package server

// A promptSink can also write without waiting.
type promptSink interface {
	sink
	// attempt writes as much of a delivery as the system takes at once. The rest of one that is begun is for the next
	// write.
	attempt(delivery) progress
}

// A laneSink writes events to a lane, encoded as for every other subscriber. Another sink of the same connection writes
// what isn't an event.
type laneSink struct {
	sink
	lane     *lane
	encode   func(*event) []byte
	together bool // several events may share a write; of one that fails nobody knows which of them arrived
	witness  *witness
}

func (k *laneSink) attempt(d delivery) progress {
	k.witness.begin()
	p := k.lane.attempt(k.encode(d.ev))
	if p == whole {
		k.witness.saw([]delivery{d})
	}
	return p
}

func (k *laneSink) write(batch []delivery) (n int, unsure bool, err error) {
	for n < len(batch) {
		some := batch[n:]
		if !k.together {
			some = some[:1]
		}
		if err := k.send(some); err != nil {
			return n, k.together, err
		}
		n += len(some)
	}
	return n, false, nil
}

// send makes these deliveries in one write. One that is begun comes alone.
func (k *laneSink) send(some []delivery) (err error) {
	switch {
	case len(some) == 1 && some[0].dropped:
		return nil
	case some[0].begun:
		err = k.lane.send(nil)
	case len(some) == 1:
		k.witness.begin()
		err = k.lane.send(k.encode(some[0].ev))
	default:
		b := join(some, k.encode)
		k.witness.begin()
		err = k.lane.send(b.Bytes())
		giveBuffer(b)
	}
	if err == nil {
		k.witness.saw(some)
	}
	return err
}
