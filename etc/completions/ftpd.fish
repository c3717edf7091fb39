# fish completion for ftpd

complete -c ftpd -f
complete -c ftpd -s c -l config -r -F -d 'settings'
complete -c ftpd -s h -l help -d 'help'
complete -c ftpd -n __fish_use_subcommand -a serve -d 'serve until Ctrl-C'
complete -c ftpd -n __fish_use_subcommand -a share -d 'serve a folder now, without a settings file'
complete -c ftpd -n '__fish_seen_subcommand_from share' -l write
complete -c ftpd -n '__fish_seen_subcommand_from share' -l tls
complete -c ftpd -n '__fish_seen_subcommand_from share' -l user -x
complete -c ftpd -n '__fish_seen_subcommand_from share' -l anonymous
complete -c ftpd -n '__fish_seen_subcommand_from share' -l ip -x
complete -c ftpd -n '__fish_seen_subcommand_from share' -l port -x
complete -c ftpd -n '__fish_seen_subcommand_from share' -l for -x
complete -c ftpd -n '__fish_seen_subcommand_from share' -F
complete -c ftpd -n __fish_use_subcommand -a check -d 'check the settings and report their faults'
complete -c ftpd -n '__fish_seen_subcommand_from check' -l late-homes
complete -c ftpd -n __fish_use_subcommand -a cert -d 'show the certificate of the server'
complete -c ftpd -n __fish_use_subcommand -a passwd -d 'hash a password for the settings'
complete -c ftpd -n '__fish_seen_subcommand_from passwd' -l write
complete -c ftpd -n '__fish_seen_subcommand_from passwd' -a '(ftpd users 2>/dev/null | awk \'NR > 1 { print $1 }\')'
complete -c ftpd -n __fish_use_subcommand -a adduser -d 'add a user to the settings'
complete -c ftpd -n '__fish_seen_subcommand_from adduser' -l home -r -F
complete -c ftpd -n '__fish_seen_subcommand_from adduser' -l perm -x
complete -c ftpd -n '__fish_seen_subcommand_from adduser' -l create-home
complete -c ftpd -n __fish_use_subcommand -a deluser -d 'remove a user from the settings'
complete -c ftpd -n '__fish_seen_subcommand_from deluser' -a '(ftpd users 2>/dev/null | awk \'NR > 1 { print $1 }\')'
complete -c ftpd -n __fish_use_subcommand -a users -d 'list the users of the settings'
complete -c ftpd -n '__fish_seen_subcommand_from users' -l json
complete -c ftpd -n __fish_use_subcommand -a import -d 'convert users and settings of other FTP servers'
complete -c ftpd -n '__fish_seen_subcommand_from import' -F
complete -c ftpd -n __fish_use_subcommand -a who -d 'list the sessions of the running server'
complete -c ftpd -n '__fish_seen_subcommand_from who' -l json
complete -c ftpd -n __fish_use_subcommand -a top -d 'show the sessions of the running server, updated each second'
complete -c ftpd -n '__fish_seen_subcommand_from top' -l once
complete -c ftpd -n '__fish_seen_subcommand_from top' -l json
complete -c ftpd -n __fish_use_subcommand -a stats -d 'show the counters of the running server'
complete -c ftpd -n '__fish_seen_subcommand_from stats' -l json
complete -c ftpd -n __fish_use_subcommand -a why -d 'explain whether a user may do something'
complete -c ftpd -n '__fish_seen_subcommand_from why' -a 'read write list delete rename append enter mkdir'
complete -c ftpd -n '__fish_seen_subcommand_from why' -a '(ftpd users 2>/dev/null | awk \'NR > 1 { print $1 }\')'
complete -c ftpd -n __fish_use_subcommand -a keep -d 'list or remove what retention removes'
complete -c ftpd -n '__fish_seen_subcommand_from keep' -l dry-run
complete -c ftpd -n '__fish_seen_subcommand_from keep' -l now
complete -c ftpd -n '__fish_seen_subcommand_from keep' -l json
complete -c ftpd -n __fish_use_subcommand -a test -d 'test an FTP server from the side of a client'
complete -c ftpd -n '__fish_seen_subcommand_from test' -l read-only
complete -c ftpd -n '__fish_seen_subcommand_from test' -l active
complete -c ftpd -n '__fish_seen_subcommand_from test' -l timeout -x
complete -c ftpd -n '__fish_seen_subcommand_from test' -l password-file -r -F
complete -c ftpd -n '__fish_seen_subcommand_from test' -l json
complete -c ftpd -n __fish_use_subcommand -a doctor -d 'say why clients cannot reach the server or store files'
complete -c ftpd -n '__fish_seen_subcommand_from doctor' -l json
complete -c ftpd -n __fish_use_subcommand -a quota -d 'show what homes with a quota hold and what is left'
complete -c ftpd -n '__fish_seen_subcommand_from quota' -l rescan
complete -c ftpd -n '__fish_seen_subcommand_from quota' -l json
complete -c ftpd -n '__fish_seen_subcommand_from quota' -a '(ftpd users 2>/dev/null | awk \'NR > 1 { print $1 }\')'
complete -c ftpd -n __fish_use_subcommand -a kick -d 'end sessions of the running server'
complete -c ftpd -n '__fish_seen_subcommand_from kick' -a '(ftpd users 2>/dev/null | awk \'NR > 1 { print $1 }\')'
complete -c ftpd -n __fish_use_subcommand -a bans -d 'list the addresses that are banned'
complete -c ftpd -n '__fish_seen_subcommand_from bans' -l json
complete -c ftpd -n __fish_use_subcommand -a ban -d 'ban an address'
complete -c ftpd -n __fish_use_subcommand -a unban -d 'lift one ban, or all bans'
complete -c ftpd -n '__fish_seen_subcommand_from unban' -a 'all'
complete -c ftpd -n __fish_use_subcommand -a parts -d 'list the uploads that broke off on the running server'
complete -c ftpd -n '__fish_seen_subcommand_from parts' -l json
complete -c ftpd -n '__fish_seen_subcommand_from parts' -a 'drop'
complete -c ftpd -n '__fish_seen_subcommand_from parts' -a '(ftpd users 2>/dev/null | awk \'NR > 1 { print $1 }\')'
complete -c ftpd -n __fish_use_subcommand -a trash -d 'list, bring back or remove what a user has deleted'
complete -c ftpd -n '__fish_seen_subcommand_from trash' -l all
complete -c ftpd -n '__fish_seen_subcommand_from trash' -l json
complete -c ftpd -n '__fish_seen_subcommand_from trash' -a 'list restore empty'
complete -c ftpd -n '__fish_seen_subcommand_from trash' -a '(ftpd users 2>/dev/null | awk \'NR > 1 { print $1 }\')'
complete -c ftpd -n __fish_use_subcommand -a convert-names -d 'rename files whose names are not in UTF-8'
complete -c ftpd -n '__fish_seen_subcommand_from convert-names' -l from -x
complete -c ftpd -n '__fish_seen_subcommand_from convert-names' -l dry-run
complete -c ftpd -n '__fish_seen_subcommand_from convert-names' -l force
complete -c ftpd -n '__fish_seen_subcommand_from convert-names' -F
complete -c ftpd -n __fish_use_subcommand -a reload -d 'make the running server read its settings again'
complete -c ftpd -n __fish_use_subcommand -a stop -d 'stop the running server'
complete -c ftpd -n '__fish_seen_subcommand_from stop' -l now
complete -c ftpd -n '__fish_seen_subcommand_from stop' -l drain
complete -c ftpd -n __fish_use_subcommand -a completions -d 'print the completions of a shell'
complete -c ftpd -n '__fish_seen_subcommand_from completions' -a 'bash zsh fish'
complete -c ftpd -n __fish_use_subcommand -a help -d 'explain a subcommand, or list all of them'
complete -c ftpd -n '__fish_seen_subcommand_from help' -a 'serve share check cert passwd adduser deluser users import who top stats why keep test doctor quota kick bans ban unban parts trash convert-names reload stop completions help'
