package client

// Waiting returns how many calls of Send stand in line for a connection.
func (c *Client) Waiting() int {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	return c.queue.waiting.Len()
}
