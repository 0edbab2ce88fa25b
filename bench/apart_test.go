package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// TestDisjoint: rooms are told from losses, however many, and from a part of the connections being behind.
func TestDisjoint(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	for _, row := range []struct {
		name  string
		conns int
		sees  func(conn int, n uint64) bool
		last  func(conn int) uint64
		want  bool
	}{
		{"all see all", 20, func(int, uint64) bool { return true }, nil, false},
		{"two rooms", 20, func(conn int, n uint64) bool { return n%2 == uint64(conn%2) }, nil, true},
		{"ten rooms", 40, func(conn int, n uint64) bool { return n%10 == uint64(conn%10) }, nil, true},
		{"one in a room of its own", 20, func(conn int, n uint64) bool { return (n%3 == 0) == (conn == 7) }, nil, true},
		{"half are lost", 64, func(int, uint64) bool { return random.IntN(2) == 0 }, nil, false},
		{"nine of ten are lost", 64, func(int, uint64) bool { return random.IntN(10) == 0 }, nil, false},
		{"nearly all are lost", 64, func(int, uint64) bool { return random.IntN(30) == 0 }, nil, false},
		{"each sees a few of its own", 64, func(conn int, n uint64) bool { return n%64 == uint64(conn) }, nil, false},
		{"all but one lose stretches", 12, func(conn int, n uint64) bool { return conn == 0 || (n+uint64(conn)*37)%200 < 60 }, nil, false},
		{"all lose stretches", 64, func(conn int, n uint64) bool { return (n+uint64(conn)*37)%256 < 64 }, nil, false},
		{"rooms by turns, and one in all of them", 20, func(conn int, n uint64) bool { return conn == 0 || n%2 == uint64(conn%2) }, nil, false},
		{"some are far behind", 20, func(int, uint64) bool { return true }, func(conn int) uint64 { return 1000 - uint64(conn)*50 }, false},
		{"rooms, and some are behind", 20, func(conn int, n uint64) bool { return n%2 == uint64(conn%2) }, func(conn int) uint64 { return 1000 - uint64(conn) }, true},
		{"one has seen nothing", 20, func(conn int, _ uint64) bool { return conn != 3 }, nil, false},
		{"few events", 2, func(conn int, n uint64) bool { return n < 6 && n%2 == uint64(conn%2) }, func(int) uint64 { return 6 }, false},
	} {
		var views []Tracker
		for conn := range row.conns {
			last := uint64(1000)
			if row.last != nil {
				last = row.last(conn)
			}
			var tracker Tracker
			tracker.Expect(1)
			for n := uint64(1); n <= last; n++ {
				if row.sees(conn, n) {
					tracker.Observe(n)
				}
			}
			views = append(views, tracker)
		}
		if got := disjoint(views); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

// TestRooms: what is for others isn't lost.
func TestRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{}
			for n := a.conn % 3; n < 100; n += 3 {
				s.lines = append(s.lines, line{time.Duration(n+1) * 40 * millisecond, numbered(fmt.Sprint(n*7+5), fmt.Sprint(n))})
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 5 * second, Warmup: -1})
		for _, m := range []Metric{Expected, Delivered, Lost, Reach, Reordered, LagBehindFirst, Reach100} {
			if result.Unmeasured[m] == "" {
				t.Errorf("%s is measured, as %d", m, result.Count(m))
			}
		}
		if result.Count(Duplicate) != 0 || result.Unmeasured[Duplicate] != "" {
			t.Error("duplicates can be told")
		}
	})
}

