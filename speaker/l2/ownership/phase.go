package ownership

// Phase is what a claim is doing.
type Phase int

const (
	// Idle claims were not ordered, or were released.
	Idle Phase = iota
	// StandingBy claims are ready to take over.
	StandingBy
	// Waiting claims have no interface to answer on.
	Waiting
	// Silent claims may not answer, as the node cannot know whether others do.
	Silent
	// Probing claims ask whether anyone else answers.
	Probing
	// Blocked claims were answered by someone else, and probe again later.
	Blocked
	// Answering claims answer.
	Answering
)

// String names the phase, as reports do.
func (p Phase) String() string {
	return [...]string{"Idle", "Standby", "Waiting", "Silent", "Probing", "Blocked", "Answering"}[p]
}
