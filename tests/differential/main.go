// An oracle: flagd's own JsonLogic library, one case per line.
//
// Reads {"rule": ..., "data": ...} from standard input, and writes for each {"result": "..."}, the
// JSON text that flagd would look up as a variant, or {"error": "..."}.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime/debug"

	"github.com/diegoholiveira/jsonlogic/v3"
)

type question struct {
	Rule json.RawMessage `json:"rule"`
	Data json.RawMessage `json:"data"`
}

type answer struct {
	Result *string `json:"result,omitempty"`
	Error  *string `json:"error,omitempty"`
}

func main() {
	debug.SetMaxStack(64 << 20)
	out := bufio.NewWriter(os.Stdout)
	decoder := json.NewDecoder(bufio.NewReader(os.Stdin))
	encoder := json.NewEncoder(out)
	for decoder.More() {
		var asked question
		if err := decoder.Decode(&asked); err != nil {
			log.Fatal(err)
		}
		if err := encoder.Encode(evaluate(asked)); err != nil {
			log.Fatal(err)
		}
		// A rule that evaluates itself ends the process: earlier results must be written by then.
		if err := out.Flush(); err != nil {
			log.Fatal(err)
		}
	}
}

// The library recovers from panics that are errors, not from others.
func evaluate(asked question) (given answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			text := fmt.Sprint(panicked)
			given = answer{Error: &text}
		}
	}()
	var result bytes.Buffer
	err := jsonlogic.Apply(bytes.NewReader(asked.Rule), bytes.NewReader(asked.Data), &result)
	if err != nil {
		text := err.Error()
		return answer{Error: &text}
	}
	text := string(bytes.TrimSpace(result.Bytes()))
	return answer{Result: &text}
}
