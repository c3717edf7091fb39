//! What to do about a finding: the setting of each server that has one.

use std::net::IpAddr;

use super::facts::Program;

/// A problem whose cure is a setting of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// PASV must name this address.
    Masquerade(IpAddr),
    /// PASV names the public address to clients in the same network, too.
    Hairpin,
    /// The range of passive ports must be fixed, so that a firewall can open it.
    Range,
    /// There are too few passive ports.
    MorePorts,
    /// Active mode is switched off, or cannot leave the server.
    Active,
    /// PASV or EPSV is switched off.
    PassiveOff,
    /// TLS is not offered.
    OfferTls,
    /// The certificate or its chain.
    Certificate,
    /// The server must keep the sessions of TLS.
    KeepSessions,
    /// Clients that do not resume the session are refused.
    ResumeRequired,
    /// Uploads are refused.
    Upload,
    /// There is no room for the file.
    Room,
    /// The name of the file is refused.
    Name,
    /// REST with STOR is refused.
    Restart,
    /// Removing is refused.
    Delete,
    /// The greeting or the login takes long.
    Lookups,
}

/// The setting of each server; empty: it has none.
struct Settings {
    ftpd: String,
    vsftpd: String,
    pure_ftpd: String,
    proftpd: String,
    pyftpdlib: String,
}

fn settings(
    ftpd: &str,
    vsftpd: &str,
    pure_ftpd: &str,
    proftpd: &str,
    pyftpdlib: &str,
) -> Settings {
    let [ftpd, vsftpd, pure_ftpd, proftpd, pyftpdlib] =
        [ftpd, vsftpd, pure_ftpd, proftpd, pyftpdlib].map(str::to_owned);
    Settings { ftpd, vsftpd, pure_ftpd, proftpd, pyftpdlib }
}

