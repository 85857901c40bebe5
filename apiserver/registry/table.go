package registry

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/columns"
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
		cell(func(o P) any { return columns.Since(created(o)) })}
}

// tableConvertor implements rest.TableConvertor as it is for a CRD with printer columns: the name, then the columns.
type tableConvertor struct{ columns []column }

// ConvertToTable makes a table of an object or a list.
func (c tableConvertor) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	definitions := make([]metav1.TableColumnDefinition, 0, len(c.columns))
	for _, col := range c.columns {
		definitions = append(definitions, metav1.TableColumnDefinition{
			Name: col.name, Type: col.format, Description: col.description, Priority: col.priority,
		})
	}
	return columns.Table(obj, options, definitions, func(o runtime.Object) []any {
		cells := make([]any, 0, len(c.columns))
		for _, col := range c.columns {
			cells = append(cells, col.value(o))
		}
		return cells
	})
}

// textCell is empty where the field is not set.
func textCell(s string) any { return columns.Text(s) }

// valueCell is empty where the field is not set.
func valueCell[T any](value *T) any {
	if value == nil {
		return nil
	}
	return *value
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
