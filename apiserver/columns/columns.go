// Package columns makes of objects what kubectl get shows.
package columns

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Table makes a table of an object or a list, as it is for a CRD with printer columns: the name, then the columns, for
// which cells gives the content in their order. options may be a *metav1.TableOptions.
func Table(obj, options runtime.Object, columns []metav1.TableColumnDefinition, cells func(runtime.Object) []any) (*metav1.Table, error) {
	t := &metav1.Table{}
	if list, err := meta.ListAccessor(obj); err == nil {
		t.ResourceVersion = list.GetResourceVersion()
		t.Continue = list.GetContinue()
		t.RemainingItemCount = list.GetRemainingItemCount()
	} else if one, err := meta.CommonAccessor(obj); err == nil {
		t.ResourceVersion = one.GetResourceVersion()
	}
	if opt, ok := options.(*metav1.TableOptions); !ok || !opt.NoHeaders {
		name := metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]}
		t.ColumnDefinitions = append([]metav1.TableColumnDefinition{name}, columns...)
	}
	var err error
	t.Rows, err = table.MetaToTableRow(obj, func(o runtime.Object, _ metav1.Object, name, _ string) ([]any, error) {
		return append([]any{name}, cells(o)...), nil
	})
	if err != nil {
		return nil, fmt.Errorf("table of %T: %w", obj, err)
	}
	return t, nil
}

// Text is the content of a column: empty where the field is not set.
func Text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Age defines the column of when an object came to be; its content is Since.
func Age() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Age", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]}
}

// Since is how long ago a time was, for people.
func Since(t metav1.Time) any { return table.ConvertToHumanReadableDateType(t) }
