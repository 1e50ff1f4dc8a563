//go:build interop

package interop

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Parts of the protocol in which a mail server asks a filter, version 6, as
// libmilter speaks it.
const (
	milterVersion      = 6
	milterActions      = 0x1ff    // all that a filter may want to do
	milterLeadingSpace = 0x100000 // values of fields come and go with the white space behind the colon
	milterChunk        = 65535    // octets of a body
)

// milterEdit is a field that the filter adds at the top.
type milterEdit struct{ name, value string }

// String is the field as it stands in a message.
func (e milterEdit) String() string {
	return e.name + ":" + strings.ReplaceAll(e.value, "\n", "\r\n") + "\r\n"
}

// askMilter hands a message to the filter at that socket, as from a client on
// this machine, and returns the fields that it adds.
func askMilter(t *testing.T, socket string, message []byte) []milterEdit {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(eventTime))
	m := &milter{conn: conn, in: bufio.NewReader(conn)}
	edits, err := m.message(message)
	if err != nil {
		t.Fatal(err)
	}
	return edits
}

type milter struct {
	conn net.Conn
	in   *bufio.Reader
}

func (m *milter) message(message []byte) (edits []milterEdit, err error) {
	offer := binary.BigEndian.AppendUint32(nil, milterVersion)
	offer = binary.BigEndian.AppendUint32(offer, milterActions)
	offer = binary.BigEndian.AppendUint32(offer, milterLeadingSpace)
	var all []byte
	asked := 0
	ask := func(command byte, data string) {
		all = binary.BigEndian.AppendUint32(all, uint32(1+len(data)))
		all = append(append(all, command), data...)
		asked++
	}
	ask('O', string(offer))
	ask('C', "localhost\x004\x00\x19127.0.0.1\x00")
	ask('H', "localhost\x00")
	ask('M', "<sender@example.org>\x00")
	ask('R', "<one@example.net>\x00")
	header, body, _ := strings.Cut(string(message), "\r\n\r\n")
	header = strings.NewReplacer("\r\n ", "\n ", "\r\n\t", "\n\t").Replace(header)
	for field := range strings.SplitSeq(header, "\r\n") {
		name, value, _ := strings.Cut(field, ":")
		ask('L', name+"\x00"+value+"\x00")
	}
	ask('N', "")
	for len(body) > 0 {
		n := min(len(body), milterChunk)
		ask('B', body[:n])
		body = body[n:]
	}
	ask('E', "")
	if _, err := m.conn.Write(all); err != nil {
		return nil, err
	}
	for i := 0; ; {
		answer, data, err := m.read()
		switch last := i == asked-1; {
		case err != nil:
			return nil, err
		case i == 0 && answer == 'O' && len(data) >= 12 && binary.BigEndian.Uint32(data[8:]) == milterLeadingSpace:
			i++
		case i > 0 && !last && answer == 'c': // continue
			i++
		case last && (answer == 'c' || answer == 'a'): // continue, accept
			return edits, nil
		case last && answer == 'i' && len(data) > 4: // insert a field, at a place counted from the top
			name, value, _ := strings.Cut(string(data[4:]), "\x00")
			edits = append(edits, milterEdit{name, strings.TrimSuffix(value, "\x00")})
		case last && answer == 'p': // in progress
		default:
			return nil, fmt.Errorf("milter: answer %d of %d is %c %q", i, asked, answer, data)
		}
	}
}

func (m *milter) read() (answer byte, reply []byte, err error) {
	var length [4]byte
	if _, err := io.ReadFull(m.in, length[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > 1<<20 {
		return 0, nil, fmt.Errorf("milter: a packet of %d octets", n)
	}
	packet := make([]byte, n)
	_, err = io.ReadFull(m.in, packet)
	return packet[0], packet[1:], err
}
