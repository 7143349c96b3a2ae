// Reads JSON lines and prints what Go's own tools make of them, as JSON lines.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
	"github.com/google/shlex"
	"github.com/joho/godotenv"
	"gopkg.in/yaml.v3"
)

type request struct {
	Kind string            `json:"kind"`
	Text string            `json:"text"`
	Env  map[string]string `json:"env"`
}

type answer struct {
	Error string `json:"error"`
}

type entry struct {
	ID           string            `yaml:"id"`
	Command      string            `yaml:"command"`
	Args         []string          `yaml:"args"`
	URL          string            `yaml:"url"`
	Transport    string            `yaml:"transport"`
	Proto        string            `yaml:"proto"`
	Env          map[string]string `yaml:"env"`
	Headers      map[string]string `yaml:"headers"`
	StartTimeout time.Duration     `yaml:"start_timeout"`
	MaxSessions  int               `yaml:"max_sessions"`
	UseProxy     bool              `yaml:"use_proxy"`
}

type agent struct {
	ID   string  `yaml:"id"`
	MCPs []entry `yaml:"mcps"`
}

// UnmarshalYAML takes an id alone, too, as the engine does.
func (a *agent) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&a.ID)
	}
	type plain agent
	return node.Decode((*plain)(a))
}

type document struct {
	ID     string  `yaml:"id"`
	MCPs   []entry `yaml:"mcps"`
	Agents []agent `yaml:"agents" json:",omitempty"`
}

func fill(entries []entry) {
	for i := range entries {
		e := &entries[i]
		if e.Args == nil {
			e.Args = []string{}
		}
		if e.Env == nil {
			e.Env = map[string]string{}
		}
		if e.Headers == nil {
			e.Headers = map[string]string{}
		}
	}
}

// bounded is a buffer that takes no more than a mebibyte.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > 1<<20 {
		return 0, errTooLarge
	}
	return b.Builder.Write(p)
}

var errTooLarge = errors.New("the result is too large")

func render(r request) (out string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	functions := template.FuncMap(sprig.TxtFuncMap())
	functions["htmlEscape"] = template.HTMLEscapeString
	functions["htmlAttrEscape"] = template.HTMLEscapeString
	functions["jsEscape"] = template.JSEscapeString
	t, err := template.New("inline").Option("missingkey=error").Funcs(functions).Parse(r.Text)
	if err != nil {
		return "", fmt.Errorf("parse: %w", err)
	}
	data := map[string]any{"env": r.Env}
	var b bounded
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	return b.String(), nil
}

func run(r request) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	switch r.Kind {
	case "template":
		return render(r)
	case "duration":
		d, err := time.ParseDuration(r.Text)
		return int64(d), err
	case "shlex":
		return shlex.Split(r.Text)
	case "dotenv":
		return godotenv.Unmarshal(r.Text)
	case "yaml":
		var d document
		err := yaml.Unmarshal([]byte(r.Text), &d)
		fill(d.MCPs)
		for i := range d.Agents {
			fill(d.Agents[i].MCPs)
		}
		return d, err
	}
	return nil, fmt.Errorf("unknown kind")
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<26)
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			e.Encode(answer{Error: "request: " + err.Error()})
			continue
		}
		out, err := run(r)
		if errors.Is(err, errTooLarge) {
			e.Encode(map[string]any{"skip": true})
		} else if err != nil {
			e.Encode(answer{Error: err.Error()})
		} else {
			e.Encode(map[string]any{"out": out})
		}
	}
}
