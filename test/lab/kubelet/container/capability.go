package container

import (
	"slices"
	"strings"
)

// capabilities are those of Linux, by their numbers (capability.h).
var capabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// usual are the capabilities that containerd leaves a container whose manifest says nothing.
var usual = []string{
	"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
	"SYS_CHROOT", "KILL", "AUDIT_WRITE",
}

// Capability is the number of a capability, with CAP_ before its name or without.
func Capability(name string) (uintptr, bool) {
	i := slices.Index(capabilities, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	return uintptr(max(i, 0)), i >= 0
}

// Capabilities are what a container has whose manifest adds and drops some; ALL is all of them. What is added wins, as in
// container runtimes.
func Capabilities(add, drop []string) []string {
	plain := func(names []string) []string {
		all := make([]string, len(names))
		for i, name := range names {
			all[i] = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		}
		return all
	}
	add, drop = plain(add), plain(drop)
	base := usual
	switch {
	case slices.Contains(add, "ALL"):
		base = capabilities
	case slices.Contains(drop, "ALL"):
		base = nil
	}
	var have []string
	for _, name := range base {
		if !slices.Contains(drop, name) {
			have = append(have, name)
		}
	}
	for _, name := range add {
		if name != "ALL" && !slices.Contains(have, name) {
			have = append(have, name)
		}
	}
	return have
}
