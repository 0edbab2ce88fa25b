package client

import "time"

// A timeHeap is a heap of what is due, the first in front. Each knows its place in it, counted from 1, and 0 where it has
// none.
type timeHeap[T interface {
	dueAt() time.Time
	rankAt() *int
}] []T

func (h timeHeap[T]) Len() int           { return len(h) }
func (h timeHeap[T]) Less(i, j int) bool { return h[i].dueAt().Before(h[j].dueAt()) }
func (h timeHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].rankAt(), *h[j].rankAt() = i+1, j+1
}

// Push implements heap.Interface.
func (h *timeHeap[T]) Push(x any) {
	v := x.(T)
	*h = append(*h, v)
	*v.rankAt() = len(*h)
}

// Pop implements heap.Interface.
func (h *timeHeap[T]) Pop() any {
	last := len(*h) - 1
	v := (*h)[last]
	clear((*h)[last:])
	*h = (*h)[:last]
	*v.rankAt() = 0
	return v
}
