package bench

import (
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

// An errorLog counts errors by kind and keeps the last message of each. Safe for concurrent use.
type errorLog struct {
	mu     sync.Mutex
	groups map[string]*ErrorGroup
}

func (l *errorLog) add(at int64, e *client.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := e.Key()
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
