// Package structure holds no code, only tests of the tree as a whole: which
// package may import which, how long an example may be, which modules there
// are, and that every exported type is shown in use.
package structure
