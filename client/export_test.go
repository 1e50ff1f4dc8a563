package client

// Waiting returns how many calls of Send stand in line for a connection.
func (c *Client) Waiting() int { return c.Stats().Waiting }
