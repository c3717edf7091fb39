//! What a workload is: who takes part, what it is measured beside, and its goals.

use crate::client::UNPACED;
use crate::inside;
use crate::place::{Key, Place};
use crate::server::Server;
use crate::servers::{Family, Setup};
use crate::work::Clients;

/// One workload. Its figure is a rate: higher is better.
pub struct Workload {
    pub name: &'static str,
    /// What it is called in tables.
    pub title: &'static str,
    /// The unit that is counted per second.
    pub unit: &'static str,
    /// What one turn of one client counts, in this unit.
    pub turn: f64,
    /// Number of clients at once.
    pub clients: usize,
    /// Whether client and server share one processor.
    pub one_cpu: bool,
    pub setup: Setup,
    /// Whether data connections over TLS resume the session of the control connection.
    pub resume: bool,
    /// The table that it belongs to.
    pub group: Group,
    /// The folder of the files: `data`, in memory, or `disk`.
    pub base: &'static str,
    /// Whether only the variants of ftpd take part.
    pub alone: bool,
    /// Whether each client takes one turn, however short that is.
    pub once: bool,
    pub run: fn(&Clients<'_>) -> Figure,
    /// Measures the work without FTP.
    pub raw: Option<fn(&Place, &Workload) -> Figure>,
    /// Measures more of the work without FTP, as the floor.
    pub durable: Option<fn(&Place, &Workload) -> Figure>,
    /// Whether it is measured against a server that checks nothing, as well.
    pub floor: bool,
    /// The variants of ftpd that take part.
    pub variants: &'static [&'static str],
    pub goals: &'static [Goal],
}

/// A table of RESULTS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Usual,
    /// Without BBR, where the system uses it.
    Unpaced,
    /// On a disk, where one can be mounted.
    Disk,
}

/// A ratio that ftpd should reach.
pub struct Goal {
    /// ftpd or one of its variants.
    pub of: &'static str,
    pub to: To,
    pub ratio: f64,
}

/// What a goal compares with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The rate of the fastest rival.
    Best,
    /// The processor time of the fastest rival. Less is better.
    BestCpu,
    /// The rate of the raw loop.
    Raw,
    /// The rate of the variant without a log.
    Quiet,
    /// The rate of ftpd at its defaults.
    Plain,
}

/// The result of one run.
#[derive(Clone, Copy)]
pub struct Figure {
    /// Units per second.
    pub rate: f64,
    /// Processor seconds of the server for each unit.
    pub cpu: f64,
    /// Processor seconds of the client for each unit.
    pub client_cpu: f64,
}

impl Figure {
    pub fn mean(figures: &[Self]) -> Self {
        let mean =
            |of: fn(&Self) -> f64| figures.iter().map(of).sum::<f64>() / figures.len() as f64;
        Self {
            rate: mean(|figure| figure.rate),
            cpu: mean(|figure| figure.cpu),
            client_cpu: mean(|figure| figure.client_cpu),
        }
    }
}

pub const fn workload(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    turn: f64,
    run: fn(&Clients<'_>) -> Figure,
) -> Workload {
    let (clients, one_cpu, once, resume) = (1, false, false, true);
    let (raw, durable, floor, setup) = (None, None, false, Setup::Plain);
    let (group, base, alone) = (Group::Usual, "data", false);
    let (variants, goals): (&[&str], &[Goal]) = (&[], &[]);
    Workload {
        name,
        title,
        unit,
        turn,
        clients,
        one_cpu,
        setup,
        resume,
        group,
        base,
        alone,
        once,
        run,
        raw,
        durable,
        floor,
        variants,
        goals,
    }
}

impl Workload {
    pub const fn clients(self, clients: usize) -> Self {
        Self { clients, ..self }
    }

    pub const fn over_tls(self, key: Key) -> Self {
        Self { setup: Setup::Tls(key), ..self }
    }

    pub const fn without_resumption(self) -> Self {
        Self { resume: false, ..self }
    }

    pub const fn on_one_cpu(self) -> Self {
        Self { one_cpu: true, ..self }
    }

    pub const fn once(self) -> Self {
        Self { once: true, ..self }
    }

    pub const fn unpaced(self) -> Self {
        Self { group: Group::Unpaced, ..self }
    }

    pub const fn on_disk(self) -> Self {
        Self { group: Group::Disk, base: "disk", ..self }
    }

    /// Only these variants take part.
    pub const fn only(self, variants: &'static [&'static str]) -> Self {
        Self { variants, alone: true, ..self }
    }

    pub const fn beside(self, raw: fn(&Place, &Workload) -> Figure) -> Self {
        Self { raw: Some(raw), ..self }
    }

    pub const fn and_durable(self, durable: fn(&Place, &Workload) -> Figure) -> Self {
        Self { durable: Some(durable), ..self }
    }

    pub const fn above_floor(self) -> Self {
        Self { floor: true, ..self }
    }

    pub const fn and(self, variants: &'static [&'static str]) -> Self {
        Self { variants, ..self }
    }

    pub const fn goals(self, goals: &'static [Goal]) -> Self {
        Self { goals, ..self }
    }

    /// Whether a server takes part.
    pub fn takes(&self, server: &Server) -> bool {
        let wanted = match server.family {
            Family::Ours | Family::Rival { .. } => !self.alone,
            Family::Variant => {
                let before = server.name == "before" && !self.alone;
                before || self.variants.contains(&server.name)
            }
            Family::Floor => self.floor,
        };
        wanted && server.serves(self.setup) && server.lacks != self.name
    }

    /// How often ftpd and its variants are measured in each round.
    pub fn passes(&self) -> usize {
        if self.goals.iter().any(|goal| goal.to == To::Quiet) { 3 } else { 1 }
    }

    /// Runs the workload once against a server.
    pub fn measure(&self, server: &Server, place: &Place) -> Figure {
        crate::tree::pin(Some(server.pid()), self.one_cpu);
        let congestion = (self.group == Group::Unpaced).then_some(UNPACED);
        let figure = inside::with_congestion(congestion, || {
            (self.run)(&Clients { server, workload: self })
        });
        crate::tree::pin(Some(server.pid()), false);
        place.clear();
        figure
    }
}
