//! Checks settings that are valid on their own but may be wrong together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::apart::{resolved, why_not};
use super::draft::Draft;
use super::environment::Environment;
use super::error::{Fault, Location};
use super::settings::{Balancers, FolderRules, Listening, Server, User};
use super::tls::{CertificateSource, TlsRequired};
use super::value::{Broker, EventsTo, LogTo, Password, Url};
use crate::rights::{self, Ids};

/// Checks the settings as a whole. Adds faults to the draft and returns warnings.
pub(super) fn all(draft: &mut Draft) -> Vec<String> {
    let mut warnings = Vec::new();
    ports(draft, &mut warnings);
    mappings(draft, &mut warnings);
    balancers(draft, &mut warnings);
    readable_passwords(draft, &mut warnings);
    readable_secrets(draft, &mut warnings);
    slow_hashes(draft, &mut warnings);
    tls(draft);
    events(draft);
    atomic(draft);
    quarantines(draft);
    account(draft);
    links(draft);
    warnings
}

/// A hash that takes longer than this to check is worth a warning.
const SLOW: Duration = Duration::from_millis(500);

/// Maximum number of users that a warning names.
const NAMED: usize = 5;

fn ports(draft: &mut Draft, warnings: &mut Vec<String>) {
    let (range, port) = (draft.server.passive.ports, draft.server.listen.port);
    let max_per_ip = draft.server.clients.max_per_ip;
    let place =
        |draft: &Draft| Location::of(draft.line("passive_ports"), "server", "passive_ports");
    let read = || format!("{}-{}", range.first, range.last);
    let skipped = range.contains(port);
    let usable = range.count() - usize::from(skipped);
    if usable == 0 {
        let why = "contains only the control port, which is skipped".to_owned();
        draft.faults.push((place(draft), Fault::Value(read(), why)));
        return;
    }
    if skipped {
        let why = format!("contains the control port {port}, which is skipped");
        warnings.push(draft.printed(&(place(draft), Fault::Value(read(), why))));
    }
    if let Some(most) = max_per_ip.filter(|&most| usable < most) {
        let why = format!("has {usable} ports, fewer than max_per_ip ({most})");
        warnings.push(draft.printed(&(place(draft), Fault::Value(read(), why))));
    }
}

/// Warns if everybody is a balancer, about addresses that no connection comes from, about passive mode
/// past the balancers, and about a key for balancers that has no effect because there are none.
fn balancers(draft: &Draft, warnings: &mut Vec<String>) {
    let Balancers { from, data, .. } = &draft.server.balancers;
    let mut warn = |key, value: String, why: &str| {
        let place = Location::of(draft.line(key), "server", key);
        warnings.push(draft.printed(&(place, Fault::Value(value, why.to_owned()))));
    };
    if let Some(all) = everybody(from) {
        let why = "lets each client name any address as its own, so that bans, allow_from and max_per_ip \
                   keep nobody out; name the addresses of the balancers only";
        warn("proxy_from", all, why);
    }
    for prefix in from.iter().filter(|prefix| is_nobody(prefix)) {
        let why = "is not the address of a balancer: no connection comes from there";
        warn("proxy_from", shown(prefix), why);
    }
    if !*data || draft.is_faulty(draft.line("proxy_from")) {
        return;
    }
    if from.is_empty() {
        warn("proxy_data", "on".to_owned(), "has no effect without proxy_from");
    } else if draft.server.passive.masquerade_address.is_none()
        && !draft.is_faulty(draft.line("masquerade_address"))
    {
        let why = "needs masquerade_address, the address of the balancer: without it, PASV names that of \
                   the server, past the balancer, or is refused";
        warn("proxy_data", "on".to_owned(), why);
    }
}

/// Returns those of the prefixes that contain all addresses of IPv4 or of IPv6, as text, if there are any.
fn everybody(from: &[IpNet]) -> Option<String> {
    let is_all = |prefix: &&IpNet| prefix.prefix_len() == 0;
    if let Some(all) = from.iter().find(is_all) {
        return Some(all.to_string());
    }
    let together = IpNet::aggregate(&from.to_vec());
    let all = together.iter().find(is_all)?;
    let parts = from.iter().filter(|part| all.contains(*part)).map(shown);
    Some(parts.collect::<Vec<_>>().join(", "))
}

