// Package report is what the controller says of the configuration, and where: an annotation of the Lease by which it
// works. The apiserver serves it as the ConfigurationState "controller".
package report

import (
	"encoding/json"
	"fmt"
)

const (
	// Lease is the Lease that says which controller works.
	Lease = "metallb-controller"
	// Annotation of the Lease holds the Report, as JSON.
	Annotation = "ingot.io/configuration"
)

// Report is what the controller made of the configuration.
type Report struct {
	// Holder is who says so. It says nothing once somebody else holds the Lease.
	Holder string `json:"holder"`
	// Errors are why pools cannot be used as they are; none when all can.
	Errors []string `json:"errors,omitempty"`
}

// Encode returns the value of the annotation.
func (r Report) Encode() (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encoding the report: %w", err)
	}
	return string(text), nil
}

// Decode reads the value of the annotation.
func Decode(text string) (Report, error) {
	var r Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Report{}, fmt.Errorf("the report cannot be read: %w", err)
	}
	return r, nil
}
