package bench

import (
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/rtbench/rtbench/client"
)

// maxErrorGroups bounds how many kinds of error are told apart; what comes after that is counted as "other".
const maxErrorGroups = 64

// maxErrorText bounds the message kept of each kind, in bytes.
const maxErrorText = 512

// What a connection was for, where that wasn't the stream: the key of its errors begins with it.
const (
	publishing    = "publish"
	askingForTime = "clock"
	slowly        = "slow"
)

// Hint says what to try; "" if there is nothing to say.
func (g ErrorGroup) Hint() string {
	doing, _, _ := strings.Cut(g.Key, " ")
	if doing == askingForTime {
		return "check --clock and --clock-field"
	}
	if doing != publishing || g.Class != client.ClassStatus {
		return g.Class.Hint(g.Code)
	}
	switch g.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "--publish-header sends what the publish URL asks for; -H and --bearer don't go there"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		return "check --publish and --publish-method"
	case http.StatusUnsupportedMediaType, http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "check --publish-body and its Content-Type (--publish-header)"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return "the server refuses to take so much: a lower --rate, or look in its log"
	}
	return ""
}

// An errorLog counts errors by kind and keeps the last message of each. Safe for concurrent use.
type errorLog struct {
	mu     sync.Mutex
	groups map[string]*ErrorGroup
}

// add counts an error. doing says what the connection was for, where that isn't the stream.
func (l *errorLog) add(at int64, e *client.Error, doing string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := strings.TrimSpace(doing + " " + e.Key())
	g := l.groups[key]
	if g == nil {
		if l.groups == nil {
			l.groups = make(map[string]*ErrorGroup)
		}
		if len(l.groups) >= maxErrorGroups {
			key = client.ClassOther.String()
			e = &client.Error{Class: client.ClassOther, Err: e}
		}
		if g = l.groups[key]; g == nil {
			g = &ErrorGroup{Class: e.Class, Code: e.Code, Key: key, First: time.Duration(at)}
			l.groups[key] = g
		}
	}
	g.Count++
	g.Last = time.Duration(at)
	text := e.Error()
	g.Text = strings.ToValidUTF8(text[:min(len(text), maxErrorText)], "")
}

// all gives a copy of the groups, the most frequent first.
func (l *errorLog) all() []ErrorGroup {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]ErrorGroup, 0, len(l.groups))
	for _, g := range l.groups {
		list = append(list, *g)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Count != list[j].Count {
			return list[i].Count > list[j].Count
		}
		return list[i].Key < list[j].Key
	})
	return list
}
