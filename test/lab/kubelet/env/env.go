package env

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Source is where a Pod's environment comes from.
type Source struct {
	Pod         *corev1.Pod // with its addresses in its status
	ConfigMap   func(name string) (*corev1.ConfigMap, error)
	Secret      func(name string) (*corev1.Secret, error)
	Services    []*corev1.Service // of all namespaces
	Allocatable corev1.ResourceList
}

// Of is the environment that a container's manifest and the Services there are give it. The error says what is missing, as a
// kubelet says it.
func (s Source) Of(c *corev1.Container) (map[string]string, error) {
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		values, err := s.all(from)
		if err != nil {
			return nil, err
		}
		for key, value := range values {
			env[from.Prefix+key] = value
		}
	}
	services := s.services()
	lookup := func(name string) (string, bool) {
		if value, ok := env[name]; ok {
			return value, true
		}
		value, ok := services[name]
		return value, ok
	}
	for _, variable := range c.Env {
		value, ok, err := s.value(c, variable, lookup)
		if err != nil {
			return nil, err
		}
		if ok {
			env[variable.Name] = value
		}
	}
	for name, value := range services {
		if _, ok := env[name]; !ok {
			env[name] = value
		}
	}
	return env, nil
}

// all are the variables of an envFrom.
func (s Source) all(from corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		object, err := s.ConfigMap(from.ConfigMapRef.Name)
		if err != nil {
			return nil, unlessOptional(err, from.ConfigMapRef.Optional)
		}
		return object.Data, nil
	case from.SecretRef != nil:
		object, err := s.Secret(from.SecretRef.Name)
		if err != nil {
			return nil, unlessOptional(err, from.SecretRef.Optional)
		}
		values := map[string]string{}
		for key, value := range object.Data {
			values[key] = string(value)
		}
		return values, nil
	}
	return nil, nil
}

// value is that of one variable; false: it is optional and not there.
func (s Source) value(c *corev1.Container, v corev1.EnvVar, lookup func(string) (string, bool)) (string, bool, error) {
	from := v.ValueFrom
	switch {
	case from == nil:
		return Expand(v.Value, lookup), true, nil
	case from.FieldRef != nil:
		value, err := Field(s.Pod, from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err := Resource(s.Pod, c.Name, from.ResourceFieldRef, s.Allocatable)
		return value, true, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		object, err := s.ConfigMap(ref.Name)
		if err != nil {
			return "", false, unlessOptional(err, ref.Optional)
		}
		value, ok := object.Data[ref.Key]
		if !ok && !isTrue(ref.Optional) {
			return "", false, fmt.Errorf("couldn't find key %s in ConfigMap %s/%s", ref.Key, s.Pod.Namespace, ref.Name)
		}
		return value, ok, nil
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		object, err := s.Secret(ref.Name)
		if err != nil {
			return "", false, unlessOptional(err, ref.Optional)
		}
		value, ok := object.Data[ref.Key]
		if !ok && !isTrue(ref.Optional) {
			return "", false, fmt.Errorf("couldn't find key %s in Secret %s/%s", ref.Key, s.Pod.Namespace, ref.Name)
		}
		return string(value), ok, nil
	}
	return "", false, fmt.Errorf("variable %s: the lab's kubelet does not know this kind of valueFrom", v.Name)
}

func unlessOptional(err error, optional *bool) error {
	if isTrue(optional) && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func isTrue(b *bool) bool { return b != nil && *b }

// services are the variables by which a Pod finds Services: the API's own always, those of its namespace unless it says no.
func (s Source) services() map[string]string {
	env := map[string]string{}
	links := s.Pod.Spec.EnableServiceLinks == nil || *s.Pod.Spec.EnableServiceLinks
	for _, service := range s.Services {
		api := service.Namespace == corev1.NamespaceDefault && service.Name == "kubernetes"
		if !api && (!links || service.Namespace != s.Pod.Namespace) || service.Spec.ClusterIP == "" ||
			service.Spec.ClusterIP == corev1.ClusterIPNone || len(service.Spec.Ports) == 0 {
			continue
		}
		maps.Copy(env, describe(service))
	}
	return env
}

// describe has the variables of one Service, by its own name and in the way of Docker's links.
func describe(service *corev1.Service) map[string]string {
	name := strings.ToUpper(strings.ReplaceAll(service.Name, "-", "_"))
	address := service.Spec.ClusterIP
	env := map[string]string{name + "_SERVICE_HOST": address}
	for i, port := range service.Spec.Ports {
		number, protocol := strconv.Itoa(int(port.Port)), strings.ToLower(string(port.Protocol))
		url := protocol + "://" + net.JoinHostPort(address, number)
		if i == 0 {
			env[name+"_SERVICE_PORT"], env[name+"_PORT"] = number, url
		}
		if port.Name != "" {
			env[name+"_SERVICE_PORT_"+strings.ToUpper(strings.ReplaceAll(port.Name, "-", "_"))] = number
		}
		prefix := name + "_PORT_" + number + "_" + strings.ToUpper(protocol)
		env[prefix], env[prefix+"_PROTO"], env[prefix+"_PORT"], env[prefix+"_ADDR"] = url, protocol, number, address
	}
	return env
}

// List has an image's variables and those of a container over them, NAME=VALUE, sorted.
func List(image []string, env map[string]string) []string {
	all := map[string]string{}
	for _, variable := range image {
		name, value, _ := strings.Cut(variable, "=")
		all[name] = value
	}
	maps.Copy(all, env)
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}
