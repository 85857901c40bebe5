package listen

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFairSharesPlaces opens connections as "host:port" and closes some ("-host:port"); what is open afterwards is what
// counts.
func TestFairSharesPlaces(t *testing.T) {
	tests := []struct {
		name, events string
		want         string
	}{
		{"room for all", "a:1 a:2 b:1", "a:1 a:2 b:1"},
		{"one host too many: the newcomer goes", "a:1 a:2 a:3 a:4 a:5", "a:1 a:2 a:3 a:4"},
		{"another host takes the place of the newest", "a:1 a:2 a:3 a:4 b:1 b:2", "a:1 a:2 b:1 b:2"},
		{"and no more than its share", "a:1 a:2 a:3 a:4 b:1 b:2 b:3", "a:1 a:2 b:1 b:2"},
		{"many hosts", "a:1 a:2 a:3 a:4 b:1 c:1 d:1 e:1", "a:1 b:1 c:1 d:1"},
		{"what is closed counts no more", "a:1 a:2 a:3 a:4 -a:1 a:5 a:6", "a:2 a:3 a:4 a:5"},
		{"closed twice", "a:1 a:2 -a:1 -a:1 a:3 a:4 a:5 a:6", "a:2 a:3 a:4 a:5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			script := &scripted{}
			l := Fair(script, 4)
			open := map[string]net.Conn{}
			for _, event := range strings.Fields(tt.events) {
				if name, closes := strings.CutPrefix(event, "-"); closes {
					open[name].Close()
					continue
				}
				script.next = &scriptedConn{name: event, script: script}
				script.opened = append(script.opened, script.next)
				c, err := l.Accept()
				if err == nil {
					open[event] = c
				} else if !errors.Is(err, errNoMore) {
					t.Fatal(err)
				}
			}
			var got []string
			for _, c := range script.opened {
				if c.closed == 0 {
					got = append(got, c.name)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
				t.Errorf("open (-want +got):\n%s", diff)
			}
		})
	}
}

var errNoMore = errors.New("no more")

// scripted accepts what it is told to, once.
type scripted struct {
	net.Listener
	next   *scriptedConn
	opened []*scriptedConn
}

func (s *scripted) Accept() (net.Conn, error) {
	if s.next == nil {
		return nil, errNoMore
	}
	c := s.next
	s.next = nil
	return c, nil
}

type scriptedConn struct {
	net.Conn
	name   string
	script *scripted
	closed int
}

func (c *scriptedConn) RemoteAddr() net.Addr { return address(c.name) }
func (c *scriptedConn) Close() error         { c.closed++; return nil }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return fmt.Sprint(string(a)) }
