package smtp_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/smtp"
)

func ExampleContent() {
	c, err := smtp.BytesContent([]byte("Subject: Grüße\r\n\r\nHello\r\n")).Examine()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Size, c.Reusable(), c.Kind.Has(smtp.KindUTF8Header))
	r, err := c.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	fmt.Println(len(b), err)
	// Output:
	// 27 true true
	// 27 <nil>
}

func ExampleReaderContent() {
	c := smtp.ReaderContent(strings.NewReader("Subject: hi\r\n\r\nHello\r\n"))
	fmt.Println(c.Size, c.Reusable())
	c, err := c.Examine() // short enough to be kept
	fmt.Println(c.Size, c.Reusable(), err)
	// Output:
	// -1 false
	// 22 true <nil>
}

func ExampleKind() {
	c, err := smtp.BytesContent([]byte("Subject: hi\n\nHello\n")).Examine()
	fmt.Println(c.Kind.Has(smtp.KindBareLineEnd), c.Kind.Has(smtp.Kind8Bit), err)
	// Output: true false <nil>
}

func ExampleExaminer() {
	var e smtp.Examiner
	for _, piece := range []string{"Subject: hi\r", "\n\r\nGr\xc3", "\xbc\xc3\x9fe\r\n"} {
		io.WriteString(&e, piece)
	}
	fmt.Println(e.Kind() == smtp.KindExamined|smtp.Kind8Bit)
	// Output: true
}
