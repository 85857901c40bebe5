package container

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// guarded are the system calls that container runtimes' default profile refuses, each unless the container has a capability;
// "": whatever it has.
var guarded = map[uint32]string{
	unix.SYS_ACCT: "SYS_PACCT", unix.SYS_ADD_KEY: "", unix.SYS_BPF: "BPF", unix.SYS_CHROOT: "SYS_CHROOT",
	unix.SYS_CLOCK_SETTIME: "SYS_TIME", unix.SYS_DELETE_MODULE: "SYS_MODULE", unix.SYS_FANOTIFY_INIT: "SYS_ADMIN",
	unix.SYS_FINIT_MODULE: "SYS_MODULE", unix.SYS_FSCONFIG: "SYS_ADMIN", unix.SYS_FSMOUNT: "SYS_ADMIN", unix.SYS_FSOPEN: "SYS_ADMIN",
	unix.SYS_FSPICK: "SYS_ADMIN", unix.SYS_GET_MEMPOLICY: "SYS_NICE", unix.SYS_INIT_MODULE: "SYS_MODULE", unix.SYS_IO_URING_ENTER: "",
	unix.SYS_IO_URING_REGISTER: "", unix.SYS_IO_URING_SETUP: "", unix.SYS_KCMP: "SYS_PTRACE", unix.SYS_KEXEC_FILE_LOAD: "SYS_BOOT",
	unix.SYS_KEXEC_LOAD: "SYS_BOOT", unix.SYS_KEYCTL: "", unix.SYS_LOOKUP_DCOOKIE: "SYS_ADMIN", unix.SYS_MBIND: "SYS_NICE",
	unix.SYS_MIGRATE_PAGES: "", unix.SYS_MOUNT: "SYS_ADMIN", unix.SYS_MOUNT_SETATTR: "SYS_ADMIN", unix.SYS_MOVE_MOUNT: "SYS_ADMIN",
	unix.SYS_MOVE_PAGES: "", unix.SYS_NFSSERVCTL: "", unix.SYS_OPEN_BY_HANDLE_AT: "DAC_READ_SEARCH", unix.SYS_OPEN_TREE: "SYS_ADMIN",
	unix.SYS_PERF_EVENT_OPEN: "PERFMON", unix.SYS_PIDFD_GETFD: "SYS_PTRACE", unix.SYS_PIVOT_ROOT: "", unix.SYS_PROCESS_MADVISE: "SYS_PTRACE",
	unix.SYS_PROCESS_VM_READV: "SYS_PTRACE", unix.SYS_PROCESS_VM_WRITEV: "SYS_PTRACE", unix.SYS_QUOTACTL: "SYS_ADMIN",
	unix.SYS_QUOTACTL_FD: "SYS_ADMIN", unix.SYS_REBOOT: "SYS_BOOT", unix.SYS_REQUEST_KEY: "", unix.SYS_SETDOMAINNAME: "SYS_ADMIN",
	unix.SYS_SETHOSTNAME: "SYS_ADMIN", unix.SYS_SETNS: "SYS_ADMIN", unix.SYS_SETTIMEOFDAY: "SYS_TIME", unix.SYS_SET_MEMPOLICY: "SYS_NICE",
	unix.SYS_SWAPOFF: "", unix.SYS_SWAPON: "", unix.SYS_SYSLOG: "SYSLOG", unix.SYS_UMOUNT2: "SYS_ADMIN", unix.SYS_UNSHARE: "SYS_ADMIN",
	unix.SYS_USERFAULTFD: "", unix.SYS_VHANGUP: "SYS_TTY_CONFIG",
}

// namespaces are the flags of clone(2) that make some.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID |
	unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// Offsets in struct seccomp_data (seccomp(2)), on machines with the low half of a word first.
const (
	offsetCall = 0
	offsetArch = 4
	offsetArg0 = 16
)

// architectures are the numbers by which the kernel knows that a call is made in this program's way.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// x32 is where the numbers of the x32 ABI begin, by which every call could be made in another way.
const x32 = 0x40000000

func refuse(e unix.Errno) bpf.Instruction {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(e)}
}

// profile is the default profile for a container with some capabilities, as a program for seccomp(2).
func profile(capabilities []string, arch uint32) []bpf.Instruction {
	allow := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1}, refuse(unix.EPERM),
		bpf.LoadAbsolute{Off: offsetCall, Size: 4}, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1}, refuse(unix.ENOSYS),
	}
	var calls []uint32
	for call, capability := range guarded {
		if capability == "" || !slices.Contains(capabilities, capability) && !slices.Contains(capabilities, "SYS_ADMIN") {
			calls = append(calls, call)
		}
	}
	slices.Sort(calls)
	for _, call := range calls {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call, SkipTrue: 1}, refuse(unix.EPERM))
	}
	if !slices.Contains(capabilities, "SYS_ADMIN") {
		// The flags of clone3 are in memory, where a filter cannot look: who asks is to take clone instead.
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE3, SkipTrue: 1}, refuse(unix.ENOSYS),
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE, SkipTrue: 3},
			bpf.LoadAbsolute{Off: offsetArg0, Size: 4}, bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: namespaces, SkipTrue: 1}, refuse(unix.EPERM))
	}
	return append(program, allow)
}

// filter puts the default profile on this thread, which needs CAP_SYS_ADMIN unless it can get no new privileges.
func filter(capabilities []string) error {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("no seccomp profile for %s", runtime.GOARCH)
	}
	raw, err := bpf.Assemble(profile(capabilities, arch))
	if err != nil {
		return fmt.Errorf("seccomp profile: %w", err)
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	all := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&all)), 0, 0); err != nil {
		return fmt.Errorf("seccomp profile: %w", err)
	}
	runtime.KeepAlive(program)
	return nil
}
