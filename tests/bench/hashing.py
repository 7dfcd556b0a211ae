"""SHA-256 of a file with Python's hashlib, which is OpenSSL and uses the processor's own instructions: hashing.py FILE"""

import hashlib
import sys

with open(sys.argv[1], "rb") as file:
    print(hashlib.file_digest(file, "sha256").hexdigest())
