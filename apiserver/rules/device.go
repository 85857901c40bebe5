package rules

import (
	"fmt"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxDeviceName is the longest name that Linux gives a network device (IFNAMSIZ less its NUL), in bytes.
const maxDeviceName = 15

// checkDevice refuses a name that no network device can have, by the kernel's dev_valid_name.
func checkDevice(name, what string, path *field.Path) field.ErrorList {
	var why string
	switch {
	case name == "":
		why = "must not be empty"
	case len(name) > maxDeviceName:
		why = fmt.Sprintf("has %d bytes, names of interfaces have at most %d", len(name), maxDeviceName)
	case name == "." || name == "..":
		why = "is not a name"
	case strings.ContainsAny(name, "/:") || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		why = `must not contain "/", ":" or blanks`
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, fmt.Sprintf("no %s can have this name: it %s", what, why))}
}
