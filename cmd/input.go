package cmd

import (
	"os"
	"sync"
)

// inputs holds what was read of files that can be read but once, such as pipes: scenarios are read before any of them is run, and
// then each again.
var inputs struct {
	sync.Mutex
	read map[string][]byte
}

// readInput reads a file that a flag names.
func readInput(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		return os.ReadFile(path)
	}
	inputs.Lock()
	defer inputs.Unlock()
	if text, ok := inputs.read[path]; ok {
		return text, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if inputs.read == nil {
		inputs.read = make(map[string][]byte)
	}
	inputs.read[path] = text
	return text, nil
}
