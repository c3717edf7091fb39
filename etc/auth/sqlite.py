#!/usr/bin/python3
"""Users of ftpd in an SQLite database: a program for auth_program, see ftpd.ini(5).

    [server]
    auth_program = /usr/share/ftpd/auth/sqlite.py /var/lib/ftpd/users.db
    auth_homes = /srv/ftp
    auth_perm = elradfmw

Once, as the user of the server:

    sqlite.py /var/lib/ftpd/users.db create
    sqlite.py /var/lib/ftpd/users.db set NAME HOME PERM     (reads the password from standard input)

HOME is a directory below auth_homes, PERM the permission letters. To disable a user, set the column
enabled to 0. The login only reads the database. Passwords are hashed with scrypt.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import urllib.parse

TABLE = """CREATE TABLE users (
    name TEXT PRIMARY KEY NOT NULL,
    password TEXT NOT NULL,
    home TEXT NOT NULL,
    perm TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1
)"""

# the cost of a hash: 16 MiB of memory
COST = {"n": 1 << 14, "r": 8, "p": 1}


def hash_of(password, salt):
    return hashlib.scrypt(password.encode(), salt=salt, **COST)


def stored(password):
    salt = os.urandom(16)
    both = (base64.b64encode(part).decode() for part in (salt, hash_of(password, salt)))
    return "$".join(both)


# takes as long as the password of a user who exists
NOBODY = stored("")


def log_in(file, question):
    name, password = question["name"], question["password"]
    # read-only, so that a mistyped name makes no new database
    place = "file:" + urllib.parse.quote(os.path.abspath(file)) + "?mode=ro"
    database = sqlite3.connect(place, uri=True, timeout=5)
    found = database.execute(
        "SELECT password, home, perm FROM users WHERE name = ? AND enabled = 1", (name,)
    ).fetchone()
    wanted, home, perm = found or (NOBODY, None, None)
    salt, wanted = (base64.b64decode(part) for part in wanted.split("$"))
    # a password that is not UTF-8 comes as null
    is_right = hmac.compare_digest(hash_of(password or "", salt), wanted)
    if not (found and is_right and password):
        return {"accept": False}
    return {"accept": True, "home": home, "perm": perm}


def main(words):
    if len(words) == 1:
        print(json.dumps(log_in(words[0], json.load(sys.stdin))))
    elif words[1:] == ["create"]:
        with sqlite3.connect(words[0]) as database:
            database.execute(TABLE)
    elif len(words) == 5 and words[1] == "set":
        password = sys.stdin.readline().rstrip("\n")
        if not password:
            sys.exit("the password is empty")
        with sqlite3.connect(words[0]) as database:
            database.execute(
                "INSERT OR REPLACE INTO users (name, password, home, perm) VALUES (?, ?, ?, ?)",
                (words[2], stored(password), *words[3:]),
            )
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
