package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// column is one column of kubectl get.
type column struct {
	name, format string
	priority     int32 // above 0: shown with -o wide only
	description  string
	value        func(runtime.Object) any
}

// age is the only column of a CRD that declares none.
func age[T any, P interface {
	*T
	object
}](created func(P) metav1.Time) column {
	return column{"Age", "date", 0, metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
		cell(func(o P) any { return table.ConvertToHumanReadableDateType(created(o)) })}
}

// tableConvertor implements rest.TableConvertor as it is for a CRD with printer columns: the name, then the columns.
type tableConvertor struct{ columns []column }

// ConvertToTable makes a table of an object or a list.
func (c tableConvertor) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	t := &metav1.Table{}
	if list, err := meta.ListAccessor(obj); err == nil {
		t.ResourceVersion = list.GetResourceVersion()
		t.Continue = list.GetContinue()
		t.RemainingItemCount = list.GetRemainingItemCount()
	} else if one, err := meta.CommonAccessor(obj); err == nil {
		t.ResourceVersion = one.GetResourceVersion()
	}
	if opt, ok := options.(*metav1.TableOptions); !ok || !opt.NoHeaders {
		t.ColumnDefinitions = c.definitions()
	}
	var err error
	t.Rows, err = table.MetaToTableRow(obj, func(o runtime.Object, _ metav1.Object, name, _ string) ([]any, error) {
		cells := []any{name}
		for _, col := range c.columns {
			cells = append(cells, col.value(o))
		}
		return cells, nil
	})
	if err != nil {
		return nil, fmt.Errorf("table of %T: %w", obj, err)
	}
	return t, nil
}

func (c tableConvertor) definitions() []metav1.TableColumnDefinition {
	defs := []metav1.TableColumnDefinition{{
		Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"],
	}}
	for _, col := range c.columns {
		defs = append(defs, metav1.TableColumnDefinition{
			Name: col.name, Type: col.format, Description: col.description, Priority: col.priority,
		})
	}
	return defs
}

// valueCell is empty where the field is not set.
func valueCell[T any](value *T) any {
	if value == nil {
		return nil
	}
	return *value
}

// textCell is empty where the field is not set.
func textCell(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// listCell shows a list as MetalLB's tables do: in JSON.
func listCell[T any](list []T) any {
	if len(list) == 0 {
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil { // strings and selectors always encode
		return fmt.Sprint(list)
	}
	return string(text)
}
