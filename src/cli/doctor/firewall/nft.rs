//! Reads what `nft -j list ruleset` prints (libnftables-json(5)).

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value as Json;

use super::model::{Action, Chain, Field, Hook, MSS, Match, Rule, Table, Tool, Value};

/// The bits of a TCP header that begin a connection: SYN alone.
const SYN: u64 = 2;

/// Reads the rules. Returns `None` if this is not what `nft` prints.
pub(in crate::cli::doctor) fn parse(text: &str) -> Option<Vec<Table>> {
    let all: Json = serde_json::from_str(text).ok()?;
    let all = all.get("nftables")?.as_array()?;
    let of = |kind: &'static str| all.iter().filter_map(move |one| one.get(kind));
    let mut tables: Vec<_> = of("table").filter_map(table).collect();
    for chain in of("chain") {
        let Some(table) = find(&mut tables, chain) else { continue };
        let Some(name) = text_of(chain, "name") else { continue };
        table.chains.push(Chain { name: name.to_owned(), hook: hook(chain), rules: vec![] });
    }
    let sets: Vec<_> = of("set").chain(of("map")).collect();
    for rule in of("rule") {
        let Some(table) = find(&mut tables, rule) else { continue };
        let reader = Reader { sets: &sets, family: &table.family, table: &table.name };
        let rules = reader.rules(rule);
        let chain = text_of(rule, "chain");
        let chain = table.chains.iter_mut().find(|one| Some(one.name.as_str()) == chain);
        if let Some(chain) = chain {
            let at = chain.rules.last().map_or(1, |last| number_of(&last.text) + 1);
            let handle = rule.get("handle").and_then(Json::as_u64).unwrap_or_default();
            let named = |rule| Rule { text: format!("rule {at} (handle {handle})"), ..rule };
            chain.rules.extend(rules.into_iter().map(named));
        }
    }
    Some(tables)
}

/// Returns whether a rule assigns the helper for FTP to connections. That one is declared, or that a
/// rule matches its connections, assigns nothing.
pub(super) fn assigns_helper(text: &str) -> bool {
    let Ok(all) = serde_json::from_str::<Json>(text) else { return false };
    let all = all.get("nftables").map(many).unwrap_or_default();
    let rules = all.iter().filter_map(|one| one.get("rule")?.get("expr"));
    let is_assigning = |statement: &Json| {
        let key = statement.get("mangle").and_then(|mangle| mangle.get("key"));
        let key = key.and_then(|key| text_of(key.get("ct")?, "key"));
        statement.get("ct helper").is_some() || key == Some("helper")
    };
    rules.flat_map(many).any(|statement| is_assigning(&statement))
}

/// Returns the number in the text of a rule.
fn number_of(text: &str) -> usize {
    text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn text_of<'j>(json: &'j Json, key: &str) -> Option<&'j str> {
    json.get(key)?.as_str()
}

fn table(json: &Json) -> Option<Table> {
    let flags = json.get("flags").map(many).unwrap_or_default();
    let (family, name) = (text_of(json, "family")?, text_of(json, "name")?);
    // the kernel takes the chains of such a table from their hooks; nft 1.0.6 prints the name of the
    // table instead of the flag
    let is_dormant = |flag: &Json| flag.as_str().is_some_and(|f| f == "dormant" || f == name);
    if flags.iter().any(is_dormant) {
        return None;
    }
    let (family, name) = (family.to_owned(), name.to_owned());
    Some(Table { tool: Tool::Nft, family, name, chains: Vec::new() })
}

/// Finds the table to which a chain or rule belongs.
fn find<'t>(tables: &'t mut [Table], json: &Json) -> Option<&'t mut Table> {
    let (family, name) = (text_of(json, "family")?, text_of(json, "table")?);
    tables.iter_mut().find(|table| table.family == family && table.name == name)
}

fn hook(chain: &Json) -> Option<Hook> {
    let name = text_of(chain, "hook")?.to_owned();
    let policy =
        if text_of(chain, "policy") == Some("drop") { Action::Drop } else { Action::Accept };
    let devices = chain.get("dev").map(many).unwrap_or_default();
    let devices = devices.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    Some(Hook { name, devices, policy })
}

/// Reads the rules of one table.
struct Reader<'a> {
    sets: &'a [&'a Json],
    family: &'a str,
    table: &'a str,
}