/// Returns whether no connection can come from these addresses.
fn is_nobody(prefix: &IpNet) -> bool {
    let address = prefix.addr();
    let is_one = prefix.prefix_len() == prefix.max_prefix_len();
    let is_multicast = match prefix {
        IpNet::V4(v4) => v4.prefix_len() >= 4 && address.is_multicast(),
        IpNet::V6(v6) => v6.prefix_len() >= 8 && address.is_multicast(),
    };
    is_one && address.is_unspecified() || is_multicast
}

/// Returns a prefix as text, and a single address without its length.
fn shown(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}

/// Number of memory mappings of a session's thread: the stack and the stack for signals, each with a
/// guard page.
const MAPPINGS: usize = 4;

/// Number of memory mappings of a server without sessions, and some to spare.
const OTHER_MAPPINGS: usize = 500;

/// Warns if the kernel allows the process fewer memory mappings than its threads may need. Without
/// room for more, no thread starts, and a thread that needs memory may abort the process.
fn mappings(draft: &Draft, warnings: &mut Vec<String>) {
    let allowed = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let allowed = allowed.and_then(|text| text.trim().parse().ok());
    let most = draft.server.clients.max;
    let Some(why) = allowed.and_then(|allowed| lack_of_mappings(most, allowed)) else { return };
    let place = Location::of(draft.line("max_cons"), "server", "max_cons");
    warnings.push(draft.printed(&(place, Fault::Value(most.to_string(), why))));
}

/// Returns what is wrong if `allowed` memory mappings do not suffice for `most` clients.
fn lack_of_mappings(most: usize, allowed: usize) -> Option<String> {
    let needed = most * MAPPINGS + OTHER_MAPPINGS;
    (needed > allowed).then(|| {
        let enough = allowed.saturating_sub(OTHER_MAPPINGS) / MAPPINGS;
        format!(
            "needs vm.max_map_count = {needed}, but it is {allowed}, enough for {enough} clients; \
             run sysctl -w vm.max_map_count={needed}"
        )
    })
}

/// Warns about clear-text passwords in files that others can read, once for each file.
fn readable_passwords(draft: &Draft, warnings: &mut Vec<String>) {
    let mut first = vec![None; draft.files.len()];
    for named in &draft.users {
        let is_open = draft.files.get(named.file).is_some_and(|(_, mode)| mode & 0o004 != 0);
        if is_open
            && matches!(named.user.password, Some(Password::Clear(_)))
            && named.user.password_file.is_none()
            && !Environment::is_variable(named.password_line)
            && let Some(seen) = first.get_mut(named.file)
        {
            let (_, count) = seen.get_or_insert((named, 0_usize));
            *count += 1;
        }
    }
    for (named, count) in first.into_iter().flatten() {
        let mut why = "is in clear text, and others can read the file; run chmod o-r on the \
            file, or use a hash made by 'ftpd passwd'"
            .to_owned();
        if count > 1 {
            let _ = write!(why, " ({count} users)");
        }
        let place = named.place(named.password_line, "password");
        warnings.push(draft.printed(&(place, Fault::Note(why))));
    }
}

/// Warns about hashes that take long to check, because they delay all logins that wait for a check.
fn slow_hashes(draft: &Draft, warnings: &mut Vec<String>) {
    let slow = draft.users.iter().filter_map(|named| match &named.user.password {
        Some(Password::Hash(hash)) => Some((named, hash.estimate())),
        Some(Password::Clear(_) | Password::Elsewhere) | None => None,
    });
    let slow: Vec<_> = slow.filter(|(_, time)| *time > SLOW).collect();
    let (Some((first, _)), Some(longest)) =
        (slow.first(), slow.iter().map(|(_, time)| *time).max())
    else {
        return;
    };
    let mut why = format!(
        "this hash takes about {:.1} s to check at each login; make a new one with \
         'ftpd passwd NAME --write'",
        longest.as_secs_f64()
    );
    if slow.len() > 1 {
        let names = slow.iter().take(NAMED).map(|(named, _)| named.name.escape_debug());
        let names: Vec<_> = names.map(|name| name.to_string()).collect();
        let more = slow.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = write!(why, " (for {} users: {}{more})", slow.len(), names.join(", "));
    }
    let place = first.place(first.password_line, "password");
    warnings.push(draft.printed(&(place, Fault::Note(why))));
}

