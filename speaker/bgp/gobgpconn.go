package bgp

import (
	"errors"
	"net"
	"reflect"
	"unsafe"

	"github.com/osrg/gobgp/v3/pkg/server"
)

// errUnknownServer says that gobgp is not the one that this package was written for.
var errUnknownServer = errors.New("gobgp keeps its connections elsewhere")

// interpose replaces the connection of a server's neighbours by what wrap makes of it. gobgp dials by itself and has no other
// way to do so: the field is reached by reflection. It must be called by gobgp's main goroutine and with the lock of the
// neighbour's state machine held, as gobgp calls its logger when a connection has been made and nothing is read from it yet.
func interpose(s *server.BgpServer, wrap func(net.Conn) net.Conn) error {
	neighbours := reflect.ValueOf(s).Elem().FieldByName("neighborMap")
	if neighbours.Kind() != reflect.Map {
		return errUnknownServer
	}
	for each := neighbours.MapRange(); each.Next(); {
		machine := field(each.Value(), "fsm")
		conn := field(machine, "conn")
		if !conn.IsValid() || !conn.CanAddr() || conn.Type() != reflect.TypeFor[net.Conn]() {
			return errUnknownServer
		}
		at := (*net.Conn)(unsafe.Pointer(conn.UnsafeAddr()))
		if *at != nil {
			*at = wrap(*at)
		}
	}
	return nil
}

// field returns a field of the struct that v points to; the zero Value where there is none.
func field(v reflect.Value, name string) reflect.Value {
	if !v.IsValid() || v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.Elem().FieldByName(name)
}
