// Go's provider for flagd, driven line by line; see the driver in main.rs. When it evaluates in
// flagd it uses Connect.
//
// client rpc|in-process PORT: reads requests, writes responses and events, one per line of JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"

	flagd "github.com/open-feature/go-sdk-contrib/providers/flagd/pkg"
	"github.com/open-feature/go-sdk/openfeature"
)

type question struct {
	Key     string         `json:"key"`
	Type    string         `json:"type"`
	Default any            `json:"default"`
	Context map[string]any `json:"context"`
}

var events = map[openfeature.EventType]string{
	openfeature.ProviderReady:        "ready",
	openfeature.ProviderStale:        "stale",
	openfeature.ProviderError:        "error",
	openfeature.ProviderConfigChange: "changed",
}

var (
	output sync.Mutex
	lines  = json.NewEncoder(os.Stdout)
)

func write(line map[string]any) {
	output.Lock()
	defer output.Unlock()
	must(lines.Encode(line))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(client *openfeature.Client, asked question) {
	targetingKey, _ := asked.Context["targetingKey"].(string)
	delete(asked.Context, "targetingKey")
	about := openfeature.NewEvaluationContext(targetingKey, asked.Context)
	ctx := context.Background()
	var value any
	var details openfeature.EvaluationDetails
	switch asked.Type {
	case "boolean":
		of, _ := client.BooleanValueDetails(ctx, asked.Key, asked.Default.(bool), about)
		value, details = of.Value, of.EvaluationDetails
	case "string":
		of, _ := client.StringValueDetails(ctx, asked.Key, asked.Default.(string), about)
		value, details = of.Value, of.EvaluationDetails
	case "integer":
		of, _ := client.IntValueDetails(ctx, asked.Key, int64(asked.Default.(float64)), about)
		value, details = of.Value, of.EvaluationDetails
	case "float":
		of, _ := client.FloatValueDetails(ctx, asked.Key, asked.Default.(float64), about)
		value, details = of.Value, of.EvaluationDetails
	case "object":
		of, _ := client.ObjectValueDetails(ctx, asked.Key, asked.Default, about)
		value, details = of.Value, of.EvaluationDetails
	}
	if details.ErrorCode != "" {
		// In process, the flag of another type is returned.
		details.Variant = ""
	}
	write(map[string]any{
		"value":    value,
		"variant":  unlessEmpty(details.Variant),
		"reason":   details.Reason,
		"error":    unlessEmpty(string(details.ErrorCode)),
		"metadata": details.FlagMetadata,
	})
}

func unlessEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func main() {
	port, err := strconv.ParseUint(os.Args[2], 10, 16)
	must(err)
	resolver := flagd.WithRPCResolver()
	if os.Args[1] == "in-process" {
		resolver = flagd.WithInProcessResolver()
	}
	provider, err := flagd.NewProvider(resolver, flagd.WithHost("127.0.0.1"), flagd.WithPort(uint16(port)))
	must(err)
	for event, name := range events {
		tell := func(details openfeature.EventDetails) {
			keys := []string{}
			for _, key := range details.FlagChanges {
				// Each named flag has an empty entry.
				if key != "" {
					keys = append(keys, key)
				}
			}
			write(map[string]any{"event": name, "flags": keys})
		}
		openfeature.AddHandler(event, &tell)
	}
	must(openfeature.SetProviderAndWait(provider))
	client := openfeature.NewClient("test")
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var asked question
		must(json.Unmarshal(input.Bytes(), &asked))
		answer(client, asked)
	}
	openfeature.Shutdown()
}
