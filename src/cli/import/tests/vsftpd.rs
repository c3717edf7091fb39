//! Tests of importing `vsftpd.conf`.

use super::{has, imported, lines};

#[test]
fn a_vsftpd_conf_is_taken_over_where_it_has_an_equal() {
    let (text, faults) = imported(
        "listen=YES\nlisten_port=2100\nlisten_address=192.0.2.1\nftpd_banner=Hello; world\n\
         max_clients=50\nmax_per_ip=5\nidle_session_timeout=600\ndata_connection_timeout=120\n\
         local_enable=YES\nwrite_enable=YES\nlocal_umask=027\nlocal_max_rate=300000\n\
         pasv_min_port=40000\npasv_max_port=40100\npasv_address=ftp.example.org\n\
         connect_from_port_20=YES\nmax_login_fails=5\nxferlog_enable=YES\nxferlog_std_format=YES\n\
         xferlog_file=/var/log/xfer\npam_service_name=vsftpd\nlocal_root=/srv/ftp\n\
         anonymous_enable=NO\nuserlist_enable=YES\n",
    );
    assert_eq!(faults, []);
    for line in [
        "port = 2100",
        "ip = 192.0.2.1",
        "welcome_msg = Hello; world",
        "max_cons = 50",
        "max_per_ip = 5",
        "idle_timeout = 600",
        "data_timeout = 120",
        "umask = 027",
        "user = nobody",
        "max_upload = 300000",
        "max_download = 300000",
        "passive_ports = 40000-40100",
        "masquerade_address = ftp.example.org",
        "active_port = 20",
        "max_login_attempts = 5",
        "transfer_log = /var/log/xfer",
        "; no equivalent: pam_service_name=vsftpd",
        "; no equivalent: userlist_enable=YES",
        "perm = elradfmwMT",
        "home = /srv/ftp",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("[anonymous]"), "{text}");
}

