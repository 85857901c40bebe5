// Package openapi holds the generated OpenAPI definitions of every served type and of what they refer to.
// kubectl explain shows their descriptions; server-side apply reads list and map types from them.
package openapi