impl Reader<'_> {
    /// Reads a rule. One with a map of verdicts becomes one rule for each verdict.
    fn rules(&self, rule: &Json) -> Vec<Rule> {
        let mut matches = Vec::new();
        let mut alternatives: Vec<(Vec<Match>, Option<Action>)> = vec![(vec![], None)];
        let (mut action, mut untracks) = (Action::Continue, false);
        for statement in rule.get("expr").and_then(Json::as_array).into_iter().flatten() {
            let Some((name, body)) = statement.as_object().and_then(|one| one.iter().next())
            else {
                matches.push(Match::Unknown);
                continue;
            };
            match name.as_str() {
                "match" => match self.alternatives(body) {
                    Some(rows) => alternatives = crossed(&alternatives, &rows),
                    None => matches.extend(self.matches(body)),
                },
                "vmap" => alternatives = crossed(&alternatives, &self.verdicts(body)),
                "dnat" | "redirect" => {
                    action = Action::Redirect;
                    for map in
                        ["addr", "port"].iter().filter_map(|key| body.get(key)?.get("map"))
                    {
                        alternatives = crossed(&alternatives, &self.keys(map));
                    }
                }
                "notrack" => untracks = true,
                name => match statement_of(name, body) {
                    Statement::Match(one) => matches.push(one),
                    Statement::Action(ends) => action = ends,
                    Statement::Nothing => {}
                },
            }
        }
        let rule = |(more, own): (Vec<Match>, Option<Action>)| Rule {
            matches: matches.iter().cloned().chain(more).collect(),
            action: own.unwrap_or_else(|| action.clone()),
            untracks,
            text: String::new(),
        };
        alternatives.into_iter().map(rule).collect()
    }

    /// Reads a match of several fields at once, which are looked up in a set of tuples.
    fn alternatives(&self, body: &Json) -> Option<Vec<(Vec<Match>, Option<Action>)>> {
        let left = body.get("left")?;
        left.get("concat")?;
        if text_of(body, "op") == Some("!=") {
            return Some(vec![(vec![Match::Unknown], None)]);
        }
        let rows = self.elements(body.get("right")?)?;
        Some(rows.iter().map(|row| (self.row(left, row), None)).collect())
    }

    /// Reads a map of verdicts.
    fn verdicts(&self, body: &Json) -> Vec<(Vec<Match>, Option<Action>)> {
        let unknown = || vec![(vec![Match::Unknown], Some(Action::Unknown))];
        let (Some(key), Some(data)) = (body.get("key"), body.get("data")) else {
            return unknown();
        };
        let Some(rows) = self.elements(data) else { return unknown() };
        let row = |row: &Json| {
            let [left, verdict] = row.as_array()?.as_slice() else { return None };
            let (name, body) = verdict.as_object()?.iter().next()?;
            let Statement::Action(action) = statement_of(name, body) else { return None };
            Some((self.row(key, left), Some(action)))
        };
        rows.iter().map(row).collect::<Option<_>>().unwrap_or_else(unknown)
    }

    /// Reads the keys of a map of addresses or ports: for others, the statement does nothing.
    fn keys(&self, map: &Json) -> Vec<(Vec<Match>, Option<Action>)> {
        let unknown = || vec![(vec![Match::Unknown], None)];
        let (Some(key), Some(data)) = (map.get("key"), map.get("data")) else {
            return unknown();
        };
        let Some(rows) = self.elements(data) else { return unknown() };
        let row = |row: &Json| Some((self.row(key, row.as_array()?.first()?), None));
        rows.iter().map(row).collect::<Option<_>>().unwrap_or_else(unknown)
    }

    /// Reads one element of a set or map as conditions on the fields of its key.
    fn row(&self, key: &Json, element: &Json) -> Vec<Match> {
        let element = bare(element);
        let Some(keys) = key.get("concat").and_then(Json::as_array) else {
            return self.compare(key, false, element);
        };
        let parts = element.get("concat").and_then(Json::as_array);
        match parts.filter(|parts| parts.len() == keys.len()) {
            Some(parts) => keys
                .iter()
                .zip(parts)
                .flat_map(|(key, part)| self.compare(key, false, part))
                .collect(),
            None => vec![Match::Unknown],
        }
    }

    /// Returns the elements of a set, which has a name or is part of the rule.
    fn elements(&self, set: &Json) -> Option<Vec<Json>> {
        let Some(name) = set.as_str() else { return set.get("set").map(many) };
        let name = name.strip_prefix('@')?;
        let is_it = |set: &&&Json| {
            text_of(set, "family") == Some(self.family)
                && text_of(set, "table") == Some(self.table)
                && text_of(set, "name") == Some(name)
        };
        let set = self.sets.iter().find(is_it)?;
        Some(set.get("elem").map_or_else(Vec::new, many))
    }

    /// Reads a comparison.
    fn matches(&self, body: &Json) -> Vec<Match> {
        let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
            return vec![Match::Unknown];
        };
        match text_of(body, "op") {
            // one of the flags is enough
            Some(op @ ("in" | "!")) if is_flags(left) => {
                let known = |bits| Match::Known((SYN & bits != 0) == (op == "in"));
                vec![flags(right).map_or(Match::Unknown, known)]
            }
            Some("==" | "in") => self.compare(left, false, right),
            Some("!=") => self.compare(left, true, right),
            Some(op @ ("<" | ">" | "<=" | ">=")) => {
                let range = right.as_u64().and_then(|number| match op {
                    "<" => Some((0, number.checked_sub(1)?)),
                    "<=" => Some((0, number)),
                    ">" => Some((number.checked_add(1)?, u64::MAX)),
                    _ => Some((number, u64::MAX)),
                });
                let Some((from, to)) = range else { return vec![Match::Unknown] };
                match field(left) {
                    Known::Field(field, implied) => {
                        let mut all = implied;
                        all.push(Match::is(field, vec![Value::Range(from, to)]));
                        all
                    }
                    Known::Matches(all) => all,
                    Known::Not => vec![Match::Unknown],
                }
            }
            _ => vec![Match::Unknown],
        }
    }

    /// Compares a field with a value or set.
    fn compare(&self, left: &Json, is_negated: bool, right: &Json) -> Vec<Match> {
        let ct = left.get("ct").and_then(|ct| text_of(ct, "key"));
        if let (Some("helper"), Some(name)) = (ct, right.as_str()) {
            return vec![Match::announced_by(name, is_negated)];
        }
        if let Some(known) = fixed(left, right) {
            return vec![Match::Known(known != is_negated)];
        }
        match field(left) {
            Known::Field(field, mut all) => {
                let values = match self.elements(right) {
                    Some(elements) => elements.iter().map(value).collect(),
                    None if right.is_array() => many(right).iter().map(value).collect(),
                    None => vec![value(right)],
                };
                let values = if field == Field::Link { links(values) } else { values };
                all.push(Match::Field { field, is_negated, values });
                all
            }
            Known::Matches(all) => all,
            Known::Not => vec![Match::Unknown],
        }
    }
}

