package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

//go:embed four.json
var four []byte

//go:embed twenty.json
var twenty []byte

// source is a rule as it is written: either an expression that is true where the rule is kept, or one that asks
// each of a list (`c`), with the text of a finding. bench/packs.py reads the same files.
type source struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
	Over       string `json:"over"`
	Keeps      string `json:"keeps"`
	Found      string `json:"found"`
}

// rule is compiled. `texts` is only evaluated where `kept` says false.
type rule struct {
	name  string
	kept  cel.Program
	texts cel.Program
}

func compile(which string) ([]rule, error) {
	text := four
	if which == "twenty" {
		text = twenty
	}
	var sources []source
	if err := json.Unmarshal(text, &sources); err != nil {
		return nil, err
	}
	env, err := cel.NewEnv(
		cel.Variable("object", cel.DynType),
		cel.OptionalTypes(),
		cel.Function("quantity", cel.Overload("quantity_string", []*cel.Type{cel.StringType}, cel.DoubleType,
			cel.UnaryBinding(quantity))),
	)
	if err != nil {
		return nil, err
	}
	var rules []rule
	for _, source := range sources {
		expression, texts := source.Expression, fmt.Sprintf("['%s is not kept']", source.Name)
		if source.Over != "" {
			expression = fmt.Sprintf("%s.all(c, %s)", source.Over, source.Keeps)
			texts = fmt.Sprintf("%s.filter(c, !(%s)).map(c, %s)", source.Over, source.Keeps, source.Found)
		}
		kept, err := program(env, expression)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source.Name, err)
		}
		found, err := program(env, texts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source.Name, err)
		}
		rules = append(rules, rule{source.Name, kept, found})
	}
	return rules, nil
}

func program(env *cel.Env, text string) (cel.Program, error) {
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	return env.Program(ast, cel.EvalOptions(cel.OptOptimize))
}

// judge returns a text for everything that breaks a rule. A rule that fails is broken.
func judge(rules []rule, object map[string]any) []string {
	var found []string
	input := map[string]any{"object": object}
	for _, rule := range rules {
		kept, _, err := rule.kept.Eval(input)
		if err == nil && kept == types.True {
			continue
		}
		if err == nil {
			var texts ref.Val
			if texts, _, err = rule.texts.Eval(input); err == nil {
				list := texts.(traits.Lister)
				for it := list.Iterator(); it.HasNext() == types.True; {
					found = append(found, fmt.Sprintf("%s: %v", rule.name, it.Next().Value()))
				}
				continue
			}
		}
		found = append(found, fmt.Sprintf("%s: %v", rule.name, err))
	}
	return found
}

var suffixes = map[string]float64{
	"": 1, "n": 1e9, "u": 1e6, "m": 1e3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
}

// quantity reads a quantity of Kubernetes as a float: `100m` and `0.1` are the same one. (Exponents are left out.)
func quantity(value ref.Val) ref.Val {
	text := string(value.(types.String))
	number := strings.TrimRight(text, "numkMGTPEi")
	factor, known := suffixes[text[len(number):]]
	parsed, err := strconv.ParseFloat(number, 64)
	if err != nil || !known {
		return types.NewErr("%q is no quantity", text)
	}
	switch text[len(number):] {
	case "n", "u", "m":
		return types.Double(parsed / factor) // a division rounds as reading `0.1` does
	}
	return types.Double(parsed * factor)
}
