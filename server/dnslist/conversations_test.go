package dnslist_test

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/dnslist"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// servers says who plays a conversation of testdata: the file's name begins with
// one of these.
var servers = map[string]dnslist.Options{
	"rcpt":    {Lists: []dnslist.List{{Zone: "bl.example"}}},
	"mail":    {Lists: []dnslist.List{{Zone: "bl.example."}}, At: dnslist.AtMail},
	"connect": {Lists: []dnslist.List{{Zone: "bl.example", Reason: true}}, At: dnslist.AtConnect},
	"names": {Lists: []dnslist.List{
		{Zone: "names.example", Of: dnslist.Hello},
		{Zone: "names.example", Of: dnslist.Sender, Reason: true},
	}},
	"reason": {Lists: []dnslist.List{{Zone: "bl.example", Reason: true}}},
	"title":  {Lists: []dnslist.List{{Zone: "bl.example", Title: "the list of Example"}}},
	"allow":  {Lists: []dnslist.List{{Zone: "bl.example"}, {Zone: "wl.example", Allow: true}}},
	"weights": {Lists: []dnslist.List{
		{Zone: "bl.example", Weight: 2}, {Zone: "bl2.example", Weight: 3}, {Zone: "wl.example", Weight: -2},
	}, Threshold: 2},
	"codes":  {Lists: []dnslist.List{{Zone: "bl.example", Codes: []netip.Prefix{netip.MustParsePrefix("127.0.0.8/29")}}}},
	"fails":  {Lists: []dnslist.List{{Zone: "bl.example"}}, Threshold: 1},
	"defer":  {Lists: []dnslist.List{{Zone: "bl.example"}}, DeferOnFailure: true},
	"closed": {Lists: []dnslist.List{{Zone: "bl.example"}}, DeferOnFailure: true, At: dnslist.AtConnect},
	"exempt": {Lists: []dnslist.List{{Zone: "bl.example"}},
		Exempt: func(_ context.Context, _ *server.Conn, from smtp.ReversePath, to smtp.ForwardPath) (bool, error) {
			return to.Local == "spamtrap" && from.Local != "", nil
		}},
}

// Each conversation in testdata is played by a client whose address stands at
// the end of the file's name.
func TestConversations(t *testing.T) {
	smtptest.RunScripts(t, "testdata/*.txt", func(t *testing.T, script *smtptest.Script) net.Conn {
		name := strings.TrimSuffix(filepath.Base(script.Name), ".txt")
		kind, _, _ := strings.Cut(name, "-")
		o, ok := servers[kind]
		if !ok {
			t.Fatalf("no server plays %s", script.Name)
		}
		ip := name[strings.LastIndex(name, "-")+1:]
		if ip != "unix" {
			ip = strings.ReplaceAll(ip, "_", ":")
		} else {
			ip = ""
		}
		script.Timeout = 10 * time.Second
		return start(t, o).dial(t, ip)
	})
}