// TestNameless: what has no id is in no account of losses, and that is said, but for a greeting.
func TestNameless(t *testing.T) {
	for _, every := range []int{0, 3} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(func(attempt) (*fakeStream, error) {
				s := &fakeStream{lines: []line{{millisecond, event("welcome")}}}
				for n := 1; n <= 60; n++ {
					ev := numbered(fmt.Sprint(n), fmt.Sprint(n))
					if every > 0 && n%every == 0 {
						ev = event(fmt.Sprint(n))
					}
					s.lines = append(s.lines, line{time.Duration(n) * 20 * millisecond, ev})
				}
				return s, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 3 * second, Warmup: -1})
			if want := 120 - 40*every/3; result.Count(Expected) != uint64(want) || result.Count(Lost) != 0 {
				t.Errorf("%d expected, %d lost", result.Count(Expected), result.Count(Lost))
			}
			if every == 0 {
				checkTexts(t, "warnings", result.Warnings)
			} else {
				checkTexts(t, "warnings", result.Warnings, "42 of 122 events carry no id or number: whether any such was lost is in no count")
			}
		})
	}
}

// TestSubsets: where what each connection gets can't be told from what is left after losses, that is said; but not where
// every event is declared to be for everybody, nor where what is missing is little.
func TestSubsets(t *testing.T) {
	for _, row := range []struct {
		name     string
		share    float64
		sequence Sequence
		says     []string
	}{
		{"subsets", .7, Sequence{}, []string{"lost is what only other connections received, 30.3 % of all: where not every event is for every connection, that isn't loss"}},
		{"a few losses", .99, Sequence{}, nil},
		{"declared", .7, Sequence{ID: true}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, 0))
			f := newFakeServer(func(attempt) (*fakeStream, error) {
				s := &fakeStream{}
				for n := 1; n <= 200; n++ {
					if random.Float64() < row.share {
						s.lines = append(s.lines, line{time.Duration(n) * 20 * millisecond, numbered(fmt.Sprint(n), fmt.Sprint(n))})
					}
				}
				return s, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 5 * second, Warmup: -1, Sequence: row.sequence})
			if result.Count(Lost) == 0 {
				t.Errorf("%s: nothing is lost", row.name)
			}
			checkTexts(t, row.name, result.Warnings, row.says...)
		})
	}
}

// TestSubsetsBeside: nothing is said of that where what is lost is declared to be for everybody, though other events aren't;
// nor where the run itself has broken connections off, which loses something.
func TestSubsetsBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: []line{{millisecond, numbered(fmt.Sprint("welcome", a.conn), "hello")}}}
			for n := 1; n < 200; n++ {
				if due := time.Duration(n) * 10 * millisecond; (n+a.conn)%5 != 0 {
					s.lines = append(s.lines, line{due + millisecond, f.stamped(n, due)})
				}
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 2500 * millisecond, Warmup: -1})
		if result.Count(Lost) == 0 {
			t.Error("nothing is lost")
		}
		checkTexts(t, "warnings", result.Warnings, "loss is not measurable in 1 of 2 sequences of events: what is counted is that of the others")
	})
	synctest.Test(t, func(t *testing.T) {
		by := identified[2]
		f := resumingServer(by.event, func(int, []int) ([]int, int) { return nil, 0 }, 0, false, 300*millisecond)
		result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 4 * second, Drain: second, Warmup: -1, Backoff: fixed, Sequence: by.seq,
			Breakages: []Breakage{{How: client.BreakRST, Share: .5, At: second}}})
		if result.Count(Lost) == 0 || result.Count(Drops) != 0 {
			t.Errorf("%d lost, %d drops", result.Count(Lost), result.Count(Drops))
		}
		checkTexts(t, "warnings", result.Warnings)
	})
}

// TestNumbersOfTheirOwn: where each user has numbers of its own, declared or stamped on, only what a connection misses of
// those is lost; however far the numbers are from each other.
func TestNumbersOfTheirOwn(t *testing.T) {
	for _, apart := range []int{100, 300, 5000, 1_000_000_000} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(func(a attempt) (*fakeStream, error) {
				s := &fakeStream{}
				user := a.conn % 3 // of each, two connections
				for n := 1; n <= 400; n++ {
					if number := fmt.Sprint(1000 + user*apart + n); a.conn != 5 || n < 100 || n >= 120 {
						s.lines = append(s.lines, line{time.Duration(n) * 10 * millisecond, numbered(number, fmt.Sprint(user, number))})
					}
				}
				return s, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 5 * second, Warmup: -1, Sequence: Sequence{ID: true}})
			if result.Count(Lost) != 20 || result.Unmeasured[Lost] != "" {
				t.Errorf("%d apart: %d lost, want 20 %s", apart, result.Count(Lost), result.Unmeasured[Lost])
			}
			if h := result.Histogram(LagBehindFirst); h != nil {
				t.Errorf("%d apart: a connection is behind others, which see other events", apart)
			}
		})
	}
}

