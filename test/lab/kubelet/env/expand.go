// Package env makes the environment of containers, and expands variables in their commands.
package env

import "strings"

// Expand replaces $(NAME) by the variable's value. What is not defined stays as it is, and $$ is a plain dollar, so that
// $$(NAME) becomes $(NAME).
func Expand(text string, lookup func(name string) (string, bool)) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, after, closed := "", "", false
		if inner, ok := strings.CutPrefix(rest, "("); ok {
			name, after, closed = strings.Cut(inner, ")")
		}
		switch {
		case closed:
			if value, ok := lookup(name); ok {
				out.WriteString(value)
			} else {
				out.WriteString("$(" + name + ")")
			}
			text = after
		case strings.HasPrefix(rest, "$"):
			out.WriteString("$")
			text = rest[1:]
		default:
			out.WriteString("$")
			text = rest
		}
	}
}

// ExpandAll expands every one of several texts, such as a command's arguments.
func ExpandAll(texts []string, lookup func(name string) (string, bool)) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = Expand(text, lookup)
	}
	return all
}