#[test]
fn vsftpd_protection_is_never_less_than_it_was() {
    let (text, _) = imported(
        "ssl_enable=YES\nrsa_cert_file=/c.pem\nrsa_private_key_file=/k.pem\nlisten_port=990\n\
         implicit_ssl=YES\nlocal_enable=YES\n",
    );
    for line in [
        "tls_cert = /c.pem",
        "tls_key = /k.pem",
        "tls_required = on",
        "tls_resume = require",
        "tls_implicit_port = 990",
        "umask = 077",
        "perm = elr",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let (text, _) = imported(
        "ssl_enable=YES\nrsa_cert_file=/c.pem\nforce_local_logins_ssl=NO\nrequire_ssl_reuse=NO\n",
    );
    assert!(text.contains("tls_required = data\ntls_resume = prefer\n"), "{text}");
    let (text, _) = imported("anonymous_enable=YES\nanon_upload_enable=YES\nlocal_enable=NO\n");
    assert!(text.contains("\n[anonymous]\n") && has(&text, "perm = elr"), "{text}");
    let (text, _) = imported(
        "anonymous_enable=YES\nwrite_enable=YES\nanon_upload_enable=YES\nanon_root=/pub\n\
         anon_mkdir_write_enable=YES\nlocal_enable=NO\n",
    );
    for line in [
        "home = /pub",
        "perm = elrmw",
        "umask = 077",
        "world_readable_only = on",
        "overwrite = no",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    let (text, _) = imported(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_address6=::\nanonymous_enable=YES\n\
         write_enable=YES\nanon_upload_enable=YES\ndownload_enable=NO\ndirlist_enable=NO\n",
    );
    assert!(has(&text, "ip = 127.0.0.1") && has(&text, "perm = ew"), "{text}");
    let (text, faults) =
        imported("anonymous_enable=YES\nsecure_email_list_enable=YES\ntcp_wrappers=YES\n");
    assert!(!has(&text, "[anonymous]") && has(&text, ";[anonymous]"), "{text}");
    assert_eq!(lines(&faults), [2, 3], "{faults:?}");
    let (text, _) = imported("listen=YES\nlocal_enable=YES\n");
    assert!(!text.contains("[anonymous]") && text.contains("; anonymous_enable is"));
}

#[test]
fn what_vsftpd_refuses_anonymous_users_is_not_open_to_them() {
    // each of these may restrict them, and has no equivalent here
    for (conf, wanted) in [
        ("userlist_enable=YES\nuserlist_deny=NO\n", &[2, 3][..]),
        ("userlist_enable=YES\n", &[2]),
        ("userlist_enable=YES\nuserlist_deny=YES\n", &[2]),
        ("deny_email_enable=YES\n", &[2]),
        ("cmds_allowed=USER,PASS\n", &[2]),
        ("cmds_denied=DELE\n", &[2]),
        ("deny_file={*.mp3}\n", &[2]),
        ("hide_file={secret*}\n", &[2]),
        ("hide_ids=YES\n", &[2]),
        ("pasv_enable=NO\n", &[2]),
        ("port_enable=NO\n", &[2]),
        ("user_config_dir=/etc/vsftpd.d\n", &[2]),
        ("ssl_enable=YES\nrequire_cert=YES\n", &[3]),
        ("download_enable=maybe\n", &[2]),
        ("anon_umask=x\n", &[2]),
        ("no_such_key=YES\n", &[2]),
        ("anon_root=pub\n", &[2]),
    ] {
        let (text, faults) = imported(&format!("anonymous_enable=YES\n{conf}"));
        assert_eq!(lines(&faults), wanted, "{conf}{faults:?}");
        assert!(!has(&text, "[anonymous]") && has(&text, ";[anonymous]"), "{text}");
    }
    // these restrict nobody
    for conf in [
        "userlist_enable=NO\nuserlist_deny=NO\n",
        "pasv_enable=YES\nport_enable=YES\n",
        "ssl_enable=YES\nrequire_cert=YES\nca_certs_file=/ca.pem\n",
        "banner_file=/etc/banner\naccept_timeout=60\ncheck_shell=NO\n",
    ] {
        let (text, faults) = imported(&format!("anonymous_enable=YES\n{conf}"));
        assert!(faults.is_empty() && has(&text, "[anonymous]"), "{faults:?}\n{text}");
    }
}

#[test]
fn what_vsftpd_keeps_its_strangers_to_has_an_equal() {
    let anonymous = |conf: &str| {
        let (text, faults) = imported(&format!("anonymous_enable=YES\n{conf}"));
        assert_eq!(faults, []);
        text[text.find("[anonymous]").unwrap()..].to_owned()
    };
    let text = anonymous("anon_max_rate=5000\nlocal_max_rate=9000\n");
    assert!(has(&text, "max_upload = 5000") && has(&text, "max_download = 5000"), "{text}");
    // each of these settings removes bits
    for (conf, umask) in [
        ("", "077"),
        ("anon_umask=022\n", "022"),
        ("anon_umask=022\nfile_open_mode=0640\n", "026"),
        ("anon_umask=022\nchown_uploads=YES\n", "066"),
        ("anon_umask=022\nchown_uploads=YES\nchown_upload_mode=0644\n", "022"),
    ] {
        let text = anonymous(conf);
        assert!(has(&text, &format!("umask = {umask}")), "{conf}{text}");
    }
    let other = "write_enable=YES\nanon_upload_enable=YES\nanon_other_write_enable=YES\n\
        anon_world_readable_only=NO\n";
    let text = anonymous(other);
    assert!(has(&text, "perm = elrdfw") && !text.contains("_only"), "{text}");
    assert!(!text.contains("overwrite"), "{text}");
    // vsftpd gives these uploads to another user, so anonymous users may not change them
    let text = anonymous(&format!("{other}chown_uploads=YES\n"));
    assert!(has(&text, "perm = elrw") && has(&text, "world_readable_only = on"), "{text}");
    assert!(has(&text, "overwrite = no"), "{text}");
    for (conf, wanted) in [
        ("ssl_enable=YES\n", "off"),
        ("ssl_enable=YES\nforce_anon_logins_ssl=YES\n", "control"),
        ("ssl_enable=YES\nforce_anon_data_ssl=YES\n", "data"),
        ("ssl_enable=YES\nimplicit_ssl=YES\nforce_anon_data_ssl=YES\n", "on"),
    ] {
        assert!(has(&anonymous(conf), &format!("tls_required = {wanted}")), "{conf}");
    }
}

#[test]
fn what_vsftpd_says_of_files_logs_and_its_own_tls_port_has_an_equal() {
    let (text, faults) = imported(
        "local_enable=YES\nlocal_umask=022\nfile_open_mode=0600\nsyslog_enable=YES\n\
         vsftpd_log_file=/var/log/x\nlog_ftp_protocol=YES\ndirmessage_enable=YES\n\
         delete_failed_uploads=YES\nuse_localtime=YES\n",
    );
    assert_eq!(faults, []);
    for line in [
        "umask = 066",
        "log_file = syslog",
        "log_level = debug",
        "folder_message = on",
        "list_time = local",
        "keep_parts = 0",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    // on a port for implicit TLS, vsftpd accepts no clear text
    let (text, _) = imported(
        "ssl_enable=YES\nimplicit_ssl=YES\nforce_local_logins_ssl=NO\n\
         force_local_data_ssl=NO\nvalidate_cert=YES\nca_certs_file=/ca.pem\nssl_tlsv1_2=NO\n",
    );
    for line in [
        "tls_implicit_port = 21",
        "port = 2121",
        "tls_required = control",
        "tls_client_ca = /ca.pem",
        "tls_client_cert = optional",
        "tls_min_version = 1.3",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
}

#[test]
fn guests_have_the_rights_that_vsftpd_gives_them() {
    let conf = "local_enable=YES\nguest_enable=YES\nwrite_enable=YES\n\
        user_sub_token=%u\nlocal_root=/srv/jail/%u\n";
    let (text, faults) = imported(conf);
    assert_eq!(faults, []);
    for line in [
        "home = /srv/jail/{user}",
        "perm = elr",
        "umask = 077",
        "world_readable_only = on",
        "overwrite = no",
        "enabled = off",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    let (text, _) = imported(&format!("{conf}virtual_use_local_privs=YES\n"));
    assert!(has(&text, "perm = elradfmwMT") && !text.contains("overwrite"), "{text}");
    // a token that is not set is not replaced by the name of the user
    for conf in ["local_root=/srv/$USER\n", "local_root=srv\n", "local_root=/srv/{user}\n"] {
        let (text, faults) = imported(&format!("local_enable=YES\n{conf}"));
        assert_eq!(lines(&faults), [2], "{conf}");
        assert!(has(&text, ";[template:local]"), "{text}");
    }
    let (text, _) = imported("local_enable=YES\nlocal_root=/srv/$USER\nuser_sub_token=$USER\n");
    assert!(has(&text, "home = /srv/{user}"), "{text}");
}

#[test]
fn root_is_given_up_for_whom_vsftpd_names() {
    for (conf, user, wanted) in [
        ("local_enable=YES\n", "nobody", &[][..]),
        ("local_enable=YES\nnopriv_user=daemon\n", "daemon", &[]),
        (
            "anonymous_enable=YES\nanon_root=/\nftp_username=daemon\nnopriv_user=bin\n",
            "daemon",
            &[],
        ),
        ("anonymous_enable=YES\nanon_root=/\nftp_username=no-such-user\n", "nobody", &[3]),
        ("local_enable=YES\nnopriv_user=root\n", "nobody", &[2]),
    ] {
        let (text, faults) = imported(conf);
        assert_eq!(lines(&faults), wanted, "{conf}{faults:?}");
        assert!(has(&text, &format!("user = {user}")), "{text}");
    }
    let (text, _) = imported("local_enable=YES\nrun_as_launching_user=YES\n");
    assert!(!text.contains("\nuser = "), "{text}");
}

#[test]
fn odd_lines_of_a_vsftpd_conf_are_reported() {
    let (_, faults) = imported(
        "listen=YES\nlocal_umask = 022\nanonymous_enable=maybe\nlisten_port=x\nnonsense\n\
         max_per_ip=-1\nlocal_umask=99999\nidle_session_timeout=\npasv_min_port=40000\n\
         pasv_max_port=1\n",
    );
    let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 9], "{faults:?}");
}
