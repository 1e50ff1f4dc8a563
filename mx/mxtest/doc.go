// Package mxtest is a small internet for tests of programs that deliver mail: a
// DNS, mail servers with certificates, and the policies that say how mail to them
// must be protected. It needs neither a network nor a port below 1024.
//
//	func TestDelivery(t *testing.T) {
//		inet := mxtest.New(t)
//		mx1 := inet.Host("mx1.example.org")
//		mx2 := inet.Host("mx2.example.org", mxtest.Expired)
//		inet.Domain("example.org", mxtest.MX(10, mx1), mxtest.MX(20, mx2))
//		inet.Sign("example.org")
//		inet.DANE(mx1)
//
//		mx1.Fault(smtptest.On("RCPT").Reply(550, "5.1.1", "no such user"))
//		results, err := inet.Client().Deliver(t.Context(), "example.org", message)
//		…
//	}
//
// What does not exist there does not exist: no name, address or certificate of
// the world outside is asked for or trusted. Everything that waits does so as
// testing/synctest wants it.
//
// Functions and methods panic if what they are asked for makes no sense, such as
// a host without a name: a mistake in the test must not look like a passing one.
package mxtest
