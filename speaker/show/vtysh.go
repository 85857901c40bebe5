package show

import (
	"context"
	"errors"
	"io"
	"strings"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/show/frr"
)

// FRR answers one command as FRR's vtysh would.
func (c *Client) FRR(ctx context.Context, w io.Writer, command frr.Command) error {
	facts, err := c.facts(ctx)
	if err != nil {
		return err
	}
	return frr.Print(w, command, facts)
}

// facts asks for all that FRR's commands show.
func (c *Client) facts(ctx context.Context) (*frr.Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	state, err := c.speaker.GetState(ctx, &ingotv1.GetStateRequest{})
	if err != nil {
		return nil, err
	}
	config, err := c.speaker.GetRunningConfig(ctx, &ingotv1.GetRunningConfigRequest{})
	if err != nil {
		return nil, err
	}
	sessions, err := c.speaker.ListSessions(ctx, &ingotv1.ListSessionsRequest{})
	if err != nil {
		return nil, err
	}
	routes, err := c.speaker.ListRoutes(ctx, &ingotv1.ListRoutesRequest{})
	if err != nil {
		return nil, err
	}
	bfd, err := c.speaker.ListBfdSessions(ctx, &ingotv1.ListBfdSessionsRequest{})
	if err != nil {
		return nil, err
	}
	return &frr.Facts{
		Node: state.GetNode(), Version: state.GetVersion(), Now: c.now(),
		Configured: config.GetSessions(), Protected: config.GetProtected(),
		Sessions: sessions.GetSessions(), Routes: routes.GetRoutes(), BFD: bfd.GetSessions(),
	}, nil
}

// errUsage is said of arguments that vtysh has and we do not.
var errUsage = errors.New(`usage: vtysh [--vty_socket SOCKET] -c "show ..." [-c ...]`)

// VTYSH runs as vtysh does when it is called with commands. socket is where the speaker is, unless the arguments say
// another place.
func VTYSH(ctx context.Context, w io.Writer, args []string, socket string) error {
	var lines []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case (arg == "-c" || arg == "--command" || arg == "--vty_socket" || arg == "-d" || arg == "--daemon") && len(args) > 0:
			switch arg {
			case "-c", "--command":
				lines = append(lines, args[0])
			case "--vty_socket":
				socket = args[0]
			}
			args = args[1:]
		case strings.HasPrefix(arg, "--command="):
			lines = append(lines, strings.TrimPrefix(arg, "--command="))
		case strings.HasPrefix(arg, "-c") && len(arg) > 2:
			lines = append(lines, arg[2:])
		case arg == "-E" || arg == "--echo" || arg == "-u" || arg == "--user":
		default:
			return errUsage
		}
	}
	if len(lines) == 0 {
		return errUsage
	}
	client, err := Dial(socket)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, line := range lines {
		command, err := frr.Parse(line)
		if err != nil {
			return err
		}
		if err := client.FRR(ctx, w, command); err != nil {
			return err
		}
	}
	return nil
}
