package rules

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// loadBalancerClass is the pattern of MetalLB's schema: like a label, with or without a prefix.
var loadBalancerClass = regexp.MustCompile(`^([a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?/)?[a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?$`)

// checkMetalLB refuses what would become workloads that the host cluster refuses, when nobody looks any more. No rule
// spans it and other objects.
func checkMetalLB(m *metallb.MetalLB, spec *field.Path) field.ErrorList {
	s := &m.Spec
	var errs field.ErrorList
	errs = append(errs, metav1validation.ValidateLabels(s.NodeSelector, spec.Child("nodeSelector"))...)
	errs = append(errs, checkTolerations(s.SpeakerTolerations, spec.Child("speakerTolerations"))...)
	errs = append(errs, metav1validation.ValidateLabels(s.ControllerNodeSelector, spec.Child("controllerNodeSelector"))...)
	errs = append(errs, checkTolerations(s.ControllerTolerations, spec.Child("controllerTolerations"))...)
	if s.LogLevel != "" && !slices.Contains(metallb.LogLevels, s.LogLevel) {
		errs = append(errs, field.NotSupported(spec.Child("logLevel"), s.LogLevel, metallb.LogLevels))
	}
	if s.LoadBalancerClass != "" && !loadBalancerClass.MatchString(s.LoadBalancerClass) {
		errs = append(errs, field.Invalid(spec.Child("loadBalancerClass"), s.LoadBalancerClass,
			`must be a name like that of a label, such as "internal-vip" or "example.com/internal-vip"`))
	}
	errs = append(errs, checkPodConfig(s.ControllerConfig, spec.Child("controllerConfig"))...)
	errs = append(errs, checkPodConfig(s.SpeakerConfig, spec.Child("speakerConfig"))...)
	if s.BGPBackend != "" && !slices.Contains(metallb.BGPBackends, s.BGPBackend) {
		errs = append(errs, field.NotSupported(spec.Child("bgpBackend"), s.BGPBackend, metallb.BGPBackends))
	}
	return append(errs, checkFRRK8s(s.BGPBackend, s.FRRK8sConfig, spec.Child("frrk8sConfig"))...)
}

func checkFRRK8s(backend metallb.BGPBackend, c *metallb.FRRK8sConfig, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if backend == metallb.BGPFRRK8sExternal && (c == nil || c.Namespace == "") {
		errs = append(errs, field.Required(path.Child("namespace"), fmt.Sprintf("bgpBackend %s needs it", backend)))
	}
	if c == nil {
		return errs
	}
	for i, cidr := range c.AlwaysBlock {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			errs = append(errs, field.Invalid(path.Child("alwaysBlock").Index(i), cidr, "must be a CIDR, such as 10.0.0.0/8 or fd00::/8"))
		}
	}
	if c.Namespace != "" {
		errs = append(errs, invalid(path.Child("namespace"), c.Namespace, apivalidation.ValidateNamespaceName(c.Namespace, false))...)
	}
	return errs
}

// checkPodConfig checks what becomes part of a Pod as Pods are checked.
func checkPodConfig(c *metallb.PodConfig, path *field.Path) field.ErrorList {
	if c == nil {
		return nil
	}
	var errs field.ErrorList
	if c.PriorityClassName != "" {
		errs = append(errs, invalid(path.Child("priorityClassName"), c.PriorityClassName, validation.IsDNS1123Subdomain(c.PriorityClassName))...)
	}
	if c.RuntimeClassName != "" {
		errs = append(errs, invalid(path.Child("runtimeClassName"), c.RuntimeClassName, validation.IsDNS1123Subdomain(c.RuntimeClassName))...)
	}
	errs = append(errs, checkAffinity(c.Affinity, path.Child("affinity"))...)
	errs = append(errs, apivalidation.ValidateAnnotations(c.Annotations, path.Child("annotations"))...)
	return append(errs, checkResources(c.Resources, path.Child("resources"))...)
}

// invalid makes an error of each of the problems of a value.
func invalid(path *field.Path, value any, problems []string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range problems {
		errs = append(errs, field.Invalid(path, value, problem))
	}
	return errs
}

// metalLBWarnings tells of what is accepted for the sake of manifests that have it.
func metalLBWarnings(m *metallb.MetalLB, spec *field.Path) []string {
	var warnings []string
	if m.Name != metallb.MetalLBName {
		warnings = append(warnings, fmt.Sprintf("metadata.name: %s has no effect: the one MetalLB object that is acted on is %q", m.Name, metallb.MetalLBName))
	}
	if m.Spec.Image != "" {
		warnings = append(warnings, fmt.Sprintf("%s: deprecated: it has no effect", spec.Child("image")))
	}
	if m.Spec.BGPBackend != "" {
		warnings = append(warnings, fmt.Sprintf("%s: %s has no effect: there is one implementation of BGP, in the speaker",
			spec.Child("bgpBackend"), m.Spec.BGPBackend))
	}
	if m.Spec.FRRK8sConfig != nil {
		warnings = append(warnings, fmt.Sprintf("%s: it has no effect: there is no frr-k8s, and no route of a peer is ever accepted",
			spec.Child("frrk8sConfig")))
	}
	return warnings
}
