package tui

import (
	"os"

	"golang.org/x/sys/unix"
)

// forgetInput drops what was typed and not read: it was for the screen that has gone, and not for the shell.
func forgetInput(terminal *os.File) {
	_ = unix.IoctlSetInt(int(terminal.Fd()), unix.TCFLSH, unix.TCIFLUSH)
}
