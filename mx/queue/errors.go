package queue

import "github.com/postrider/postrider/smtp"

type fullError struct{}

func (fullError) Error() string { return "queue: there is no room" }

// As makes errors.As find the reply.
func (fullError) As(target any) bool {
	e, ok := target.(**smtp.Error)
	if ok {
		*e = smtp.Reject(452, smtp.Enh(3, 1), "there is no room for the message now")
	}
	return ok
}
