// Package dkim verifies and makes the signatures by which domains vouch for
// messages: DomainKeys Identified Mail (RFC 6376, with RFC 8301, 8463 and 8616).
package dkim
