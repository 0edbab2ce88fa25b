package cmd

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// maxInput is how much of a file is taken, in bytes: a device or a pipe may never end.
const maxInput = 64 << 20

// inputs holds what was read of files that can be read but once, such as pipes: scenarios are read before any of them is run, and
// then each again.
var inputs struct {
	sync.Mutex
	read map[string][]byte
}

// readInput reads a file that a flag names.
func readInput(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		return readBounded(path)
	}
	inputs.Lock()
	defer inputs.Unlock()
	if text, ok := inputs.read[path]; ok {
		return text, nil
	}
	text, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	if inputs.read == nil {
		inputs.read = make(map[string][]byte)
	}
	inputs.read[path] = text
	return text, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxInput+1))
	if len(text) > maxInput {
		return nil, fmt.Errorf("%s holds more than %d MB", path, maxInput>>20)
	}
	return text, err
}
