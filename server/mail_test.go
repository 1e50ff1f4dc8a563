package server_test

import "testing"

func TestOneMessage(t *testing.T) {
	s := start(t)
	p := s.hello()
	p.send("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nDATA\n")
	p.expect("250 2.1.0 ", "250 2.1.5 ", "354 ")
	p.send("Subject: x\n\n..\n.\n")
	p.expect("250 2.0.0 ")
	p.do("QUIT", "221 2.0.0 ")
	p.closed()
	s.stop()
	want(t, "calls", s.noted(), "new\nmail <a@example.org>\nrcpt <b@example.com>\ndata\nreset done\nclose")
	want(t, "message", s.messages()[0], "Subject: x\r\n\r\n.\r\n")
}
