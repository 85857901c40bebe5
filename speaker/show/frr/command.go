package frr

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// allVRFs stands for every VRF in a Command.
const allVRFs = "all"

// what is asked for.
type what int

const (
	nothing what = iota // accepted, and there is nothing to say
	runningConfig
	version
	summary
	neighbors
	table
	advertised
	bfdPeers
	bfdBrief
	bfdCounters
)

// Command is one command of vtysh that is understood.
type Command struct {
	what   what
	vrf    string         // "" is the default one, or allVRFs
	family ingotv1.Family // unspecified: those that there are
	peer   string         // a neighbour
	prefix string         // a prefix or an address
	json   bool
}

// Parse reads a command as vtysh does: keywords may be cut short as long as they are unambiguous. The error is what vtysh
// would print.
func Parse(line string) (Command, error) {
	p := &parser{line: strings.Join(strings.Fields(line), " "), rest: strings.Fields(line)}
	c, err := p.command()
	if err != nil {
		return Command{}, err
	}
	return c, nil
}

// JSON returns the command with its answer in JSON.
func (c Command) JSON() Command {
	c.json = true
	return c
}

type parser struct {
	line string
	rest []string
}

// unknown is what vtysh says of what it does not know.
func (p *parser) unknown() error { return fmt.Errorf("%% Unknown command: %s", p.line) }

func (p *parser) end() bool { return len(p.rest) == 0 }

// keyword takes the next word if it is one of the keywords, or an unambiguous beginning of one.
func (p *parser) keyword(keywords ...string) (string, error) {
	if p.end() {
		return "", nil
	}
	word := p.rest[0]
	if slices.Contains(keywords, word) {
		p.rest = p.rest[1:]
		return word, nil
	}
	var matches []string
	for _, k := range keywords {
		if strings.HasPrefix(k, word) {
			matches = append(matches, k)
		}
	}
	switch len(matches) {
	case 0:
		return "", nil
	case 1:
		p.rest = p.rest[1:]
		return matches[0], nil
	}
	return "", fmt.Errorf("%% Ambiguous command: %s", p.line)
}

// value takes the next word whatever it is, unless it is the final "json".
func (p *parser) value() (string, bool) {
	if p.end() || p.rest[0] == "json" {
		return "", false
	}
	v := p.rest[0]
	p.rest = p.rest[1:]
	return v, true
}

// finish takes what may end a command.
func (p *parser) finish(c Command) (Command, error) {
	if !p.end() {
		k, err := p.keyword("json", "wide", "detail")
		if err != nil {
			return c, err
		}
		c.json = k == "json"
	}
	if !p.end() {
		return c, p.unknown()
	}
	return c, nil
}

func (p *parser) command() (Command, error) {
	if len(p.rest) > 0 && (p.rest[0] == "do" || strings.HasPrefix(p.rest[0], "!")) {
		p.rest = p.rest[1:]
	}
	k, err := p.keyword("show", "enable", "end", "exit", "quit", "terminal")
	switch {
	case err != nil:
		return Command{}, err
	case k == "show":
		return p.show()
	case k == "terminal" || k != "" && p.end():
		return Command{}, nil
	}
	return Command{}, p.unknown()
}

func (p *parser) show() (Command, error) {
	k, err := p.keyword("running-config", "bgp", "ip", "bfd", "version")
	if err != nil {
		return Command{}, err
	}
	switch k {
	case "running-config":
		if _, err := p.keyword("no-header", "bgpd", "bfdd"); err != nil {
			return Command{}, err
		}
		return p.finish(Command{what: runningConfig})
	case "version":
		return p.finish(Command{what: version})
	case "bfd":
		return p.bfd()
	case "ip":
		if k, err = p.keyword("bgp"); err != nil || k == "" {
			return Command{}, orUnknown(err, p)
		}
		return p.bgp(Command{family: ipv4})
	case "bgp":
		return p.bgp(Command{})
	}
	return Command{}, p.unknown()
}

func orUnknown(err error, p *parser) error {
	if err != nil {
		return err
	}
	return p.unknown()
}

func (p *parser) vrf(c *Command) error {
	k, err := p.keyword("vrf")
	if err != nil || k == "" {
		return err
	}
	v, ok := p.value()
	if !ok {
		return fmt.Errorf("%% Command incomplete: %s", p.line)
	}
	c.vrf = v
	return nil
}

func (p *parser) bgp(c Command) (Command, error) {
	if err := p.vrf(&c); err != nil {
		return c, err
	}
	k, err := p.keyword("ipv4", "ipv6")
	if err != nil {
		return c, err
	}
	switch k {
	case "ipv4":
		c.family = ipv4
	case "ipv6":
		c.family = ipv6
	}
	if _, err := p.keyword("unicast"); err != nil {
		return c, err
	}
	k, err = p.keyword("summary", "neighbors")
	switch {
	case err != nil:
		return c, err
	case k == "summary":
		c.what = summary
		if _, err := p.keyword("established", "failed"); err != nil {
			return c, err
		}
		return p.finish(c)
	case k == "neighbors":
		return p.neighbors(c)
	}
	c.what = table
	if !p.end() && p.rest[0] != "json" && p.rest[0] != "wide" && p.rest[0] != "detail" {
		v, _ := p.value()
		if !IsPrefix(v) {
			return c, p.unknown()
		}
		c.prefix = v
		if f := familyOf(v); c.family == 0 {
			c.family = f
		} else if c.family != f {
			return c, p.unknown()
		}
	}
	return p.finish(c)
}

// IsPrefix says whether s is a prefix or an address.
func IsPrefix(s string) bool {
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

func (p *parser) neighbors(c Command) (Command, error) {
	c.what = neighbors
	if v, ok := p.value(); ok {
		c.peer = v
	}
	if k, err := p.keyword("advertised-routes"); err != nil {
		return c, err
	} else if k != "" {
		c.what = advertised
	}
	return p.finish(c)
}

func (p *parser) bfd() (Command, error) {
	c := Command{vrf: allVRFs}
	if err := p.vrf(&c); err != nil {
		return c, err
	}
	k, err := p.keyword("peers")
	if err != nil || k == "" {
		return c, orUnknown(err, p)
	}
	c.what = bfdPeers
	if !p.end() && IsPrefix(p.rest[0]) {
		c.peer, _ = p.value()
	}
	if k, err = p.keyword("brief", "counters"); err != nil {
		return c, err
	}
	switch k {
	case "brief":
		c.what = bfdBrief
	case "counters":
		c.what = bfdCounters
	}
	return p.finish(c)
}
