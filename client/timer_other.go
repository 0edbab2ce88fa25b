//go:build !linux

package client

import (
	"errors"
	"time"
)

// An ExactTimer is a timer of the kernel, of which this system has none that Go's poller could wait for.
type ExactTimer struct{}

// NewExactTimer fails with errors.ErrUnsupported.
func NewExactTimer() (*ExactTimer, error) { return nil, errors.ErrUnsupported }

// Set fails with errors.ErrUnsupported.
func (*ExactTimer) Set(time.Duration) error { return errors.ErrUnsupported }

// Wait fails with errors.ErrUnsupported.
func (*ExactTimer) Wait() error { return errors.ErrUnsupported }

// Close does nothing.
func (*ExactTimer) Close() {}
