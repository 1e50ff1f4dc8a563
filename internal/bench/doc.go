// Package bench measures the CPU time that a server spends on a message, side
// by side with other servers and with a floor, and the memory that an idle
// connection costs. It holds no library code: see README.md for the commands.
package bench
