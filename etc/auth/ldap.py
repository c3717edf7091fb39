#!/usr/bin/python3
"""Users of ftpd in an LDAP directory: a program for auth_program, see ftpd.ini(5). It takes the package
python3-ldap.

    [server]
    auth_program = /usr/share/ftpd/auth/ldap.py ldaps://ldap.example.org ou=people,dc=example,dc=org
    auth_homes = /home
    auth_perm = elradfmw

It searches below the base for the entry of the user, and binds as this entry with the password. The
home is the attribute homeDirectory, or else the directory in auth_homes with the name of the user. The
name must be exactly one of the values of uid, although the directory ignores case. A third
argument is another filter, with %s for the name:

    "(&(objectClass=inetOrgPerson)(uid=%s)(memberOf=cn=ftp,ou=groups,dc=example,dc=org))"

ldap:// to another machine begins with StartTLS; it needs a certificate that ldap.conf(5) trusts. If the
directory allows no anonymous search, name an entry to search as, and a file with its password in the
first line, by two more arguments after the filter.
"""

import sys

# this file has the name of the module
sys.path = [place for place in sys.path if place != sys.path[0]]

import ipaddress
import json
import urllib.parse

import ldap
import ldap.filter

FILTER = "(&(objectClass=posixAccount)(uid=%s))"

# a wrong password, an entry without one, and one that is locked
REFUSALS = (
    ldap.INVALID_CREDENTIALS,
    ldap.INAPPROPRIATE_AUTH,
    ldap.UNWILLING_TO_PERFORM,
    ldap.CONSTRAINT_VIOLATION,
)

# seconds; auth_timeout should be longer
TIMEOUT = 5


def connection(uri):
    server = ldap.initialize(uri)
    server.protocol_version = ldap.VERSION3
    server.set_option(ldap.OPT_NETWORK_TIMEOUT, TIMEOUT)
    server.set_option(ldap.OPT_TIMEOUT, TIMEOUT)
    # another server would be given the password
    server.set_option(ldap.OPT_REFERRALS, 0)
    if uri.startswith("ldap://") and not is_here(urllib.parse.urlsplit(uri).hostname):
        server.start_tls_s()
    return server


def is_here(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def log_in(question, uri, base, pattern=FILTER, reader="", secret=None):
    name, password = question["name"], question["password"]
    # a bind with an empty password succeeds as nobody (RFC 4513 section 5.1.2); a password that is not
    # UTF-8 comes as null
    if not name or not password:
        return {"accept": False}
    server = connection(uri)
    if secret:
        with open(secret, encoding="utf-8") as file:
            server.simple_bind_s(reader, file.readline().rstrip("\n"))
    # the name is only a value of the filter, whatever is in it (RFC 4515 section 3)
    pattern = pattern.replace("%s", ldap.filter.escape_filter_chars(name))
    found = server.search_s(base, ldap.SCOPE_SUBTREE, pattern, ["uid", "homeDirectory"])
    entries = [(dn, values) for dn, values in found if dn is not None]
    if len(entries) != 1:
        return {"accept": False}
    [(dn, values)] = entries
    values = {attribute.lower(): all for attribute, all in values.items()}
    # to the directory, "Ann" and " ann" are ann; to the server, they are other users with other sessions
    if name.encode() not in values.get("uid", []):
        return {"accept": False}
    try:
        connection(uri).simple_bind_s(dn, password)
    except REFUSALS:
        return {"accept": False}
    home = values.get("homedirectory")
    return {"accept": True, "home": home[0].decode()} if home else {"accept": True}


if not 3 <= len(sys.argv) <= 6:
    sys.exit(__doc__)
try:
    print(json.dumps(log_in(json.load(sys.stdin), *sys.argv[1:])))
except ldap.LDAPError as why:
    sys.exit(f"{type(why).__name__}: {why}")
