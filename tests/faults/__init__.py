"""Things that are killed, cut, flooded and lied to. FAULTS=long does it more often and with the waits of real life."""

import os
import secrets

LONG = os.environ.get("FAULTS") == "long"
SEED = os.environ.get("FAULTS_SEED") or secrets.token_hex(4)
