package container

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

func TestDefaultProfile(t *testing.T) {
	const arch = unix.AUDIT_ARCH_X86_64
	const allowed, denied, unknown = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	for name, c := range map[string]struct {
		capabilities []string
		arch, call   uint32
		arg0         uint64
		want         uint32
	}{
		"ordinary":                {nil, arch, unix.SYS_OPENAT, 0, allowed},
		"a socket":                {nil, arch, unix.SYS_SOCKET, unix.AF_PACKET, allowed},
		"mount":                   {nil, arch, unix.SYS_MOUNT, 0, denied},
		"mount, may administer":   {[]string{"SYS_ADMIN"}, arch, unix.SYS_MOUNT, 0, allowed},
		"keys, may administer":    {[]string{"SYS_ADMIN"}, arch, unix.SYS_KEYCTL, 0, denied},
		"bpf":                     {[]string{"NET_ADMIN"}, arch, unix.SYS_BPF, 0, denied},
		"bpf, may":                {[]string{"BPF"}, arch, unix.SYS_BPF, 0, allowed},
		"chroot, usual":           {usual, arch, unix.SYS_CHROOT, 0, allowed},
		"a thread":                {nil, arch, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_THREAD, allowed},
		"a namespace":             {nil, arch, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_NEWNET, denied},
		"a namespace, may":        {[]string{"SYS_ADMIN"}, arch, unix.SYS_CLONE, unix.CLONE_NEWNET, allowed},
		"clone3":                  {nil, arch, unix.SYS_CLONE3, 0, unknown},
		"in another way (x32)":    {nil, arch, x32 | unix.SYS_OPENAT, 0, unknown},
		"in another way (32 bit)": {nil, unix.AUDIT_ARCH_I386, unix.SYS_OPENAT, 0, denied},
	} {
		// The machine of x/net/bpf reads words in the network's order, the kernel in its own.
		call := make([]byte, 64)
		binary.BigEndian.PutUint32(call[offsetCall:], c.call)
		binary.BigEndian.PutUint32(call[offsetArch:], c.arch)
		binary.BigEndian.PutUint32(call[offsetArg0:], uint32(c.arg0))
		machine, err := bpf.NewVM(profile(c.capabilities, arch))
		if err != nil {
			t.Fatal(err)
		}
		got, err := machine.Run(call)
		if err != nil || uint32(got) != c.want {
			t.Errorf("%s: %#x, %v, want %#x", name, uint32(got), err, c.want)
		}
	}
}