/// Turns names of kinds of links into their numbers.
fn links(names: Vec<Value>) -> Vec<Value> {
    let number = |value| {
        let Value::Word(name) = &value else { return value };
        let number = match name.as_str() {
            "ether" => 1,
            "ppp" => 512,
            "ipip" => 768,
            "ipip6" => 769,
            "loopback" => 772,
            "sit" => 776,
            "ipgre" => 778,
            _ => return Value::Unknown,
        };
        Value::Range(number, number)
    };
    names.into_iter().map(number).collect()
}

/// Returns each combination of two lists of alternatives.
fn crossed(
    some: &[(Vec<Match>, Option<Action>)],
    others: &[(Vec<Match>, Option<Action>)],
) -> Vec<(Vec<Match>, Option<Action>)> {
    let pair = |(left, action): &(Vec<Match>, Option<Action>)| {
        let (left, action) = (left.clone(), action.clone());
        others.iter().map(move |(right, other)| {
            let both = left.iter().chain(right).cloned().collect();
            (both, other.clone().or_else(|| action.clone()))
        })
    };
    some.iter().flat_map(pair).collect()
}

/// What the left side of a comparison is.
enum Known {
    /// A field, and what else holds if the packet has it.
    Field(Field, Vec<Match>),
    /// It is known without a look at the right side.
    Matches(Vec<Match>),
    Not,
}

