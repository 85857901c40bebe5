package wire

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// indexOf returns the index of the interface that has a name now, 0 for no name. fd is any socket.
func indexOf(fd int, name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// names has the names of interfaces by index, so that looking one up does not allocate.
type names map[int]string

// of returns the name, empty if the interface is gone. fd is any socket.
func (n names) of(fd, index int) string {
	if name, known := n[index]; known {
		return name
	}
	request := &unix.Ifreq{}
	request.SetUint32(uint32(index))
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFNAME, request); err != nil {
		return "" // it went after the packet came
	}
	n[index] = request.Name()
	return n[index]
}
