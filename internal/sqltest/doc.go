// Package sqltest runs package sqlqueue against real databases, whose drivers the
// root module does not know.
package sqltest