fn field(left: &Json) -> Known {
    if let Some(meta) = left.get("meta") {
        return match text_of(meta, "key") {
            Some("iif" | "iifname") => Known::Field(Field::Interface, vec![]),
            Some("iiftype") => Known::Field(Field::Link, vec![]),
            Some("l4proto") => Known::Field(Field::Protocol, vec![]),
            Some("nfproto" | "protocol") => Known::Field(Field::Family, vec![]),
            // a packet that arrives has no interface to leave by
            Some("oif" | "oifname") => Known::Matches(vec![Match::Known(false)]),
            _ => Known::Not,
        };
    }
    if let Some(ct) = left.get("ct") {
        return match text_of(ct, "key") {
            Some("state") => Known::Field(Field::State, vec![]),
            _ => Known::Not,
        };
    }
    let Some(payload) = left.get("payload") else { return Known::Not };
    let (protocol, name) = (text_of(payload, "protocol"), text_of(payload, "field"));
    let version = |protocol| {
        Match::word(Field::Family, if protocol == Some("ip") { "ipv4" } else { "ipv6" })
    };
    let tcp = || Match::word(Field::Protocol, "tcp");
    match (protocol, name) {
        (Some("tcp"), Some("dport")) => Known::Field(Field::Port, vec![tcp()]),
        (Some("tcp"), Some("sport")) => Known::Field(Field::SourcePort, vec![tcp()]),
        (Some("th"), Some("dport")) => Known::Field(Field::Port, vec![]),
        (Some("th"), Some("sport")) => Known::Field(Field::SourcePort, vec![]),
        (Some("ip" | "ip6"), Some("saddr")) => {
            Known::Field(Field::Source, vec![version(protocol)])
        }
        (Some("ether"), Some("type")) => Known::Field(Field::Family, vec![]),
        (Some("ether"), Some("saddr")) => Known::Field(Field::Source, vec![]),
        (Some("ip" | "ip6"), Some("daddr")) => {
            Known::Field(Field::Destination, vec![version(protocol)])
        }
        (Some("ip"), Some("protocol")) | (Some("ip6"), Some("nexthdr")) => {
            Known::Field(Field::Protocol, vec![version(protocol)])
        }
        (Some("udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmpv6" | "igmp"), _) => {
            Known::Matches(vec![Match::Known(false)])
        }
        _ => Known::Not,
    }
}

/// Returns whether a comparison holds for the first packet of a connection to this machine, if that
/// does not depend on the fields of the model.
fn fixed(left: &Json, right: &Json) -> Option<bool> {
    if let Some(fib) = left.get("fib") {
        let is_source =
            many(fib.get("flags")?).iter().any(|flag| flag.as_str() == Some("saddr"));
        return match (text_of(fib, "result"), right) {
            (Some("type"), Json::String(kind)) => Some(kind == "local" && !is_source),
            // the way back to the client exists
            (Some("oif" | "oifname"), Json::Bool(exists)) => Some(*exists),
            _ => None,
        };
    }
    if let Some(ct) = left.get("ct") {
        return match text_of(ct, "key") {
            // nothing has changed the address of the packet
            Some("status") => {
                right.as_str().filter(|word| matches!(*word, "dnat" | "snat")).map(|_| false)
            }
            Some("direction") => Some(right.as_str() == Some("original")),
            _ => None,
        };
    }
    if let Some(meta) = left.get("meta") {
        return match text_of(meta, "key") {
            Some("pkttype") => Some(matches!(right.as_str(), Some("host" | "unicast"))),
            _ => None,
        };
    }
    if left.get("exthdr").is_some() {
        return Some(right.as_bool() == Some(false));
    }
    if let Some(option) = left.get("tcp option") {
        return match (text_of(option, "name"), text_of(option, "field")) {
            (Some("maxseg"), Some("size")) => Some(value(right).has(MSS)),
            _ => None,
        };
    }
    let (set, mask) = match left.get("&").and_then(Json::as_array).map(Vec::as_slice) {
        Some([set, mask]) => (set, flags(mask)?),
        _ => (left, u64::MAX),
    };
    let is_one = |one: &Json| flags(one).map(|wanted| SYN & mask == wanted);
    let wanted = right.get("set").map_or_else(|| vec![right.clone()], many);
    let is_any = wanted.iter().map(is_one).collect::<Option<Vec<_>>>();
    is_any.filter(|_| is_flags(set)).map(|all| all.contains(&true))
}

/// Returns whether this is the field with the flags of TCP.
fn is_flags(left: &Json) -> bool {
    left.get("payload").is_some_and(|payload| {
        (text_of(payload, "protocol"), text_of(payload, "field"))
            == (Some("tcp"), Some("flags"))
    })
}

/// Reads flags of TCP.
fn flags(json: &Json) -> Option<u64> {
    let bit = |name: &str| match name {
        "fin" => Some(1),
        "syn" => Some(SYN),
        "rst" => Some(4),
        "psh" => Some(8),
        "ack" => Some(16),
        "urg" => Some(32),
        "ecn" => Some(64),
        "cwr" => Some(128),
        _ => None,
    };
    if let Some(name) = json.as_str() {
        return bit(name);
    }
    if let Some(number) = json.as_u64() {
        return Some(number);
    }
    let all = json.as_array().or_else(|| json.get("|")?.as_array())?;
    all.iter().map(flags).try_fold(0, |sum, one| Some(sum | one?))
}

