// Renders the templates of go_templates.json with Go's text/template, and prints the file anew:
//
//	go run tests/cli/go_templates.go < tests/cli/go_templates.json
//
// `flagstaff render` must give the same outputs. The functions are those of sprig and of FlagOps that
// the templates call, as far as they call them; everything else is Go's.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"text/template"
)

var flags = map[string]any{
	"n": "5", "s": "a b", "e": "", "q": "a\"b\\c", "on_enabled": true, "off_enabled": false,
}

var functions = template.FuncMap{
	"env": func(name string) any { return flags[name] },
	"default": func(other, value any) any {
		if value == "" {
			return other
		}
		return value
	},
	"quote":   func(value any) string { return fmt.Sprintf("%q", fmt.Sprint(value)) },
	"squote":  func(value any) string { return fmt.Sprintf("'%v'", value) },
	"upper":   strings.ToUpper,
	"lower":   strings.ToLower,
	"trim":    strings.TrimSpace,
	"indent":  indent,
	"nindent": func(width int, text string) string { return "\n" + indent(width, text) },
}

func indent(width int, text string) string {
	pad := strings.Repeat(" ", width)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
}

func main() {
	var rows [][2]string
	if err := json.NewDecoder(os.Stdin).Decode(&rows); err != nil {
		log.Fatal(err)
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		parsed := template.Must(template.New("").Delims("[{", "}]").Funcs(functions).Parse(row[0]))
		var out bytes.Buffer
		if err := parsed.Execute(&out, nil); err != nil {
			log.Fatal(err)
		}
		row[1] = out.String()
		line := new(bytes.Buffer)
		encoder := json.NewEncoder(line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(row); err != nil {
			log.Fatal(err)
		}
		lines[i] = strings.TrimSpace(line.String())
	}
	fmt.Printf("[\n%s\n]\n", strings.Join(lines, ",\n"))
}
