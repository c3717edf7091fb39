//! Reads what `iptables-save` and `ip6tables-save` print (iptables-extensions(8)).

use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Action, Chain, Field, Hook, MSS, Match, Rule, Table, Tool, Value};

/// The chains that a packet to this machine passes.
const HOOKS: [(&str, &str); 2] = [("PREROUTING", "prerouting"), ("INPUT", "input")];

/// Reads the rules of one family, `ip` or `ip6`.
pub(in crate::cli::doctor) fn parse(text: &str, family: &str) -> Vec<Table> {
    let is_legacy = !text.contains("(nf_tables)");
    let mut tables: Vec<Table> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            let (family, name) = (family.to_owned(), name.trim().to_owned());
            let tool = Tool::Iptables { is_legacy };
            tables.push(Table { tool, family, name, chains: Vec::new() });
            continue;
        }
        let Some(table) = tables.last_mut() else { continue };
        if let Some(chain) = line.strip_prefix(':') {
            table.chains.extend(declared(chain));
        } else if line.starts_with("-A ") {
            let words = words(line);
            let Some(name) = words.get(1) else { continue };
            if let Some(chain) = table.chains.iter_mut().find(|chain| chain.name == *name) {
                chain.rules.push(rule(line, words.get(2..).unwrap_or_default()));
            }
        }
    }
    for table in &mut tables {
        settle(table);
    }
    tables
}

/// Returns whether a rule assigns the helper for FTP to connections.
pub(super) fn assigns_helper(text: &str) -> bool {
    text.lines().map(words).any(|words| {
        let target = words.windows(2).position(|pair| pair == ["-j", "CT"]);
        let options = target.and_then(|at| words.get(at..)).unwrap_or_default();
        let is_ftp = |name: &String| name == "ftp" || name.starts_with("ftp-");
        options.windows(2).any(|pair| match pair {
            [option, name] => option == "--helper" && is_ftp(name),
            _ => false,
        })
    })
}

/// Reads the declaration of a chain: its name and policy.
fn declared(line: &str) -> Option<Chain> {
    let mut words = line.split(' ');
    let (name, policy) = (words.next()?, words.next()?);
    let hook = HOOKS.iter().find(|(chain, _)| *chain == name).map(|(_, hook)| Hook {
        name: (*hook).to_owned(),
        devices: Vec::new(),
        policy: if policy == "DROP" { Action::Drop } else { Action::Accept },
    });
    Some(Chain { name: name.to_owned(), hook, rules: Vec::new() })
}

/// A target is a chain, or else an extension that is known or not.
fn settle(table: &mut Table) {
    let names: Vec<_> = table.chains.iter().map(|chain| chain.name.clone()).collect();
    for rule in table.chains.iter_mut().flat_map(|chain| &mut chain.rules) {
        if let Action::Jump(target) = &rule.action
            && !names.contains(target)
        {
            rule.action = extension(target);
        }
    }
}

fn extension(target: &str) -> Action {
    match target {
        "ACCEPT" => Action::Accept,
        "DROP" | "TARPIT" => Action::Drop,
        "REJECT" => Action::Reject,
        "RETURN" => Action::Return,
        "DNAT" | "REDIRECT" | "TPROXY" | "NETMAP" => Action::Redirect,
        "LOG" | "NFLOG" | "ULOG" | "MARK" | "CONNMARK" | "CT" | "NOTRACK" | "TCPMSS"
        | "SET" | "AUDIT" | "TRACE" | "CHECKSUM" | "TOS" | "DSCP" | "TTL" | "HL"
        | "CLASSIFY" | "SECMARK" | "CONNSECMARK" | "SNAT" | "MASQUERADE" | "TCPOPTSTRIP"
        | "SYNPROXY" => Action::Continue,
        _ => Action::Unknown,
    }
}

/// Splits a line into words, of which some are quoted.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), None::<String>, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if is_quoted => word.get_or_insert_default().extend(letters.next()),
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            ' ' if !is_quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// An option of a rule, with its values.
struct Opt<'w> {
    name: &'w str,
    is_negated: bool,
    values: &'w [String],
}

fn rule(text: &str, words: &[String]) -> Rule {
    let mut rule = Rule {
        matches: Vec::new(),
        action: Action::Continue,
        untracks: false,
        text: text.to_owned(),
    };
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let is_negated = word == "!";
        at += usize::from(is_negated);
        let Some(name) = words.get(at) else { break };
        at += 1;
        let rest = words.get(at..).unwrap_or_default();
        let is_option = |word: &String| word == "!" || word.starts_with("--") || short(word);
        let count = match name.as_str() {
            // text, which may look like an option
            "--comment" | "--log-prefix" | "--string" | "--name" => rest.len().min(1),
            _ => rest.iter().position(is_option).unwrap_or(rest.len()),
        };
        let values = rest.get(..count).unwrap_or_default();
        at += count;
        let first = values.first().map(String::as_str).unwrap_or_default();
        match name.as_str() {
            "-j" | "--jump" => {
                rule.action = Action::Jump(first.to_owned());
                rule.untracks = first == "NOTRACK"
                    || first == "CT" && rest.iter().any(|word| word == "--notrack");
                // what follows are options of the target
                break;
            }
            "-g" | "--goto" => rule.action = Action::Goto(first.to_owned()),
            name => rule.matches.extend(condition(&Opt { name, is_negated, values })),
        }
    }
    rule
}

