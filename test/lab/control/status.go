package control

// The states of a Part.
const (
	Running = "running"
	Paused  = "paused"
	Dead    = "dead"
)

// LabStatus is the answer to Status.
type LabStatus struct {
	Dir        string `json:"dir"`
	KubeConfig string `json:"kubeconfig"`
	PID        int    `json:"pid"` // of the wrapper; pids are those that the host sees
	Ready      bool   `json:"ready"`
	Parts      []Part `json:"parts"`
	Places     []Host `json:"places"`
}

// Part is one part of the lab.
type Part struct {
	Name   string `json:"name"`
	Place  string `json:"place"`
	State  string `json:"state"`
	PIDs   []int  `json:"pids,omitempty"`
	Health string `json:"health"` // "ok", or what is wrong
	Log    string `json:"log"`
}

// Host is one place, with its addresses on each network and the links that are cut.
type Host struct {
	Name      string              `json:"name"`
	Addresses map[string][]string `json:"addresses"`
	Cut       []string            `json:"cut,omitempty"`
}

// LabPlaces is the answer to Places: what it takes to run a program in a place.
type LabPlaces struct {
	PID        int      `json:"pid"` // of the wrapper, as the host sees it
	Names      []string `json:"names"`
	KubeConfig string   `json:"kubeconfig"` // one that works inside the lab
}