/// Checks that there is a certificate if another key needs one.
fn tls(draft: &mut Draft) {
    let has_key = draft.server.tls.key.is_some();
    let without = match &draft.server.tls.cert {
        CertificateSource::None => draft.line("tls_cert"),
        source @ (CertificateSource::File(_) | CertificateSource::Auto) => {
            let is_auto = *source == CertificateSource::Auto;
            return tls_with_certificate(draft, is_auto);
        }
    };
    // the fault of a refused certificate has been reported already
    if draft.is_faulty(without) {
        return;
    }
    let none = TlsRequired::default();
    let asked = [
        ("tls_required", draft.rules.tls.required != none),
        ("tls_implicit_port", draft.server.listen.implicit_port != 0),
        ("tls_key", has_key),
        ("tls_client_ca", draft.server.tls.client_ca.is_some()),
    ];
    for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
        let place = Location::of(draft.line(key), "server", key);
        // a refused value has been reported already; the blank value in its place is strict
        if !draft.is_faulty(place.line) {
            draft.faults.push((place, Fault::NeedsCertificate));
        }
    }
    for named in &draft.users {
        let user = &named.user;
        let own = user.rules.tls.required != draft.rules.tls.required;
        let asked = [
            ("tls_required", own && user.rules.tls.required != none),
            ("tls_client", user.tls_client.is_some()),
        ];
        for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
            let place = named.place(named.line, key);
            draft.faults.push((place, Fault::NeedsCertificate));
        }
    }
}

/// Checks the TLS keys of a server that has a certificate.
fn tls_with_certificate(draft: &mut Draft, is_auto: bool) {
    let (key, cert) = (draft.line("tls_key"), draft.line("tls_cert"));
    match &draft.server.tls.key {
        Some(file) if is_auto => {
            let read = file.strip_prefix(&draft.folder).unwrap_or(file);
            let why = "has no effect with tls_cert = auto, which makes its own key";
            let fault = Fault::Value(read.display().to_string(), why.to_owned());
            draft.faults.push((Location::of(key, "server", "tls_key"), fault));
        }
        None if !is_auto && !draft.is_faulty(key) => {
            let place = Location::of(key.max(cert), "server", "tls_key");
            draft.faults.push((place, Fault::Missing));
        }
        Some(_) | None => {}
    }
    let Listening { port, implicit_port: implicit, .. } = draft.server.listen;
    if implicit != 0 && implicit == port {
        let place =
            Location::of(draft.line("tls_implicit_port"), "server", "tls_implicit_port");
        let why = "is the control port, on which TLS begins only after AUTH".to_owned();
        draft.faults.push((place, Fault::Value(implicit.to_string(), why)));
    }
    let has_authority = draft.server.tls.client_ca.is_some();
    if has_authority || draft.is_faulty(draft.line("tls_client_ca")) {
        return;
    }
    for named in &draft.users {
        if let Some(client) = &named.user.tls_client {
            let place = named.place(named.line, "tls_client");
            let why = "needs a tls_client_ca in [server]".to_owned();
            draft.faults.push((place, Fault::Value(client.clone(), why)));
        }
    }
}

/// Reports keys that need `atomic_uploads = on` where it is off. Uploads then write to the file
/// itself, so that its old version cannot be kept in the trash, and the upload cannot be judged
/// before it is in place.
fn atomic(draft: &mut Draft) {
    needs_atomic(draft, "trash", |rules| rules.trash);
    needs_atomic(draft, "before_publish", |rules| rules.gate.program.is_some());
    needs_atomic(draft, "scan", |rules| rules.gate.scan.is_some());
}

