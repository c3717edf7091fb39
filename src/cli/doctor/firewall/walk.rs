//! Sends a packet through the rules of a firewall, and says whether it arrives. Where a rule is not
//! understood, both ways are followed, and if they lead to different ends, the answer is that it is
//! not clear.

use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Action, Chain, Field, Match, Packet, Rule, Table, Value};

/// Maximum number of chains within one another; nftables allows 16 jumps.
const DEEPEST: usize = 32;

/// The ports from which clients connect.
const EPHEMERAL: (u64, u64) = (32_768, 60_999);

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::doctor) enum Fate {
    /// It arrives.
    Open,
    /// It arrives if it comes from certain addresses, which a rule names.
    OnlyFrom(Place),
    /// A rule that is not understood decides.
    Unclear(String),
    /// It is sent to another address or port.
    Redirected(Place),
    /// It is dropped, so that the client waits in vain.
    Dropped(Place),
    /// The client gets an error at once.
    Rejected(Place),
}

/// The place in the rules that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::doctor) struct Place {
    /// The index of the table.
    pub(in crate::cli::doctor) table: usize,
    /// The first chain that the packet passes, at its hook.
    pub(in crate::cli::doctor) entry: String,
    /// The chain and the rule, for messages.
    pub(in crate::cli::doctor) text: String,
}

/// Returns what happens to a packet from an address that no rule names.
pub(in crate::cli::doctor) fn fate(tables: &[Table], packet: &Packet) -> Fate {
    let strangers = meet(tables, packet, Tri::No);
    if !matches!(strangers, Fate::Dropped(_) | Fate::Rejected(_)) {
        return strangers;
    }
    // perhaps other addresses may connect
    let any = meet_all(tables, packet, Tri::Maybe);
    let passes = |met: &Met| met.ends.list.iter().any(|end| end.kind == Kind::Accept);
    if !any.iter().all(passes) {
        return strangers;
    }
    let named = any.into_iter().find_map(|met| {
        let Met { table, chain: entry, ends, .. } = met;
        ends.source.map(|text| Place { table, entry, text })
    });
    named.map_or(strangers, Fate::OnlyFrom)
}

