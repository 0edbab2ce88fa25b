package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// writesHead is the first line of /truth/writes; the times are ns since the Unix epoch, on the true clock.
const writesHead = "event,seq,due,subscriber,before,after\n"

// writesChunk is how many writes are copied out of the log at once.
const writesChunk = 512

// A write is one delivery and when the system call that carried it began and was done.
type write struct {
	event, seq    uint64
	due           int64
	subscriber    uint64
	before, after int64
	topic         uint32
}

// A writeLog keeps the latest writes. Safe for use by several goroutines.
type writeLog struct {
	mu    sync.Mutex
	slots []write // by number modulo the length
	total uint64  // writes ever noted, and so the number of the next one
}

// newWriteLog gives nil for none.
func newWriteLog(most int) *writeLog {
	if most == 0 {
		return nil
	}
	return &writeLog{slots: make([]write, most)}
}

// counts gives how many writes were noted, and how many of them are forgotten.
func (l *writeLog) counts() (total, forgotten uint64) {
	if l == nil {
		return 0, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.oldest()
}

func (l *writeLog) oldest() uint64 { return l.total - min(l.total, uint64(len(l.slots))) }

// copy fills chunk with the writes from number from, or from the oldest that is left, to before number end, which was
// noted already. It gives the number of the one that comes next.
func (l *writeLog) copy(chunk []write, from, end uint64) (n int, next uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from = max(from, l.oldest())
	for n < len(chunk) && from < end {
		some := chunk[n:min(len(chunk), n+int(end-from))]
		copied := copy(some, l.slots[from%uint64(len(l.slots)):])
		n += copied
		from += uint64(copied)
	}
	return n, from
}

// A timedConn notes when its writes begin and end. It is the connection below TLS, so that a write is a system call,
// or several if the socket's buffer is full.
type timedConn struct {
	net.Conn

	mu          sync.Mutex
	first, last int64 // begin of the first write and end of the latest since the lap began; 0 before the first
}

// NetConn gives the connection under c.
func (c *timedConn) NetConn() net.Conn { return c.Conn }

// CloseWrite closes the writing side, where the connection under c can.
func (c *timedConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

func (c *timedConn) Write(b []byte) (int, error) {
	before := time.Now().UnixNano()
	n, err := c.Conn.Write(b)
	c.note(before, time.Now().UnixNano())
	return n, err
}

// note notes a write.
func (c *timedConn) note(before, after int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == 0 {
		c.first = before
	}
	c.last = after
}

// lap begins a new lap, and gives the times of the one that ends.
func (c *timedConn) lap() (first, last int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, last = c.first, c.last
	c.first, c.last = 0, 0
	return first, last
}

// A witness notes when the deliveries to one subscriber are written. A nil witness notes nothing.
type witness struct {
	log        *writeLog
	conn       *timedConn
	subscriber uint64
}

// witness gives one for the subscriber that r serves; nil where nobody asked for it, and on HTTP/2, where one system
// call carries what is for several subscribers.
func (h *hub) witness(r *http.Request, subscriber uint64) *witness {
	l := laneOf(r)
	if h.writes == nil || l == nil || l.timed == nil {
		return nil
	}
	return &witness{h.writes, l.timed, subscriber}
}

// begin is called before a write of deliveries.
func (w *witness) begin() {
	if w != nil {
		w.conn.lap()
	}
}

// saw is called after it, with what was written.
func (w *witness) saw(batch []delivery) {
	if w == nil {
		return
	}
	before, after := w.conn.lap()
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	for _, d := range batch {
		if d.dropped {
			continue
		}
		w.log.slots[w.log.total%uint64(len(w.log.slots))] = write{
			event: d.ev.id, seq: d.ev.seq, due: d.ev.due, topic: d.ev.topic.n,
			subscriber: w.subscriber, before: before, after: after,
		}
		w.log.total++
	}
}

// A writesQuery says which writes /truth/writes gives.
type writesQuery struct {
	from, until int64 // range of due, without its end
	client      string
	named       bool
	topic       string
}

func parseWritesQuery(q url.Values) (writesQuery, error) {
	query := writesQuery{
		from: math.MinInt64, until: math.MaxInt64,
		client: q.Get("client"), named: q.Has("client"), topic: q.Get("topic"),
	}
	for name, ns := range map[string]*int64{"from": &query.from, "until": &query.until} {
		if !q.Has(name) {
			continue
		}
		v, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil {
			return query, fmt.Errorf("%s=%.40q: want ns since the Unix epoch", name, q.Get(name))
		}
		*ns = v
	}
	return query, nil
}

// filter settles what is being written and gives what keeps a write that q asks for.
func (h *hub) filter(ctx context.Context, q writesQuery) func(*write) bool {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_, records := h.truth.find(truthQuery{subscribers: math.MaxInt, client: q.client, named: q.named})
	wanted := make(map[uint64]bool, len(records))
	for _, r := range records {
		r.mu.Lock()
		r.settle(ctx)
		wanted[r.sub.N] = true
		r.mu.Unlock()
	}
	topic, known := h.topicNumber(q.topic)
	return func(w *write) bool {
		return w.due >= q.from && w.due < q.until &&
			(!q.named || wanted[w.subscriber]) && (q.topic == "" || known && w.topic == topic)
	}
}

// serveWrites streams what the log holds when it is asked. Writes that are forgotten before their turn comes are
// left out; /truth counts them.
func (s *Server) serveWrites(w http.ResponseWriter, r *http.Request) {
	log := s.hub.writes
	if log == nil {
		http.Error(w, "writes aren't noted: give the server a number of them to remember", http.StatusNotFound)
		return
	}
	q, err := parseWritesQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	keep := s.hub.filter(r.Context(), q)
	end, next := log.counts()
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	rows := []byte(writesHead)
	for chunk := make([]write, writesChunk); ; {
		_ = rc.SetWriteDeadline(time.Now().Add(s.hub.opts.WriteTimeout)) // without deadlines, the write ends by itself
		if _, err := w.Write(rows); err != nil {
			return // a client that went away needs no answer
		}
		if next >= end {
			break
		}
		var n int
		n, next = log.copy(chunk, next, end)
		rows = appendRows(rows[:0], chunk[:n], keep)
	}
	if rc.Flush() == nil {
		_ = rc.SetWriteDeadline(time.Time{}) // as above
	}
}

// appendRows appends the lines of those writes that keep wants.
func appendRows(rows []byte, writes []write, keep func(*write) bool) []byte {
	for i := range writes {
		w := &writes[i]
		if !keep(w) {
			continue
		}
		rows = append(strconv.AppendUint(rows, w.event, 10), ',')
		rows = append(strconv.AppendUint(rows, w.seq, 10), ',')
		rows = append(strconv.AppendInt(rows, w.due, 10), ',')
		rows = append(strconv.AppendUint(rows, w.subscriber, 10), ',')
		rows = append(strconv.AppendInt(rows, w.before, 10), ',')
		rows = append(strconv.AppendInt(rows, w.after, 10), '\n')
	}
	return rows
}
