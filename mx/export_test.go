package mx

// SetPolicy puts a function in the place of what c asks for policies.
func SetPolicy(c *Client, f func(host string) (Policy, error)) { c.policyOf = f }

// Sites counts what l remembers.
func Sites(l *SiteLimiter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sites)
}
