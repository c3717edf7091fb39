#!/usr/bin/python3
"""Asks PAM whether a user of ftpd may log in. Set it as auth_program, see ftpd.ini(5). It needs the
package python3-pam.

    [server]
    auth_program = /usr/share/ftpd/auth/pam.py ftpd
    auth_homes = /srv/ftp
    auth_perm = elradfmw

The argument is the service, whose file is /etc/pam.d/ftpd. For example, with users in a database of
their own (man pam_userdb):

    auth     required  pam_userdb.so  db=/var/lib/ftpd/users crypt=crypt
    account  required  pam_userdb.so  db=/var/lib/ftpd/users

The home is that of the system user with this name, or, if there is none, the directory with this name
below auth_homes.

pam_unix lets only root check the passwords of others. A server that is not root therefore takes a
service without pam_unix, such as pam_userdb or pam_sss.
"""

import json
import pwd
import sys

import PAM


def log_in(question, service):
    name, password = question["name"], question["password"]
    # PAM would take a name or a password only up to a NUL; a password that is not UTF-8 comes as null
    if not name or not password or "\0" in name + password:
        return {"accept": False}

    def converse(_, messages, __=None):
        # all that is asked for without an echo is the password
        answers = {PAM.PAM_PROMPT_ECHO_OFF: password, PAM.PAM_PROMPT_ECHO_ON: name}
        return [(answers.get(kind, ""), 0) for _, kind in messages]

    pam = PAM.pam()
    pam.start(service)
    pam.set_item(PAM.PAM_USER, name)
    pam.set_item(PAM.PAM_RHOST, question["address"])
    pam.set_item(PAM.PAM_TTY, "ftp")
    pam.set_item(PAM.PAM_CONV, converse)
    try:
        pam.authenticate()
        # expired accounts, times of the day
        pam.acct_mgmt()
    except PAM.error as why:
        outages = (PAM.PAM_AUTHINFO_UNAVAIL, PAM.PAM_SERVICE_ERR, PAM.PAM_SYSTEM_ERR)
        if why.args[-1] in outages:
            sys.exit(f"PAM: {why.args[0]}")
        return {"accept": False}
    return home_of(name)


def home_of(name):
    try:
        user = pwd.getpwnam(name)
        # nobody should try passwords of root here
        return {"accept": user.pw_uid != 0, "home": user.pw_dir}
    except KeyError:
        pass
    # one directory below auth_homes
    if "/" in name or name.startswith("."):
        return {"accept": False}
    return {"accept": True, "home": name}


if len(sys.argv) != 2:
    sys.exit(__doc__)
print(json.dumps(log_in(json.load(sys.stdin), sys.argv[1])))
