package scram

import (
	"crypto/tls"

	xdg "github.com/xdg-go/scram"
)

// Bindings returns the channel bindings that a TLS connection has, the one that
// a client should choose first. There is none without TLS, and none for TLS 1.2
// without an extended master secret or with renegotiation: there tls-unique can
// be the same on two connections (RFC 7627 §1), and tls-exporter is not defined
// (RFC 9266 §4.2).
//
// The binding tls-server-end-point is not among them: a server's tls.Config
// does not tell which certificate it has presented.
func Bindings(state *tls.ConnectionState) []xdg.ChannelBinding {
	if state == nil || !state.HandshakeComplete {
		return nil
	}
	exporter, ok := export(state)
	switch {
	case !ok:
		return nil
	case len(state.TLSUnique) == 0: // TLS 1.3
		return []xdg.ChannelBinding{exporter} // RFC 9266 §3
	}
	return []xdg.ChannelBinding{xdg.NewTLSUniqueBinding(state.TLSUnique), exporter}
}

// export returns the binding tls-exporter (RFC 9266 §4).
func export(state *tls.ConnectionState) (b xdg.ChannelBinding, ok bool) {
	// A state that does not come from crypto/tls has nothing to export from, and
	// no way to say so.
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	b, err := xdg.NewTLSExporterBinding(state)
	return b, err == nil && b.IsSupported()
}