/// Returns the setting of this server, or of each server if it is not known which one this is.
pub(super) fn cures(program: Program, problem: Problem) -> Vec<String> {
    let of = table(problem);
    let rows = [
        (Program::Ftpd, "ftpd", of.ftpd),
        (Program::Vsftpd, "vsftpd", of.vsftpd),
        (Program::PureFtpd, "Pure-FTPd", of.pure_ftpd),
        (Program::ProFtpd, "ProFTPD", of.proftpd),
        (Program::Pyftpdlib, "pyftpdlib", of.pyftpdlib),
    ];
    let wanted = |row: Program| program == Program::Unknown || program == row;
    let rows = rows.into_iter().filter(|(row, _, text)| wanted(*row) && !text.is_empty());
    rows.map(|(_, name, text)| format!("{name}: {text}")).collect()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn table(problem: Problem) -> Settings {
    match problem {
        Problem::Masquerade(ip) => Settings {
            ftpd: format!("masquerade_address = {ip}"),
            vsftpd: format!("pasv_address={ip}"),
            pure_ftpd: format!("ForcePassiveIP {ip} (option -P)"),
            proftpd: format!("MasqueradeAddress {ip}"),
            pyftpdlib: format!("handler.masquerade_address = '{ip}'"),
        },
        Problem::Hairpin => settings(
            "masquerade_except = local",
            "a second instance for the local network, without pasv_address",
            "a second instance for the local network, without ForcePassiveIP",
            "MasqueradeAddress only in the VirtualHost of the public address",
            "handler.masquerade_address_map",
        ),
        Problem::Range => settings(
            "passive_ports = 50000-50200",
            "pasv_min_port=50000 and pasv_max_port=50200",
            "PassivePortRange 50000 50200 (option -p 50000:50200)",
            "PassivePorts 50000 50200",
            "handler.passive_ports = range(50000, 50201)",
        ),
        Problem::MorePorts => settings(
            "a wider passive_ports, at least as many as max_cons",
            "a wider range from pasv_min_port to pasv_max_port",
            "a wider PassivePortRange (option -p)",
            "wider PassivePorts",
            "a wider handler.passive_ports",
        ),
        Problem::Active => settings(
            "active_port = 0, if connections from port 20 do not pass the firewall",
            "port_enable=YES; connect_from_port_20=NO",
            "",
            "no <Limit PORT EPRT>; RootRevoke off for connections from port 20",
            "handler.active_dtp must not be None",
        ),
        Problem::PassiveOff => settings(
            "",
            "pasv_enable=YES",
            "NATmode no (option -N must not be set)",
            "no <Limit PASV EPSV>",
            "handler.passive_dtp must not be None",
        ),
        Problem::OfferTls => settings(
            "tls_cert = auto, or the certificate's file",
            "ssl_enable=YES, rsa_cert_file=... and rsa_private_key_file=...",
            "TLS 1 and CertFile ... (option -Y 1)",
            "TLSEngine on, TLSRSACertificateFile ... and TLSRSACertificateKeyFile ... (mod_tls)",
            "TLS_FTPHandler with certfile",
        ),
        Problem::Certificate => settings(
            "tls_cert and tls_key; tls_cert holds the certificate and then its chain (fullchain.pem)",
            "rsa_cert_file and rsa_private_key_file (fullchain.pem and privkey.pem)",
            "CertFile: key, certificate and chain in one file",
            "TLSRSACertificateFile, and the chain in TLSCertificateChainFile",
            "handler.certfile (fullchain.pem) and handler.keyfile",
        ),
        Problem::KeepSessions => settings(
            "tls_resume = prefer or require",
            "",
            "",
            "TLSSessionCache shm:/run/proftpd/sess_cache (mod_tls_shmcache), or TLSSessionTickets on",
            "",
        ),
        Problem::ResumeRequired => settings(
            "tls_resume = prefer",
            "require_ssl_reuse=NO",
            "",
            "TLSOptions NoSessionReuseRequired",
            "",
        ),
        Problem::Upload => settings(
            "perm needs w; 'ftpd why USER PATH write' says what else forbids it",
            "write_enable=YES; anon_upload_enable=YES for anonymous users",
            "anonymous uploads need AnonymousCantUpload no; the directory must be writable",
            "no <Limit STOR>; the directory must be writable",
            "perm needs w",
        ),
        Problem::Room => settings(
            "quota_bytes, quota_files and max_file_size; 'ftpd quota' shows what is left",
            "",
            "Quota (option -n) and MaxDiskUsage (option -k)",
            "mod_quotatab; MaxStoreFileSize",
            "",
        ),
        Problem::Name => settings(
            "deny_names, allow_names, overwrite and store_as of the folder; 'ftpd why USER PATH write' says which",
            "the directory must be writable; deny_file",
            "the directory must be writable; ProhibitDotFilesWrite no (option -x)",
            "PathAllowFilter and PathDenyFilter; AllowOverwrite on",
            "",
        ),
        Problem::Restart => settings(
            "perm needs a (APPE) as well as w",
            "write_enable=YES",
            "AutoRename no (option -r must not be set)",
            "AllowStoreRestart on and AllowOverwrite on",
            "perm needs a as well as w",
        ),
        Problem::Delete => settings(
            "perm needs d",
            "anon_other_write_enable=YES for anonymous users",
            "KeepAllFiles no (option -K)",
            "no <Limit DELE>",
            "perm needs d",
        ),
        Problem::Lookups => settings(
            "",
            "reverse_lookup_enable=NO",
            "DontResolve yes (option -H)",
            "UseReverseDNS off and IdentLookups off",
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_server_gets_its_own_setting_only() {
        let problem = Problem::Masquerade("203.0.113.7".parse().unwrap());
        assert_eq!(cures(Program::Vsftpd, problem), ["vsftpd: pasv_address=203.0.113.7"]);
        let all = cures(Program::Unknown, problem);
        assert_eq!(all.len(), 5);
        assert_eq!(all[0], "ftpd: masquerade_address = 203.0.113.7");
        assert!(cures(Program::PureFtpd, Problem::ResumeRequired).is_empty());
    }
}
