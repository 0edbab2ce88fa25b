package bench

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// TestFlat: a run takes no more memory the longer it goes on, once it knows as many ids as it remembers and all that it
// keeps of its past has been joined in pairs, and though connections drop and are refused all the time. A byte for each
// event would be too much.
func TestFlat(t *testing.T) {
	if underRace {
		t.Skip("it has one goroutine, and takes long")
	}
	for _, path := range paths {
		if path.name != "own stamp" && path.name != "opaque id" {
			continue
		}
		t.Run(path.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLongRun(t, path.plan, path.event)
				before := l.most(identities + identities/10)
				if after := l.most(maxTrace); after > before+maxTrace {
					t.Errorf("%d bytes after %d hours, %d after another one", before, time.Since(l.run.start)/time.Hour, after)
				}
			})
		})
	}
}

// A longRun has a few connections, all of which receive an event at each tick.
type longRun struct {
	run   *run
	all   []*subscriber
	event func(*run, int) client.Event
	ticks int
}

func newLongRun(t testing.TB, plan Plan, event func(*run, int) client.Event) *longRun {
	plan.Stages, plan.Duration = []Stage{{0, 3}}, 1000*time.Hour
	r, first := newTestSubscriber(t, plan)
	r.watch.sample = unknownHost
	l := &longRun{run: r, all: []*subscriber{first}, event: event}
	for len(l.all) < 3 {
		s := r.newSubscriber(len(l.all), client.Backoff{})
		s.Opened(client.Opened{At: r.start, Info: client.Info{Started: r.start}})
		l.all = append(l.all, s)
	}
	return l
}

// most goes on for so many ticks, and gives the most that the run took meanwhile, as far as that was looked at.
func (l *longRun) most(ticks int) (bytes int) {
	for range ticks {
		l.tick()
		if l.ticks%1009 == 0 {
			bytes = max(bytes, footprint(reflect.ValueOf(l.run), make(map[uintptr]bool)))
		}
	}
	return bytes
}

func (l *longRun) tick() {
	time.Sleep(tick)
	l.ticks++
	r := l.run
	ev := l.event(r, l.ticks)
	ev.Retry, ev.Arrival.User = -1, time.Now()
	for i, s := range l.all {
		if l.ticks%(100+i) == 0 { // it drops, is refused once, and has missed an event
			code := 4000 + l.ticks%500
			s.Closed(client.Closed{At: time.Now(), Opened: true, Err: &client.Error{Class: client.ClassCloseCode, Code: code}})
			s.Closed(client.Closed{At: time.Now(), Err: &client.Error{Class: client.ClassRefused, Err: errors.New(fmt.Sprint(l.ticks))}})
			s.Opened(client.Opened{At: time.Now(), Info: client.Info{Started: time.Now(), Resumed: true}})
			continue
		}
		s.Received(&ev)
	}
	if r.gather(); l.ticks%looks == 0 {
		r.collect()
	}
}

// footprint is how many bytes a value holds, with all that it refers to, but for what came from outside and what is
// shown to the outside.
func footprint(v reflect.Value, seen map[uintptr]bool) (bytes int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return 0
		}
		seen[v.Pointer()] = true
		return int(v.Type().Elem().Size()) + footprint(v.Elem(), seen)
	case reflect.Slice:
		bytes = v.Cap() * int(v.Type().Elem().Size())
		if !refers(v.Type().Elem()) {
			return bytes
		}
		for i := range v.Len() {
			bytes += footprint(v.Index(i), seen)
		}
	case reflect.Array:
		if refers(v.Type().Elem()) {
			for i := range v.Len() {
				bytes += footprint(v.Index(i), seen)
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Runner]() || v.Type().PkgPath() == "time" {
			return 0
		}
		for i := range v.NumField() {
			bytes += footprint(v.Field(i), seen)
		}
	case reflect.String:
		return v.Len()
	case reflect.Map:
		bytes = v.Len() * int(v.Type().Key().Size()+v.Type().Elem().Size())
		if !refers(v.Type().Elem()) {
			return bytes
		}
		for i := v.MapRange(); i.Next(); {
			bytes += footprint(i.Value(), seen)
		}
	}
	return bytes
}

// refers reports whether a value of a type may refer to others.
func refers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Struct, reflect.String, reflect.Map:
		return true
	case reflect.Array:
		return refers(t.Elem())
	}
	return false
}
