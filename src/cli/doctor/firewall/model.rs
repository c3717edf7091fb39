//! A model of the rules of a packet filter, as far as they matter to the first packet of a TCP
//! connection. The parsers of nftables and iptables make it; [`super::walk`] sends a packet through.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The maximum segment size that most clients announce.
pub(super) const MSS: u64 = 1460;

/// A table of chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::doctor) struct Table {
    pub(super) tool: Tool,
    /// As nftables names it: `ip`, `ip6`, `inet` or `netdev`.
    pub(super) family: String,
    pub(super) name: String,
    pub(super) chains: Vec<Chain>,
}

/// The program with which a table is listed and changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::doctor) enum Tool {
    Nft,
    /// `iptables` and `ip6tables`, and whether the rules are those of the legacy variant.
    Iptables {
        is_legacy: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: String,
    /// Where packets enter; `None`: only from other chains.
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Rule>,
}

/// Where packets enter a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    /// `prerouting`, `input`, ...
    pub(super) name: String,
    /// The only device whose packets enter, for `ingress`.
    pub(super) devices: Vec<String>,
    /// What happens at the end of the chain.
    pub(super) policy: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// A packet must match all of them.
    pub(super) matches: Vec<Match>,
    pub(super) action: Action,
    /// Whether connection tracking leaves the packets alone that match (`notrack`).
    pub(super) untracks: bool,
    /// The rule for messages.
    pub(super) text: String,
}

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The field has one of these values, or, if negated, none of them.
    Field { field: Field, is_negated: bool, values: Vec<Value> },
    /// Always or never so for the first packet of a client that has not connected before.
    Known(bool),
    /// It is not known what this means.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// IPv4 or IPv6.
    Family,
    /// TCP, UDP and so on.
    Protocol,
    /// The port to which the packet goes.
    Port,
    SourcePort,
    /// One of both ports.
    EitherPort,
    /// The interface at which the packet arrives.
    Interface,
    /// The kind of its link.
    Link,
    Source,
    Destination,
    /// The state in which connection tracking sees the packet.
    State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Numbers, first and last included.
    Range(u64, u64),
    Word(String),
    Net(IpNet),
    /// Addresses, first and last included.
    Addresses(IpAddr, IpAddr),
    /// Every value.
    Any,
    /// It is not known what this means.
    Unknown,
}

/// What a rule does with the packets that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Accept,
    Drop,
    Reject,
    /// Goes on with the next rule.
    Continue,
    /// Ends this chain.
    Return,
    Jump(String),
    Goto(String),
    /// Sends the packet to another address or port.
    Redirect,
    /// It is not known what this does.
    Unknown,
}

/// The first packet of a connection from outside, to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::doctor) struct Packet {
    pub(in crate::cli::doctor) interface: String,
    /// The kind of its link; `None`: unknown.
    pub(in crate::cli::doctor) link: Option<u64>,
    /// The address of this machine to which it goes.
    pub(in crate::cli::doctor) to: IpAddr,
    pub(in crate::cli::doctor) port: u16,
    /// All addresses of this machine.
    pub(in crate::cli::doctor) own: Vec<IpAddr>,
    /// Whether a helper has announced the connection (`nf_conntrack_ftp`).
    pub(in crate::cli::doctor) is_related: bool,
}

impl Value {
    /// Returns whether the value is a range with this number in it.
    pub(super) fn has(&self, number: u64) -> bool {
        matches!(self, Self::Range(from, to) if (*from..=*to).contains(&number))
    }
}

impl Match {
    pub(super) fn is(field: Field, values: Vec<Value>) -> Self {
        Self::Field { field, is_negated: false, values }
    }

    /// Holds for connections that a helper with this name has announced. The only one that announces
    /// connections to passive ports is that of FTP.
    pub(super) fn announced_by(helper: &str, is_negated: bool) -> Self {
        if helper != "ftp" && !helper.starts_with("ftp-") && !helper.is_empty() {
            return Self::Known(is_negated);
        }
        let values = vec![Value::Word("related".to_owned())];
        Self::Field { field: Field::State, is_negated, values }
    }

    pub(super) fn word(field: Field, word: &str) -> Self {
        Self::is(field, vec![Value::Word(word.to_owned())])
    }
}

impl Table {
    /// Names a chain for messages.
    pub(super) fn place(&self, chain: &Chain) -> String {
        match self.tool {
            Tool::Nft => {
                format!("nftables, table {} {}, chain {}", self.family, self.name, chain.name)
            }
            Tool::Iptables { .. } => {
                format!("{}, table {}, chain {}", self.command(), self.name, chain.name)
            }
        }
    }

    /// Returns the program that changes this table.
    pub(in crate::cli::doctor) fn command(&self) -> &'static str {
        match (self.tool, self.family == "ip6") {
            (Tool::Nft, _) => "nft",
            (Tool::Iptables { is_legacy: false }, false) => "iptables",
            (Tool::Iptables { is_legacy: false }, true) => "ip6tables",
            (Tool::Iptables { is_legacy: true }, false) => "iptables-legacy",
            (Tool::Iptables { is_legacy: true }, true) => "ip6tables-legacy",
        }
    }

    /// Returns whether no packet is stopped or changed here, because there are no rules.
    pub(super) fn is_empty(&self) -> bool {
        let drops =
            |chain: &Chain| chain.hook.as_ref().is_some_and(|hook| hook.policy == Action::Drop);
        self.chains.iter().all(|chain| chain.rules.is_empty() && !drops(chain))
    }

    /// Returns whether both are the same table of the kernel.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.family, &self.name) == (&other.family, &other.name)
    }

    /// Returns whether firewalld has made the table.
    pub(in crate::cli::doctor) fn is_firewalld(&self) -> bool {
        self.name == "firewalld" || self.has_chain("INPUT_ZONES")
    }

    pub(in crate::cli::doctor) fn tool(&self) -> Tool {
        self.tool
    }

    /// Returns family and name, as commands of nftables need them.
    pub(in crate::cli::doctor) fn address(&self) -> String {
        format!("{} {}", self.family, self.name)
    }

    /// Returns the option that names the table, for commands of iptables.
    pub(in crate::cli::doctor) fn option(&self) -> String {
        if self.name == "filter" { String::new() } else { format!("-t {} ", self.name) }
    }

    /// Returns whether a chain of the table has this name.
    pub(in crate::cli::doctor) fn has_chain(&self, name: &str) -> bool {
        self.chain(name).is_some()
    }

    /// Returns whether packets to this address pass the table.
    pub(super) fn sees(&self, to: IpAddr) -> bool {
        match self.family.as_str() {
            "ip" => to.is_ipv4(),
            "ip6" => to.is_ipv6(),
            family => matches!(family, "inet" | "netdev"),
        }
    }

    /// Finds a chain by its name.
    pub(super) fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