// TestSparseNumbers: where most numbers came to nobody, they may not be consecutive, whatever they are declared to be.
func TestSparseNumbers(t *testing.T) {
	for _, step := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(func(attempt) (*fakeStream, error) {
				s := &fakeStream{}
				for n := 1; n <= 100; n++ {
					s.lines = append(s.lines, line{time.Duration(n) * 20 * millisecond, numbered(fmt.Sprint(n*step), fmt.Sprint(n))})
				}
				return s, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 3 * second, Warmup: -1, Sequence: Sequence{ID: true}})
			if step == 1 {
				checkTexts(t, "warnings", result.Warnings)
			} else {
				checkTexts(t, "warnings", result.Warnings, "396 of 496 numbers from the first to the last came to nobody")
			}
		})
	}
}

// TestChatRooms: messages that are for a room are told of where all are taken to be for everybody, but not losses.
func TestChatRooms(t *testing.T) {
	for _, rooms := range []int{1, 2, 4} {
		synctest.Test(t, func(t *testing.T) {
			var members []*fakeStream
			f := newFakeServer(func(a attempt) (*fakeStream, error) {
				s := &fakeStream{}
				mine, n := len(members), 0
				s.answer = func(p []byte, at time.Duration) (back []line, err error) {
					n++
					for i, m := range members {
						switch {
						case i%rooms != mine%rooms, n%5 == i%5:
						case m == s:
							back = []line{{at + 10*millisecond, event(string(p))}}
						default:
							m.inbox <- []line{{at + 10*millisecond, event(string(p))}}
						}
					}
					return back, nil
				}
				members = append(members, s)
				return s, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 8}}, Duration: 4 * second, Warmup: -1, Send: Sending{Rate: 80, Every: 1}})
			lost := 1 - .8/float64(rooms)
			if got := float64(result.Count(Lost)) / float64(result.Count(Expected)); got < lost-.01 || got > lost+.01 {
				t.Errorf("%d rooms: %.3f are lost, want %.3f", rooms, got, lost)
			}
			if rooms == 1 {
				checkTexts(t, "warnings", result.Warnings)
			} else {
				checkTexts(t, "warnings", result.Warnings, fmt.Sprintf("lost takes each message that was published for one to every connection, and %s of them never came: where it is for a room, or a user, that isn't loss", percentText(lost)))
			}
		})
	}
}

// TestLaggardsShare: a connection that is seconds behind the others has no numbers of its own, and what it or another one
// loses in the end is lost.
func TestLaggardsShare(t *testing.T) {
	for _, by := range identified[:2] { // those that declare numbers
		for _, loser := range []int{2, 5} {
			t.Run(fmt.Sprint(by.name, ", ", loser), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var f *fakeServer
					f = newFakeServer(func(a attempt) (*fakeStream, error) {
						s := &fakeStream{}
						for n := 1; n <= 400; n++ {
							due := time.Duration(n) * 10 * millisecond
							at := due + millisecond
							if a.conn == 5 && n > 20 {
								at += 3 * second
							}
							if a.conn != loser || n <= 370 {
								s.lines = append(s.lines, line{at, by.event(f, n, due)})
							}
						}
						return s, nil
					})
					result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 5 * second, Warmup: -1, Drain: 5 * second, Sequence: by.seq})
					if lost := result.Count(Lost); lost != 30 || result.Count(Late) == 0 {
						t.Errorf("%d lost of 30, %d late", lost, result.Count(Late))
					}
				})
			})
		}
	}
}
