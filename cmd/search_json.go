package cmd

import (
	"time"

	"github.com/rtbench/rtbench/check"
	"github.com/rtbench/rtbench/client"
)

// The documents' types, in the order of their keys. A nil pointer is null.
type (
	docHorizon struct {
		searchHead
		Verdict        check.HorizonVerdict `json:"verdict"`
		Why            string               `json:"why"`
		Complete       *docProbe            `json:"complete"`
		Incomplete     *docProbe            `json:"incomplete"`
		LimitedBy      *check.LimitKind     `json:"limited_by"`
		Contradictions []docProbe           `json:"contradictions"`
		LimitNS        time.Duration        `json:"limit_ns"`
		MaxEvents      *uint64              `json:"max_events"`
		Interrupted    bool                 `json:"interrupted"`
		ElapsedNS      time.Duration        `json:"elapsed_ns"`
		References     int                  `json:"references"`
		Rounds         int                  `json:"rounds"`
		RoundsAtMost   int                  `json:"rounds_at_most"`
		Recorded       uint64               `json:"recorded"`
		WithoutID      uint64               `json:"without_id"`
		IntervalNS     *time.Duration       `json:"interval_ns"`
		LongestNS      *time.Duration       `json:"longest_interval_ns"`
		Probes         []docProbe           `json:"probes"`
	}
	docProbe struct {
		Round     int           `json:"round"`
		PlannedNS time.Duration `json:"planned_ns"`
		Outcome   check.Outcome `json:"outcome"`
		Why       string        `json:"why"`
		AwayNS    time.Duration `json:"away_ns"`
		AgeNS     time.Duration `json:"age_ns"`
		Missed    uint64        `json:"missed"`
		Replayed  uint64        `json:"replayed"`
		Lost      uint64        `json:"lost"`
		Duplicate uint64        `json:"duplicate"`
		Resent    uint64        `json:"resent"`
		Reordered uint64        `json:"reordered"`
		Foreign   uint64        `json:"foreign"`
	}
	docSilence struct {
		searchHead
		CutFor      *check.CutKind `json:"cut_for"`
		AtOnce      bool           `json:"at_once"`
		LongestNS   time.Duration  `json:"longest_silence_survived_ns"`
		LimitNS     time.Duration  `json:"limit_ns"`
		Interrupted bool           `json:"interrupted"`
		ElapsedNS   time.Duration  `json:"elapsed_ns"`
		Beats       []docBeat      `json:"beats"`
		Connections []docHeld      `json:"connections"`
	}
	docBeat struct {
		Kind       check.Kind     `json:"kind"`
		Name       string         `json:"name"`
		Count      uint64         `json:"count"`
		Intervals  uint64         `json:"intervals"`
		ShortestNS *time.Duration `json:"shortest_ns"`
		MedianNS   *time.Duration `json:"median_ns"`
		LongestNS  *time.Duration `json:"longest_ns"`
	}
	docHeld struct {
		Connection int            `json:"connection"`
		OpenedNS   *time.Duration `json:"opened_ns"`
		AgeNS      time.Duration  `json:"age_ns"`
		SilenceNS  time.Duration  `json:"silence_ns"`
		LongestNS  time.Duration  `json:"longest_silence_survived_ns"`
		Failure    *docEnd        `json:"failure"`
		Cut        *docEnd        `json:"cut"`
		Events     uint64         `json:"events"`
		Heartbeats uint64         `json:"heartbeats"`
		OtherBytes uint64         `json:"other_bytes"`
	}
	docEnd struct {
		Class string `json:"class"`
		Code  *int   `json:"code"`
		Text  string `json:"text"`
	}
)

// unlessZero is a value, null where it is none.
func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func (r horizonFinding) document(head searchHead) any {
	head.Kind = horizonFlag
	doc := docHorizon{
		searchHead: head, Verdict: r.Verdict, Why: r.Why, LimitedBy: unlessZero(r.LimitedBy), Contradictions: newProbes(r.Contradictions),
		LimitNS: r.Limit, MaxEvents: unlessZero(r.MaxEvents), Interrupted: r.Interrupted, ElapsedNS: r.Elapsed,
		References: r.References, Rounds: r.Rounds, RoundsAtMost: r.Planned, Recorded: r.Recorded, WithoutID: r.Anonymous,
		IntervalNS: unlessZero(r.Interval), LongestNS: unlessZero(r.Longest), Probes: newProbes(r.Probes),
	}
	if r.Complete != nil {
		doc.Complete = &newProbes([]check.Probe{*r.Complete})[0]
	}
	if r.Incomplete != nil {
		doc.Incomplete = &newProbes([]check.Probe{*r.Incomplete})[0]
	}
	return doc
}

func newProbes(probes []check.Probe) []docProbe {
	list := make([]docProbe, len(probes))
	for i, p := range probes {
		list[i] = docProbe{
			Round: p.Round, PlannedNS: p.Planned, Outcome: p.Outcome, Why: p.Why, AwayNS: p.Away, AgeNS: p.Age, Missed: p.Missed,
			Replayed: p.Replayed, Lost: p.Lost, Duplicate: p.Again, Resent: p.Resent, Reordered: p.Swapped, Foreign: p.Foreign,
		}
	}
	return list
}

func (r silenceFinding) document(head searchHead) any {
	head.Kind = idleFlag
	doc := docSilence{
		searchHead: head, CutFor: unlessZero(r.CutFor), AtOnce: r.AtOnce, LongestNS: r.Longest, LimitNS: r.Limit,
		Interrupted: r.Interrupted, ElapsedNS: r.Elapsed, Beats: make([]docBeat, len(r.Beats)), Connections: make([]docHeld, len(r.Held)),
	}
	for i, b := range r.Beats {
		doc.Beats[i] = docBeat{Kind: b.Kind, Name: b.Name, Count: b.Count, Intervals: b.Gaps}
		if b.Gaps > 0 {
			doc.Beats[i].ShortestNS, doc.Beats[i].MedianNS, doc.Beats[i].LongestNS = &b.Shortest, &b.Median, &b.Longest
		}
	}
	for i, h := range r.Held {
		doc.Connections[i] = docHeld{
			Connection: h.Conn, AgeNS: h.Age, SilenceNS: h.Silence, LongestNS: h.Longest, Failure: newEnd(h.Failure), Cut: newEnd(h.Cut),
			Events: h.Events, Heartbeats: h.Beats, OtherBytes: h.Unread,
		}
		if h.Failure == nil {
			doc.Connections[i].OpenedNS = &h.Opened
		}
	}
	return doc
}

func newEnd(e *client.Error) *docEnd {
	if e == nil {
		return nil
	}
	return &docEnd{Class: e.Class.String(), Code: unlessZero(e.Code), Text: e.Error()}
}
