package mx

// SetPolicy puts a function in the place of what c asks for policies.
func SetPolicy(c *Client, f func(host string) (Policy, error)) { c.policyOf = f }