/// Returns whether a word is an option of one letter.
fn short(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next() == Some('-')
        && letters.next().is_some_and(char::is_alphabetic)
        && letters.next().is_none()
}

/// Returns the condition that an option is.
fn condition(option: &Opt<'_>) -> Option<Match> {
    let Opt { name, is_negated, values } = *option;
    let first = values.first().map(String::as_str).unwrap_or_default();
    let list = || first.split(',');
    let is = |field, values| Some(Match::Field { field, is_negated, values });
    let known = |is_so: bool| Some(Match::Known(is_so != is_negated));
    match name {
        "-m" | "--match" | "-c" | "--comment" | "--limit-burst" | "--name" | "--mask"
        | "--rsource" | "--seconds" | "--hitcount" | "--reap" | "--rttl"
        | "--connlimit-mask" | "--connlimit-saddr" | "--limit-iface-in" => None,
        "-p" | "--protocol" => is(Field::Protocol, vec![protocol(first)]),
        "-i" | "--in-interface" => is(Field::Interface, vec![Value::Word(first.to_owned())]),
        "-s" | "--source" => is(Field::Source, list().map(net).collect()),
        "--src-range" | "--mac-source" => is(Field::Source, vec![Value::Unknown]),
        "-d" | "--destination" => is(Field::Destination, list().map(net).collect()),
        "--dst-range" => is(Field::Destination, vec![addresses(first)]),
        "--dport" | "--dports" | "--destination-port" | "--destination-ports" => {
            is(Field::Port, list().map(ports).collect())
        }
        "--sport" | "--sports" | "--source-port" | "--source-ports" => {
            is(Field::SourcePort, list().map(ports).collect())
        }
        "--ports" => is(Field::EitherPort, list().map(ports).collect()),
        "--ctstate" | "--state" => {
            is(Field::State, list().map(|word| Value::Word(word.to_owned())).collect())
        }
        "--helper" => Some(Match::announced_by(first, is_negated)),
        "--dst-type" => known(first == "LOCAL"),
        "--src-type" => known(matches!(first, "UNICAST")),
        "--pkt-type" => known(first == "unicast"),
        "--mss" => known(ports(first).has(MSS)),
        "--tcp-flags" => {
            let flags = values.get(1).map(String::as_str).unwrap_or_default();
            let has_syn = first == "ALL" || list().any(|flag| flag == "SYN");
            known(flags == if has_syn { "SYN" } else { "NONE" })
        }
        // nobody is above a limit with the first packet
        "--syn" | "--limit" | "--hashlimit-upto" | "--connlimit-upto" | "--set" => known(true),
        // no client sends these
        "-f" | "--fragment" | "--rt-type" | "--rt-segsleft" | "--fragid" | "--espspi"
        | "--ahspi" | "--hashlimit-above" | "--connlimit-above" | "--update" | "--rcheck"
        | "--icmp-type" | "--icmpv6-type" => known(false),
        name if name.starts_with("--hashlimit") => None,
        // the address of the client, in general
        "--match-set" if values.get(1).is_some_and(|by| by.starts_with("src")) => {
            is(Field::Source, vec![Value::Unknown])
        }
        // the reverse path to the client exists
        "--invert" => Some(Match::Known(false)),
        "--loose" | "--validmark" | "--accept-local" => None,
        "-o" | "--out-interface" => known(false),
        _ => Some(Match::Unknown),
    }
}

fn protocol(text: &str) -> Value {
    match text.parse() {
        Ok(0) => Value::Any,
        Ok(number) => Value::Range(number, number),
        Err(_) => Value::Word(text.to_owned()),
    }
}

fn net(text: &str) -> Value {
    let net = text.parse::<IpNet>().ok();
    let net = net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.map_or(Value::Unknown, Value::Net)
}

fn addresses(text: &str) -> Value {
    let pair = text.split_once('-');
    let pair = pair.and_then(|(from, to)| from.parse().ok().zip(to.parse().ok()));
    pair.map_or(Value::Unknown, |(from, to)| Value::Addresses(from, to))
}

fn ports(text: &str) -> Value {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    let bound =
        |text: &str, empty: u64| if text.is_empty() { Some(empty) } else { text.parse().ok() };
    let pair = bound(from, 0).zip(bound(to, u64::from(u16::MAX)));
    pair.map_or(Value::Unknown, |(from, to)| Value::Range(from, to))
}
