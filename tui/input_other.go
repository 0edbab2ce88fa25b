//go:build !linux

package tui

import "os"

func forgetInput(*os.File) {}