/// What a statement of a rule is.
enum Statement {
    Match(Match),
    Action(Action),
    /// It does not matter here.
    Nothing,
}

fn statement_of(name: &str, body: &Json) -> Statement {
    let target = || text_of(body, "target").unwrap_or_default().to_owned();
    match name {
        "accept" => Statement::Action(Action::Accept),
        "drop" => Statement::Action(Action::Drop),
        "reject" => Statement::Action(Action::Reject),
        "return" => Statement::Action(Action::Return),
        "continue" => Statement::Action(Action::Continue),
        "jump" => Statement::Action(Action::Jump(target())),
        "goto" => Statement::Action(Action::Goto(target())),
        "dnat" | "redirect" | "tproxy" | "fwd" => Statement::Action(Action::Redirect),
        "counter" | "log" | "mangle" | "notrack" | "ct helper" | "ct timeout" | "meter"
        | "set" | "map" | "snat" | "masquerade" | "last" | "flow" | "secmark" | "synproxy"
        | "dup" | "ct expectation" => match body.get("stmt") {
            // 'update @set { ip saddr limit rate over ... }' matches those above the limit
            Some(inner) => {
                Statement::Match(Match::Known(!inner.to_string().contains("\"inv\":true")))
            }
            None => Statement::Nothing,
        },
        // nobody is above a limit with the first packet
        "limit" | "quota" | "connlimit" | "ct count" => {
            let is_over = body.get("inv").and_then(Json::as_bool).unwrap_or_default();
            Statement::Match(Match::Known(!is_over))
        }
        "xt" => extension(body),
        "queue" => Statement::Action(Action::Unknown),
        _ => Statement::Match(Match::Unknown),
    }
}

/// Reads an extension of iptables, of which nftables prints the name only.
fn extension(body: &Json) -> Statement {
    match (text_of(body, "type"), text_of(body, "name")) {
        (Some("target"), Some("REJECT")) => Statement::Action(Action::Reject),
        (Some("target"), Some("DNAT" | "REDIRECT" | "TPROXY")) => {
            Statement::Action(Action::Redirect)
        }
        (Some("target"), Some("NFQUEUE")) => Statement::Action(Action::Unknown),
        (Some("match"), Some("icmp" | "icmp6" | "udp" | "sctp" | "rt" | "frag")) => {
            Statement::Match(Match::Known(false))
        }
        (Some("target"), _) | (_, Some("comment" | "limit")) => Statement::Nothing,
        _ => Statement::Match(Match::Unknown),
    }
}

/// Returns the items of a list, or the only item.
fn many(json: &Json) -> Vec<Json> {
    json.as_array().cloned().unwrap_or_else(|| vec![json.clone()])
}

/// Returns an element without its timeout and counters.
fn bare(element: &Json) -> &Json {
    element.get("elem").and_then(|elem| elem.get("val")).unwrap_or(element)
}

fn value(json: &Json) -> Value {
    let json = bare(json);
    if let Some(number) = json.as_u64() {
        return Value::Range(number, number);
    }
    if let Some(word) = json.as_str() {
        return match (word, word.parse::<IpAddr>()) {
            ("*", _) => Value::Any,
            (_, Ok(ip)) => Value::Net(ip.into()),
            (word, Err(_)) if word.starts_with('@') => Value::Unknown,
            (word, Err(_)) => Value::Word(word.to_owned()),
        };
    }
    if let Some(prefix) = json.get("prefix") {
        let address = text_of(prefix, "addr").and_then(|text| text.parse::<IpAddr>().ok());
        let length = prefix.get("len").and_then(Json::as_u64);
        let length = length.and_then(|length| u8::try_from(length).ok());
        let net = address.zip(length).and_then(|(ip, length)| IpNet::new(ip, length).ok());
        return net.map_or(Value::Unknown, Value::Net);
    }
    let range = json.get("range").and_then(Json::as_array).map(Vec::as_slice);
    let Some([from, to]) = range else { return Value::Unknown };
    if let Some((from, to)) = from.as_u64().zip(to.as_u64()) {
        return Value::Range(from, to);
    }
    let address = |json: &Json| json.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    let pair = address(from).zip(address(to));
    pair.map_or(Value::Unknown, |(from, to)| Value::Addresses(from, to))
}
