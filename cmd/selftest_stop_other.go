//go:build !unix

package cmd

import "os"

// canStop says that processes can't be stopped and continued here.
const canStop = false

func stopProcess(*os.Process) error     { return errNotHere }
func continueProcess(*os.Process) error { return errNotHere }