/// Returns the lowest port of each part of `first..=last` in which all ports have the same fate.
pub(in crate::cli::doctor) fn parts(tables: &[Table], first: u16, last: u16) -> Vec<u16> {
    let rules = tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
    let values = rules.flat_map(|rule| &rule.matches).flat_map(|one| match one {
        Match::Field { field: Field::Port | Field::EitherPort, values, .. } => {
            values.as_slice()
        }
        Match::Field { .. } | Match::Known(_) | Match::Unknown => &[],
    });
    let bounds = values.filter_map(|value| {
        let Value::Range(from, to) = value else { return None };
        Some([*from, to.saturating_add(1)])
    });
    let bounds = bounds.flatten();
    let bounds = bounds.filter_map(|bound| u16::try_from(bound).ok());
    let mut all: Vec<_> = bounds.filter(|port| (first..=last).contains(port)).collect();
    all.push(first);
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tri {
    No,
    Maybe,
    Yes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Accept,
    Drop,
    Reject,
    Redirect,
    Unknown,
}

/// A possible end of the way through a chain.
#[derive(Clone, Debug)]
struct End {
    kind: Kind,
    text: String,
}

/// All possible ends of the way through a chain.
#[derive(Clone, Debug, Default)]
struct Ends {
    list: Vec<End>,
    /// Whether a packet may come out at the end of the chain.
    falls: bool,
    /// A rule that is not understood and leads to one of the ends.
    doubt: Option<String>,
    /// A rule for certain sources that leads to one of the ends.
    source: Option<String>,
}

impl Ends {
    /// Adds an end. One of each kind is enough.
    fn add(&mut self, kind: Kind, text: impl FnOnce() -> String) {
        if !self.list.iter().any(|end| end.kind == kind) {
            self.list.push(End { kind, text: text() });
        }
    }

    fn take(&mut self, other: Self) {
        for end in other.list {
            self.add(end.kind, || end.text);
        }
        self.doubt = self.doubt.take().or(other.doubt);
        self.source = self.source.take().or(other.source);
    }
}

/// The hooks that a packet to this machine passes, in their order.
const HOOKS: [&str; 3] = ["ingress", "prerouting", "input"];

/// Follows a packet through all tables. `source` says whether it comes from the addresses that rules
/// name.
fn meet(tables: &[Table], packet: &Packet, source: Tri) -> Fate {
    let all = meet_all(tables, packet, source);
    let mut fate = Fate::Open;
    for hook in HOOKS {
        for met in all.iter().filter(|met| met.hook == hook) {
            let found = met.fate();
            // what stops the packet in one chain is not undone by another
            if rank(&found) > rank(&fate) {
                fate = found;
            }
        }
        // what is sent elsewhere does not come to the next hook as it was
        if rank(&fate) >= REDIRECTED {
            break;
        }
    }
    fate
}

/// The rank of packets that do not arrive here.
const REDIRECTED: u8 = 3;

const fn rank(fate: &Fate) -> u8 {
    match fate {
        Fate::Open => 0,
        Fate::OnlyFrom(_) => 1,
        Fate::Unclear(_) => 2,
        Fate::Redirected(_) => REDIRECTED,
        Fate::Rejected(_) | Fate::Dropped(_) => 4,
    }
}

/// A chain at a hook, and the ends in it.
struct Met {
    /// The index of the table.
    table: usize,
    hook: String,
    chain: String,
    ends: Ends,
}

impl Met {
    fn fate(&self) -> Fate {
        let place = |end: &End| Place {
            table: self.table,
            entry: self.chain.clone(),
            text: end.text.clone(),
        };
        let stops = |end: &End| matches!(end.kind, Kind::Drop | Kind::Reject);
        match self.ends.list.as_slice() {
            [] => Fate::Open,
            [end] => match end.kind {
                Kind::Accept => Fate::Open,
                Kind::Drop => Fate::Dropped(place(end)),
                Kind::Reject => Fate::Rejected(place(end)),
                Kind::Redirect => Fate::Redirected(place(end)),
                Kind::Unknown => Fate::Unclear(end.text.clone()),
            },
            // which of them does not matter
            [one, other] if stops(one) && stops(other) => Fate::Dropped(place(one)),
            [first, ..] => {
                Fate::Unclear(self.ends.doubt.clone().unwrap_or_else(|| first.text.clone()))
            }
        }
    }
}

/// Returns all chains at a hook that the packet passes.
fn meet_all(tables: &[Table], packet: &Packet, source: Tri) -> Vec<Met> {
    let mut all = Vec::new();
    let seen = || tables.iter().enumerate().filter(|(_, table)| table.sees(packet.to));
    let untracks =
        seen().map(|(_, table)| Walk { table, packet, source, untracked: Tri::No }.untracks());
    let untracked = untracks.max_by_key(|tri| *tri as u8).unwrap_or(Tri::No);
    for (at, table) in seen() {
        let walk = Walk { table, packet, source, untracked };
        for chain in &table.chains {
            let Some(hook) = &chain.hook else { continue };
            let is_met = match hook.name.as_str() {
                "ingress" => hook.devices.contains(&packet.interface),
                name => HOOKS.contains(&name),
            };
            if !is_met {
                continue;
            }
            let mut ends = walk.chain(chain, 0);
            if ends.falls {
                let text = || format!("{}: its policy", table.place(chain));
                let is_drop = hook.policy == Action::Drop;
                ends.add(if is_drop { Kind::Drop } else { Kind::Accept }, text);
            }
            let (hook, chain) = (hook.name.clone(), chain.name.clone());
            all.push(Met { table: at, hook, chain, ends });
        }
    }
    all
}

struct Walk<'a> {
    table: &'a Table,
    packet: &'a Packet,
    source: Tri,
    /// Whether connection tracking leaves the packet alone.
    untracked: Tri,
}

