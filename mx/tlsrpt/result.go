package tlsrpt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// ResultOf returns what an error of a TLS handshake is in a report, with a Reason
// in which nothing is from the peer, and which is the same the next time.
func ResultOf(err error) (result ResultType, reason string) {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		op      *net.OpError
		record  tls.RecordHeaderError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &name):
		return CertificateHostMismatch, "the certificate is for another name"
	case errors.As(err, &unknown):
		return CertificateNotTrusted, "the certificate is of an unknown authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CertificateExpired, "the certificate has expired or is not valid yet"
	case errors.As(err, &invalid):
		return CertificateNotTrusted, fmt.Sprintf("the certificate is invalid: %s", invalidity(invalid.Reason))
	case errors.As(err, &cert):
		return CertificateNotTrusted, "the certificate could not be verified"
	case errors.As(err, &op) && op.Op == "remote error":
		return ValidationFailure, "the host says: " + op.Err.Error() // an alert, by its name in crypto/tls
	case errors.As(err, &record):
		return ValidationFailure, "the answer to STARTTLS is not TLS"
	}
	return ValidationFailure, "the TLS handshake failed"
}

// invalidity names a reason without the names that stand in the certificate.
func invalidity(r x509.InvalidReason) string {
	switch r {
	case x509.NotAuthorizedToSign:
		return "its issuer may not issue certificates"
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName, x509.CANotAuthorizedForExtKeyUsage, x509.TooManyConstraints:
		return "its issuer is constrained to others"
	case x509.TooManyIntermediates:
		return "too many intermediate certificates"
	case x509.IncompatibleUsage:
		return "it is not for servers"
	case x509.NameMismatch:
		return "the name of its issuer is another"
	case x509.NoValidChains:
		return "no valid chain"
	}
	return fmt.Sprintf("reason %d", int(r))
}
