package dsn

// advices are what a sender can do about a failure, by the status code (RFC 3463,
// and the registry that RFC 5248 made of it). A row whose detail is others is for the
// rest of its subject and stands behind the others.
var advices = []struct {
	subject, detail int
	text            string
}{
	{1, 1, "There seems to be no such address. Please check how it is spelled, or ask the person for the right one in another way."},
	{1, 2, "There seems to be no such domain, which is what stands behind the @. Please check how it is spelled."},
	{1, 3, "The address is not written as it should be. Please check how it is spelled."},
	{1, 6, "The mailbox has moved, and nobody said where to. Please ask the person for the new address in another way."},
	{1, 7, "Your own address was not accepted. Please have the settings of your mail program checked."},
	{1, 8, "Your own address was not accepted. Please have the settings of your mail program checked."},
	{1, 10, "This domain takes no mail at all. Please check how the address is spelled, or ask the person for another one."},
	{1, others, "Please check how the address is spelled, or ask the person for the right one in another way."},
	{2, 1, "The mailbox is closed. Please get in touch with the person in another way."},
	{2, 2, "The mailbox is full. Please send your message again in a few days, or get in touch with the person in another way."},
	{2, 3, "Your message is too large for the mailbox. Please send a smaller one, or share large files in another way."},
	{2, others, "Something is wrong with the mailbox. Please send your message again later, or get in touch with the person in another way."},
	{3, 4, "Your message is too large for the mail system of the recipient. Please send a smaller one, or share large files in another way."},
	{3, others, "The mail system of the recipient has a problem. Please send your message again later."},
	{4, 7, "The mail system of the recipient could not be reached for too long, or did not take the message. Please send it again later, or get in touch with the person in another way."},
	{4, others, "The mail system of the recipient could not be reached. Please check how the part of the address behind the @ is spelled, or send your message again later."},
	{5, 3, "Your message has too many recipients. Please send it to fewer at once."},
	{5, others, "The two mail systems do not understand each other. Please show this report to your postmaster."},
	{6, 7, "The mail system of the recipient does not take addresses with letters like these. Please ask the person for another address."},
	{6, others, "The mail system of the recipient cannot take a message of this kind. Please send it in another form, for example as plain text."},
	{7, 10, "The way to the mail system of the recipient cannot be protected as is required. Please show this report to your postmaster."},
	{7, 30, "The way to the mail system of the recipient cannot be protected as you required. Please send the message without that requirement, or get in touch with the person in another way."},
	{7, others, "The mail system of the recipient refuses your message for reasons of its own. Please show this report to your postmaster, or get in touch with the person in another way."},
}

const others = -1

// advice returns what to do about a failure; "" if nothing is known.
func advice(s Status) string {
	for _, row := range advices {
		if s.Code.Subject() == row.subject && (s.Code.Detail() == row.detail || row.detail == others) {
			return row.text
		}
	}
	return ""
}