impl Walk<'_> {
    fn chain(&self, chain: &Chain, depth: usize) -> Ends {
        let mut ends = Ends::default();
        for rule in &chain.rules {
            let matched = self.matches(rule);
            if matched == Tri::No {
                continue;
            }
            let is_sure = matched == Tri::Yes;
            let text = || format!("{}: {rule}", self.table.place(chain));
            let before = ends.list.len();
            match &rule.action {
                Action::Continue => continue,
                Action::Accept => ends.add(Kind::Accept, text),
                Action::Drop => ends.add(Kind::Drop, text),
                Action::Reject => ends.add(Kind::Reject, text),
                Action::Redirect => ends.add(Kind::Redirect, text),
                Action::Unknown => ends.add(Kind::Unknown, text),
                Action::Return => ends.falls = true,
                Action::Jump(target) | Action::Goto(target) => {
                    let inside = self.jump(target, depth);
                    let falls = inside.falls;
                    ends.take(inside);
                    let is_goto = matches!(rule.action, Action::Goto(_));
                    ends.falls |= is_goto && falls;
                    if falls && !is_goto {
                        self.doubt(rule, is_sure, before, text, &mut ends);
                        continue;
                    }
                }
            }
            self.doubt(rule, is_sure, before, text, &mut ends);
            if is_sure {
                return ends;
            }
        }
        ends.falls = true;
        ends
    }

    /// Notes why a rule may or may not apply, if that makes a difference.
    fn doubt(
        &self,
        rule: &Rule,
        is_sure: bool,
        before: usize,
        text: impl FnOnce() -> String,
        ends: &mut Ends,
    ) {
        if is_sure || ends.list.len() == before && rule.action != Action::Return {
            return;
        }
        let is_source = |one: &Match| self.matches_one(one) == Tri::Maybe && names_source(one);
        let into =
            if rule.matches.iter().any(is_source) { &mut ends.source } else { &mut ends.doubt };
        if into.is_none() {
            *into = Some(text());
        }
    }

    /// Returns whether a rule of the table exempts the packet from connection tracking.
    fn untracks(&self) -> Tri {
        let mut found = Tri::No;
        for chain in &self.table.chains {
            let is_met = chain.hook.as_ref().map(|hook| hook.name == "prerouting");
            for rule in chain.rules.iter().filter(|rule| rule.untracks) {
                match (is_met, self.matches(rule)) {
                    (Some(false), _) | (_, Tri::No) => {}
                    (Some(true), Tri::Yes) => return Tri::Yes,
                    _ => found = Tri::Maybe,
                }
            }
        }
        found
    }

    fn jump(&self, target: &str, depth: usize) -> Ends {
        match self.table.chain(target).filter(|_| depth < DEEPEST) {
            Some(chain) => self.chain(chain, depth + 1),
            None => Ends { falls: true, ..Ends::default() },
        }
    }

    fn matches(&self, rule: &Rule) -> Tri {
        let all = rule.matches.iter().map(|one| self.matches_one(one));
        all.min_by_key(|tri| *tri as u8).unwrap_or(Tri::Yes)
    }

    fn matches_one(&self, one: &Match) -> Tri {
        match one {
            Match::Known(is_so) => tri(*is_so),
            Match::Unknown => Tri::Maybe,
            Match::Field { field, is_negated, values } => {
                let has = values.iter().map(|value| self.has(*field, value));
                let has = has.max_by_key(|tri| *tri as u8).unwrap_or(Tri::No);
                match (has, is_negated) {
                    (Tri::Yes, true) => Tri::No,
                    (Tri::No, true) => Tri::Yes,
                    (has, _) => has,
                }
            }
        }
    }

    /// Returns whether connection tracking sees the packet in a state.
    fn state(&self, word: &str, is_related: bool) -> Tri {
        match (word, self.untracked) {
            ("untracked", untracked) => untracked,
            (word, Tri::No) => tri(word == if is_related { "related" } else { "new" }),
            ("new", Tri::Maybe) if !is_related => Tri::Maybe,
            ("related", Tri::Maybe) if is_related => Tri::Maybe,
            _ => Tri::No,
        }
    }

    /// Returns whether a field of the packet has a value.
    fn has(&self, field: Field, value: &Value) -> Tri {
        let Packet { to, port, interface, link, own, is_related } = self.packet;
        match (field, value) {
            (_, Value::Any) => Tri::Yes,
            (Field::Source, Value::Net(net)) if net.prefix_len() == 0 => tri(net.contains(to)),
            (Field::Source, Value::Net(net)) if is_inside(net, own) => Tri::No,
            (Field::Source, _) => self.source,
            (Field::Destination, Value::Net(net)) => tri(net.contains(to)),
            (Field::Destination, Value::Addresses(from, up)) => tri((from..=up).contains(&to)),
            (Field::Port, Value::Range(from, up)) => {
                tri((*from..=*up).contains(&u64::from(*port)))
            }
            (Field::SourcePort, Value::Range(from, up)) => {
                let (first, last) = EPHEMERAL;
                match (*from <= first && *up >= last, *from > last || *up < first) {
                    (true, _) => Tri::Yes,
                    (_, true) => Tri::No,
                    _ => Tri::Maybe,
                }
            }
            (Field::EitherPort, _) => {
                let both = [Field::Port, Field::SourcePort].map(|field| self.has(field, value));
                both.into_iter().max_by_key(|tri| *tri as u8).unwrap_or(Tri::Maybe)
            }
            (Field::Protocol, Value::Range(from, up)) => tri((*from..=*up).contains(&6)),
            (Field::Protocol, Value::Word(word)) => tri(matches!(word.as_str(), "tcp" | "all")),
            (Field::Family, Value::Word(word)) => {
                let names = if to.is_ipv4() { ["ipv4", "ip"] } else { ["ipv6", "ip6"] };
                tri(names.contains(&word.as_str()))
            }
            (Field::State, Value::Word(word)) => {
                self.state(&word.to_ascii_lowercase(), *is_related)
            }
            (Field::Link, Value::Range(from, up)) => {
                link.map_or(Tri::Maybe, |link| tri((*from..=*up).contains(&link)))
            }
            (Field::Interface, Value::Word(word)) => {
                let start = word.strip_suffix(['*', '+']);
                tri(start.map_or(word == interface, |start| interface.starts_with(start)))
            }
            _ => Tri::Maybe,
        }
    }
}

/// Returns whether no packet from outside comes from these addresses.
fn is_inside(net: &IpNet, own: &[IpAddr]) -> bool {
    let has = |all: &str| all.parse::<IpNet>().is_ok_and(|all| all.contains(net));
    ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"].into_iter().any(has)
        || own.iter().any(|ip| IpNet::from(*ip) == *net)
}

fn names_source(one: &Match) -> bool {
    matches!(one, Match::Field { field: Field::Source, .. })
}

const fn tri(is_so: bool) -> Tri {
    if is_so { Tri::Yes } else { Tri::No }
}
