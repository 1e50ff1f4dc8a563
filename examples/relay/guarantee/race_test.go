//go:build race

package guarantee

const raced = true
