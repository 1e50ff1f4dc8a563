"""Reads messages, one JSON string a line, and says in JSON what Python's email
package finds in each as a delivery status notification."""

import email
import email.policy
import json
import sys

for line in sys.stdin:
    octets = json.loads(line).encode("latin-1")
    message = email.message_from_bytes(octets, policy=email.policy.default)
    parts = list(message.iter_parts())
    defects = [repr(d) for part in message.walk() for d in part.defects]
    found = {
        "defects": defects,
        "type": message.get_content_type(),
        "report_type": message.get_param("report-type"),
        "parts": [part.get_content_type() for part in parts],
        "text": parts[0].get_content(),
        "groups": [],
        "subject": "",
    }
    if parts[1].get_content_type() == "message/delivery-status":
        # A message for each group of fields.
        found["groups"] = [{k: str(v) for k, v in g.items()} for g in parts[1].get_payload()]
    if len(parts) > 2:
        kind = parts[2].get_content_type()
        if kind == "message/rfc822":
            returned = parts[2].get_content()
        elif kind == "text/rfc822-headers":
            returned = email.message_from_bytes(parts[2].get_payload(decode=True), policy=email.policy.default)
        else:
            payload = parts[2].get_payload()
            returned = payload[0] if isinstance(payload, list) else None
        if returned is not None:
            found["subject"] = str(returned["Subject"])
    json.dump(found, sys.stdout)
    print()