/// Reports users with this key whose uploads are not atomic.
fn needs_atomic(draft: &mut Draft, key: &str, has_key: fn(&FolderRules) -> bool) {
    let needs = |line: usize, file: usize, section: &str| {
        let place = draft.spot(file, line, section, "atomic_uploads");
        Fault::Value("on".to_owned(), format!("needs atomic_uploads = on, but {place} is off"))
    };
    let (has, atomic) = (has_key(&draft.rules.folder), draft.rules.uploads.atomic);
    let line = draft.line("atomic_uploads");
    let mut faults = Vec::new();
    // a refused value has been reported already
    if draft.is_faulty(draft.line(key)) || draft.is_faulty(line) {
        return;
    }
    let is_general = has && !atomic;
    if is_general {
        let place = Location::of(draft.line(key), "server", key);
        faults.push((place, needs(line, 0, "server")));
    }
    for named in &draft.users {
        let user = &named.user;
        let rules = &user.rules;
        let has_any = user.any_rules(has_key);
        if rules.uploads.atomic || !has_any || is_general && has_key(&rules.folder) {
            continue;
        }
        let own = has_key(&rules.folder) && !has;
        let folder = user.folders.iter().find(|folder| has_key(&folder.rules));
        let place = match folder {
            _ if own => named.place(named.line, key),
            Some(folder) if !has_key(&rules.folder) => {
                let section = format!("folder:{}", folder.path);
                Location { file: named.file, ..Location::of(0, &section, key) }
            }
            _ => Location::of(draft.line(key), "server", key),
        };
        let fault = if atomic {
            needs(named.line, named.file, &named.section())
        } else {
            needs(line, 0, "server")
        };
        faults.push((place, fault));
    }
    draft.faults.extend(faults);
}

/// Reports directories for refused uploads where clients would see them, or that have another purpose.
fn quarantines(draft: &mut Draft) {
    let general = draft.rules.folder.gate.quarantine.as_ref();
    let mut folders: BTreeMap<&PathBuf, Location> = BTreeMap::new();
    if let Some(folder) = general {
        let place = Location::of(draft.line("quarantine"), "server", "quarantine");
        folders.insert(folder, place);
    }
    for named in &draft.users {
        for folder in named.user.gates().filter_map(|gate| gate.quarantine.as_ref()) {
            folders.entry(folder).or_insert_with(|| named.place(named.line, "quarantine"));
        }
    }
    if folders.is_empty() {
        return;
    }
    let of_user = |user: &User| {
        let mounts = user.mounts().map(|(_, from)| from.clone());
        std::iter::once(user.home.clone()).chain(mounts).collect::<Vec<_>>()
    };
    let homes = draft.server.elsewhere.homes.clone();
    let seen: BTreeSet<PathBuf> =
        draft.users.iter().flat_map(|named| of_user(&named.user)).chain(homes).collect();
    let state_dir = draft.server.storage.state_dir.as_deref();
    let fault = |(folder, place): (&PathBuf, Location)| {
        let homes = seen.iter().map(PathBuf::as_path);
        let why = why_not(&resolved(folder), homes, state_dir)?;
        Some((place, Fault::Value(folder.display().to_string(), why)))
    };
    let faults: Vec<_> = folders.into_iter().filter_map(fault).collect();
    draft.faults.extend(faults);
}

/// Looks up the system user that the server switches to.
fn account(draft: &mut Draft) {
    let Some(name) = draft.server.process.user_name.clone() else {
        if draft.server.process.group.is_some() {
            let why = "has no effect without the key 'user'".to_owned();
            let place = Location::of(draft.line("group"), "server", "group");
            let text = draft.texts.get("group").cloned().unwrap_or_default();
            draft.faults.push((place, Fault::Value(text, why)));
        }
        return;
    };
    let place = Location::of(draft.line("user"), "server", "user");
    // a refused group has been reported already, so any group will do here
    let some = draft.is_faulty(draft.line("group")).then_some(0);
    match Ids::of(&name, draft.server.process.group.or(some)) {
        Ok(ids) => {
            let place = draft.spot(0, place.line, "server", "user");
            draft.server.process.user = Some(Ids { place, ..ids });
        }
        Err(why) => draft.faults.push((place, Fault::Value(name, why))),
    }
}

