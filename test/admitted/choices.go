// Package admitted makes random objects as users could write them, takes those that the API accepts into a
// configuration, and plans from it: the material for tests of "no accepted object that somebody then cannot use". Who
// uses accepted objects (the planner, the speakers, the controller) tests with it that it refuses none of them.
package admitted

import (
	"hash/fnv"
	"math/rand/v2"
)

// Choices are the decisions of a generator: at first the bytes of a fuzzer's input, one a decision, and then
// pseudo-random ones that the input seeds. So short inputs give large objects, and equal inputs equal ones.
type Choices struct {
	data []byte
	rng  *rand.Rand
}

// NewChoices returns the choices of an input.
func NewChoices(data []byte) *Choices {
	seed := fnv.New64a()
	_, _ = seed.Write(data) // never fails
	return &Choices{data: data, rng: rand.New(rand.NewPCG(seed.Sum64(), 1))}
}

// N is a number from 0 to n-1.
func (c *Choices) N(n int) int {
	if len(c.data) == 0 {
		return c.rng.IntN(n)
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

// Once in so many times it is true.
func (c *Choices) Once(in int) bool { return c.N(in) == 0 }

// pick is one of the values.
func pick[T any](c *Choices, values []T) T { return values[c.N(len(values))] }
