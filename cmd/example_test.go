package cmd_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/rtbench/rtbench/cmd"
)

// Bad input is one line that says what was wrong and what to try, and exit code 2.
func ExampleMain() {
	code := cmd.Main([]string{"sse", "localhost:8080/events"}, strings.NewReader(""), os.Stdout, os.Stdout)
	fmt.Println(code)
	// Output:
	// rtbench: "localhost:8080/events" is not a URL (write http://localhost:8080/events)
	// 2
}