/// Checks the keys about events together.
fn events(draft: &mut Draft) {
    let Server { events, storage, .. } = &draft.server;
    let is_mqtt = matches!(events.to, Some(EventsTo::Mqtt(_)));
    let unkept = (events.to.is_some() && storage.state_dir.is_none())
        .then_some(("events", Fault::Secret("needs a state_dir")));
    let unsigned = (is_mqtt && events.secret.is_some()).then_some((
        "events_secret",
        Fault::Secret("signs POSTs alone, and events is no http URL"),
    ));
    let faults = [unkept, unsigned].into_iter().flatten();
    let faults: Vec<_> = faults
        .map(|(key, fault)| (Location::of(draft.line(key), "server", key), fault))
        .collect();
    draft.faults.extend(faults);
}

/// Warns about secrets of events, and queries of URLs, in a file that others can read.
fn readable_secrets(draft: &Draft, warnings: &mut Vec<String>) {
    let Server { events, elsewhere, .. } = &draft.server;
    let has_login = match &events.to {
        Some(EventsTo::Mqtt(Broker { user, .. })) => {
            user.as_ref().is_some_and(|(_, password)| password.is_some())
        }
        Some(EventsTo::Http(url)) => url.has_query(),
        None => false,
    };
    let has_query = elsewhere.url.as_ref().is_some_and(Url::has_query);
    let is_open = draft.files.first().is_some_and(|(_, mode)| mode & 0o004 != 0);
    let secrets = [
        ("auth_url", has_query),
        ("events", has_login),
        ("events_secret", events.secret.is_some()),
    ];
    for (key, _) in secrets.into_iter().filter(|(_, is_set)| is_open && *is_set) {
        let line = draft.line(key);
        if !Environment::is_variable(line) {
            let why =
                "contains a secret, and others can read the file; run chmod o-r on the file";
            let place = Location::of(line, "server", key);
            warnings.push(draft.printed(&(place, Fault::Note(why.to_owned()))));
        }
    }
}

/// Checks the server's own files for links that others could have planted. A server that runs as root
/// does not follow them; this check reports them before the files are needed.
fn links(draft: &mut Draft) {
    let server = &draft.server;
    let user = server.process.user.as_ref();
    if !rights::starts_as_root(user) {
        return;
    }
    let log_file = match &server.log.to {
        LogTo::File(file) => Some(file),
        LogTo::Stderr | LogTo::Syslog(_) => None,
    };
    let certificate = match &server.tls.cert {
        CertificateSource::File(file) => Some(file),
        CertificateSource::Auto | CertificateSource::None => None,
    };
    let is_auto = server.tls.cert == CertificateSource::Auto;
    let paths = [
        ("log_file", log_file.filter(|_| server.log.enabled)),
        ("transfer_log", server.log.transfers.as_ref()),
        ("state_dir", server.storage.state_dir.as_ref()),
        ("admin_socket", server.admin.socket.as_ref()),
        ("users_file", server.storage.users_file.as_ref()),
        ("tls_dir", server.tls.dir.as_ref().filter(|_| is_auto)),
        ("tls_cert", certificate),
        ("tls_key", server.tls.key.as_ref()),
        ("tls_client_ca", server.tls.client_ca.as_ref()),
    ];
    let refused = |(key, path): (&'static str, Option<&PathBuf>)| {
        let why = rights::may_follow(path?, user).err()?;
        let text = draft.texts.get(key).cloned().unwrap_or_default();
        Some((Location::of(draft.line(key), "server", key), Fault::Value(text, why)))
    };
    let faults: Vec<_> = paths.into_iter().filter_map(refused).collect();
    // a file that was refused for another reason has been reported already
    let faults = faults.into_iter().filter(|(place, _)| !draft.is_faulty(place.line));
    let faults: Vec<_> = faults.collect();
    draft.faults.extend(faults);
}

#[cfg(test)]
mod tests {
    use super::lack_of_mappings;

    #[test]
    fn as_many_clients_as_there_are_mappings_for_are_good() {
        assert_eq!(lack_of_mappings(16_257, 65_530), None);
        let why = lack_of_mappings(16_258, 65_530).unwrap();
        let wanted =
            "needs vm.max_map_count = 65532, but it is 65530, enough for 16257 clients";
        assert!(why.starts_with(wanted), "{why}");
        assert!(lack_of_mappings(1, 100).unwrap().contains("enough for 0 clients"));
    }
}
