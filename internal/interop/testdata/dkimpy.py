"""Signs and verifies messages with dkimpy.

Each line of standard input is a task, and each line of standard output what
came of it, in JSON. The argument is a file of key records: a name, a space and
the text on each line.
"""

import base64
import json
import sys

import dkim

records = {}
with open(sys.argv[1], "rb") as file:
    for line in file:
        name, text = line.rstrip(b"\n").split(b" ", 1)
        records[name] = text


def lookup(name, timeout=5):
    return records.get(name.rstrip(b"."))


def sign(task, message):
    d = dkim.DKIM(message, signature_algorithm=task["algorithm"].encode())
    field = d.sign(
        task["selector"].encode(),
        task["domain"].encode(),
        task["key"].encode(),
        canonicalize=(task["header"].encode(), task["body"].encode()),
    )
    return {"prefix": field.decode()}


def verify(task, message):
    """One word a signature, from the top."""
    verdicts = []
    for i in range(task["signatures"]):
        try:
            ok = dkim.DKIM(message).verify(idx=i, dnsfunc=lookup)
            verdicts.append("pass" if ok else "fail")
        except dkim.DKIMException as err:
            verdicts.append(str(err))
    return {"verdicts": verdicts}


def seal(task, message):
    fields = dkim.ARC(message).sign(
        task["selector"].encode(),
        task["domain"].encode(),
        task["key"].encode(),
        task["authserv_id"].encode(),
    )
    return {"prefix": b"".join(fields).decode()}


def verify_chain(task, message):
    cv, _, comment = dkim.ARC(message).verify(dnsfunc=lookup)
    return {"verdicts": [(cv or b"").decode()], "comment": comment}


work = {"sign": sign, "verify": verify, "seal": seal, "verify-chain": verify_chain}
for line in sys.stdin:
    task = json.loads(line)
    message = base64.b64decode(task["message"])
    print(json.dumps(work[task["do"]](task, message)))
