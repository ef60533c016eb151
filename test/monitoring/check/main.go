// Checks alert rules, expressions and metrics with Prometheus' own code, as promtool does.
//
// Standard input: {"rules": FILE, "expressions": [PROMQL, …], "metrics": {NAME: exposition text, …}}.
// Standard output: {"problems": [sentences], "names": [metrics that the rules and expressions ask for]}.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sort"
	"strings"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

type input struct {
	Rules       string            `json:"rules"`
	Expressions []string          `json:"expressions"`
	Metrics     map[string]string `json:"metrics"`
}

type output struct {
	Problems []string `json:"problems"`
	Names    []string `json:"names"`
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	promql := parser.NewParser(parser.Options{})
	out := output{Problems: []string{}}
	report := func(where string, problem any) {
		out.Problems = append(out.Problems, fmt.Sprintf("%s: %v", where, problem))
	}

	expressions := in.Expressions
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	groups, errs := rulefmt.ParseFile(in.Rules, false, model.UTF8Validation, promql, quiet)
	for _, err := range errs {
		report(in.Rules, err)
	}
	if groups != nil {
		for _, group := range groups.Groups {
			for _, rule := range group.Rules {
				expressions = append(expressions, rule.Expr)
			}
		}
	}

	names := map[string]bool{}
	for _, expression := range expressions {
		parsed, err := promql.ParseExpr(expression)
		if err != nil {
			report(expression, err)
			continue
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				names[selector.Name] = true
			}
			return nil
		})
	}
	for name := range names {
		out.Names = append(out.Names, name)
	}
	sort.Strings(out.Names)

	for name, text := range in.Metrics {
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			report(name, err)
		}
		for _, problem := range problems {
			report(name+" "+problem.Metric, problem.Text)
		}
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
