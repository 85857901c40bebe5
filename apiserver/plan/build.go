package plan

// Plan decides. It does not fail: what cannot be planned is withheld with its reason, and all else is planned.
func Plan(in Input) Output {
	return Output{Nodes: map[string]*NodePlan{}}
}
