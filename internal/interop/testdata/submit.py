"""Hands one message to a server with smtplib.

The exit code is 0 when all recipients were accepted and 1 otherwise, with what
the server said on standard output.
"""

import argparse
import smtplib
import ssl
import sys

args = argparse.ArgumentParser()
args.add_argument("--port", type=int, required=True)
args.add_argument("--tls", choices=["", "starttls", "implicit"], default="")
args.add_argument("--ca")
args.add_argument("--lmtp", action="store_true")
args.add_argument("--user")
args.add_argument("--password")
args.add_argument("--mech", choices=["PLAIN", "LOGIN"])
args.add_argument("--sender", required=True)
args.add_argument("--to", action="append", required=True)
args.add_argument("--mail-option", action="append", default=[])
args.add_argument("--rcpt-option", action="append", default=[])
args.add_argument("--count", type=int, default=1)
args.add_argument("file")
args = args.parse_args()

with open(args.file, "rb") as file:
    message = file.read()
context = ssl.create_default_context(cafile=args.ca) if args.tls else None
where = ("127.0.0.1", args.port)
if args.lmtp:
    server = smtplib.LMTP(*where, timeout=20)
elif args.tls == "implicit":
    server = smtplib.SMTP_SSL(*where, context=context, timeout=20)
else:
    server = smtplib.SMTP(*where, timeout=20)

try:
    with server:
        server.ehlo_or_helo_if_needed()
        if args.tls == "starttls":
            server.starttls(context=context)
            server.ehlo()
        if args.user:
            server.user, server.password = args.user, args.password
            method = {"PLAIN": server.auth_plain, "LOGIN": server.auth_login}
            if args.mech not in server.esmtp_features["auth"].split():
                raise smtplib.SMTPNotSupportedError("not offered: " + args.mech)
            server.auth(args.mech, method[args.mech])
        refused = {}
        for _ in range(args.count):
            refused |= server.sendmail(
                args.sender, args.to, message, args.mail_option, args.rcpt_option
            )
except (smtplib.SMTPException, OSError) as err:
    sys.exit(print(type(err).__name__, err) or 1)
if refused:
    sys.exit(print(refused) or 1)
